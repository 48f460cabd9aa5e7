package cli

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/show"
	"lockstep/show/showtest"
)

func heldShop() *fakeService {
	f := newFake()
	f.held = []lockstep.Hold{{
		Key: "ssh:shop", Deployment: "shop", Slot: lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}, Run: "0198c0de-0001", Since: showtest.Begin.Add(-time.Hour),
	}}
	f.runs = []lockstep.RunSummary{{ID: "0198c0de-0001", Key: "ssh:shop", Deployment: "shop", Operation: lockstep.OperationBackup, State: lockstep.RunFailedState}}
	return f
}

// TestStatusIsOneScreen: what is locked, since when, by which run, what to type;
// and bit 32.
//
//fault:something-is-locked a job is still locked after its run has ended | lockstep status says so with the run, the time and the command, and exits 32
func TestStatusIsOneScreen(t *testing.T) {
	t.Parallel()
	r := runWith(t, heldShop(), nil, "status")
	want := "DEPLOYMENT  NOW   LAST GOOD BACKUP              AGE  LAST VERIFY  NEXT\n" +
		"shop        held  shop_20261120T010000Z  2 days ago  never        -\n" +
		"\nshop: locked since " + show.When(showtest.Begin.Add(-time.Hour)) + " by run 0198c0de-0001: db/0/postgres\n" +
		"\nshop: 1 of its jobs may still be locked, by run 0198c0de-0001\n  type: lockstep cleanup shop\n" +
		"\nshop: the last backup run, 0198c0de-0001, failed\n  type: lockstep runs show 0198c0de-0001\n"
	if diff := cmp.Diff(want, r.stdout); diff != "" || r.code != lockstep.ExitHeld {
		t.Errorf("exit %d (-want +got):\n%s", r.code, diff)
	}
	var all []lockstep.DeploymentStatus
	j := runWith(t, heldShop(), nil, "status", "shop", "-o", "json")
	if err := json.Unmarshal([]byte(j.stdout), &all); err != nil || j.code != lockstep.ExitHeld || len(all) != 1 || all[0].Locked.Type != "lockstep cleanup shop" {
		t.Errorf("exit %d, %v: %s", j.code, err, j.stdout)
	}
	if r := runWith(t, newFake(), nil, "status"); r.code != 0 || !strings.Contains(r.stdout, "unlocked") {
		t.Errorf("of what is well: %s", r)
	}
	if r := runWith(t, newFake(), nil, "status", "shp"); r.code != lockstep.ExitError || !strings.Contains(r.stderr, "configured are: shop") {
		t.Errorf("of a name that nobody has: %s", r)
	}
}

// TestStatusWatch: it looks until somebody stops it, and then says how it stands.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal, 1)
	signals <- os.Interrupt
	if r := runWith(t, heldShop(), signals, "status", "--watch"); r.code != lockstep.ExitHeld && r.code != lockstep.ExitError || strings.Contains(r.stdout, "\x1b") {
		t.Errorf("%s", r)
	}
}
