package retention

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lockstep"
)

var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) // a Monday

// made is a backup of deployment shop that was started so long before epoch.
func made(ago time.Duration, data lockstep.DataState) lockstep.Backup {
	at := epoch.Add(-ago)
	return lockstep.Backup{ID: lockstep.NewBackupID("shop", at), Deployment: "shop", Key: "k", Run: "r", StartedAt: at, FinishedAt: at, Data: data}
}

// kept are the ids that stay.
func kept(t rapid.TB, backups []lockstep.Backup, p Policy, now time.Time) []lockstep.BackupID {
	decisions, err := Keep(backups, p, now)
	if err != nil {
		t.Fatalf("keep: %v", err)
	}
	var out []lockstep.BackupID
	for i, d := range decisions {
		if d.Backup.ID != backups[i].ID || len(d.Reasons) == 0 {
			t.Fatalf("decision %d is on %s, because %q", i, d.Backup.ID, d.Reasons)
		}
		if d.Keep {
			out = append(out, d.Backup.ID)
		}
	}
	return out
}

const (
	hour = time.Hour
	day  = 24 * hour
)

func TestKeep(t *testing.T) {
	t.Parallel()
	v, inc := lockstep.DataVerified, lockstep.DataIncomplete
	for name, test := range map[string]struct {
		policy Policy
		in     []lockstep.Backup
		want   []time.Duration // ago
	}{
		"no rules":      {Policy{}, []lockstep.Backup{made(9000*day, v), made(0, inc)}, []time.Duration{9000 * day, 0}},
		"last":          {Policy{Last: 2}, []lockstep.Backup{made(3*day, v), made(day, v), made(2*day, v)}, []time.Duration{day, 2 * day}},
		"newest stays":  {Policy{Within: hour}, []lockstep.Backup{made(900*day, v), made(901*day, v)}, []time.Duration{900 * day}},
		"hourly":        {Policy{Hourly: 2}, []lockstep.Backup{made(10*time.Minute, v), made(20*time.Minute, v), made(90*time.Minute, v), made(5*hour, v)}, []time.Duration{10 * time.Minute, 90 * time.Minute}},
		"daily":         {Policy{Daily: 2}, []lockstep.Backup{made(hour, v), made(2*hour, v), made(7*day, v), made(9*day, v)}, []time.Duration{hour, 7 * day}},
		"weekly":        {Policy{Weekly: 2}, []lockstep.Backup{made(0, v), made(day, v), made(2*day, v), made(8*day, v)}, []time.Duration{0, day}},
		"monthly":       {Policy{Monthly: 3}, []lockstep.Backup{made(0, v), made(day, v), made(30*day, v), made(31*day, v), made(400*day, v)}, []time.Duration{0, 30 * day, 400 * day}},
		"yearly":        {Policy{Yearly: 9}, []lockstep.Backup{made(0, v), made(day, v), made(365*day, v)}, []time.Duration{0, 365 * day}},
		"within border": {Policy{Within: day}, []lockstep.Backup{made(0, v), made(day, v), made(day+1, v)}, []time.Duration{0, day}},
		"incomplete takes no place": {
			Policy{Last: 2},
			[]lockstep.Backup{made(0, inc), made(day, v), made(2*day, inc), made(3*day, v), made(4*day, v)},
			[]time.Duration{0, day, 3 * day},
		},
		"failing for long": {
			Policy{Last: 2},
			[]lockstep.Backup{made(0, inc), made(day, inc), made(2*day, inc), made(3*day, v), made(4*day, inc)},
			[]time.Duration{0, day, 3 * day},
		},
		"none verified":            {Policy{Last: 2}, []lockstep.Backup{made(0, inc), made(day, inc), made(2*day, inc)}, []time.Duration{0, day}},
		"within counts all":        {Policy{Within: day}, []lockstep.Backup{made(0, v), made(hour, inc), made(2*day, inc)}, []time.Duration{0, hour}},
		"damaged protects nothing": {Policy{Last: 1}, []lockstep.Backup{made(day, lockstep.DataDamaged), made(2*day, v), made(3*day, lockstep.DataDamaged), made(4*day, v)}, []time.Duration{day, 2 * day}},
		"suspect displaces nothing": {
			Policy{Last: 2},
			[]lockstep.Backup{made(0, lockstep.DataSuspect), made(day, lockstep.DataSuspect), made(2*day, v), made(3*day, v), made(4*day, v), made(5*day, lockstep.DataSuspect)},
			[]time.Duration{0, day, 2 * day, 3 * day},
		},
		"foreign": {Policy{Last: 1}, []lockstep.Backup{made(0, v), made(day, lockstep.DataUnproven), made(2*day, v)}, []time.Duration{0, day}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want []lockstep.BackupID
			for _, ago := range test.want {
				want = append(want, made(ago, v).ID)
			}
			if diff := cmp.Diff(want, kept(t, test.in, test.policy, epoch)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestKeepRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		b    lockstep.Backup
		p    Policy
		kind lockstep.Kind
	}{
		"started in the future":  {made(-time.Second, lockstep.DataVerified), Policy{Last: 1}, lockstep.KindRefused},
		"finished in the future": {lockstep.Backup{StartedAt: epoch, FinishedAt: epoch.Add(1)}, Policy{Last: 1}, lockstep.KindRefused},
		"negative number":        {made(0, lockstep.DataVerified), Policy{Daily: -1}, lockstep.KindInvalid},
		"negative duration":      {made(0, lockstep.DataVerified), Policy{Within: -1}, lockstep.KindInvalid},
	} {
		if got, err := Keep([]lockstep.Backup{test.b}, test.p, epoch); lockstep.KindOf(err) != test.kind || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestDeploymentsDoNotShare(t *testing.T) {
	t.Parallel()
	other := made(9*day, lockstep.DataVerified)
	other.Key, other.ID = "another director", "other"
	got := kept(t, []lockstep.Backup{made(0, lockstep.DataVerified), other}, Policy{Last: 1}, epoch)
	if len(got) != 2 {
		t.Errorf("kept %v", got)
	}
}

// TestClockSetBack: two hours with one name are two hours.
//
//fault:64 the clock is set back | no hour counts twice and no backup is lost by it
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	summer, winter := time.FixedZone("CEST", 7200), time.FixedZone("CET", 3600)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	a := lockstep.Backup{ID: "a", StartedAt: time.Date(2026, 10, 25, 2, 30, 0, 0, summer), Data: lockstep.DataVerified}
	b := lockstep.Backup{ID: "b", StartedAt: time.Date(2026, 10, 25, 2, 30, 0, 0, winter), Data: lockstep.DataVerified}
	if got := kept(t, []lockstep.Backup{a, b}, Policy{Hourly: 2}, b.StartedAt.In(zone)); len(got) != 2 {
		t.Errorf("kept %v", got)
	}
	if got := kept(t, []lockstep.Backup{a, b}, Policy{Daily: 2}, b.StartedAt.In(zone)); len(got) != 1 {
		t.Errorf("kept %v of one day", got)
	}
}

func policies(t *rapid.T) Policy {
	n := func(name string) int { return rapid.IntRange(0, 4).Draw(t, name) }
	return Policy{
		Last: n("last"), Hourly: n("hourly"), Daily: n("daily"), Weekly: n("weekly"), Monthly: n("monthly"), Yearly: n("yearly"),
		Within: time.Duration(n("within")) * 36 * hour,
	}
}

// histories generates backups of one deployment, oldest first.
func histories(t *rapid.T) []lockstep.Backup {
	var out []lockstep.Backup
	ago := time.Duration(0)
	for i := range rapid.IntRange(1, 40).Draw(t, "backups") {
		ago += time.Duration(rapid.SampledFrom([]int{1, 20, 60, 400, 1440, 9000, 50000}).Draw(t, "minutes")) * time.Minute
		data := rapid.SampledFrom([]lockstep.DataState{lockstep.DataVerified, lockstep.DataVerified, lockstep.DataIncomplete}).Draw(t, "data")
		b := made(ago, data)
		b.ID = lockstep.BackupID(fmt.Sprintf("shop_%03d", 999-i))
		out = append([]lockstep.Backup{b}, out...)
	}
	return out
}

func TestNewestVerifiedStays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := histories(t)
		want := in[len(in)-1].ID
		for _, b := range in {
			if b.Data == lockstep.DataVerified {
				want = b.ID
			}
		}
		if got := kept(t, in, policies(t), epoch); !slices.Contains(got, want) {
			t.Fatalf("kept %v, not %s", got, want)
		}
	})
}

// TestRulesHold judges by the rule's words: the newest of each of the last
// periods that have a verified backup is there.
func TestRulesHold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := histories(t)
		p := policies(t)
		got := kept(t, in, p, epoch)
		days := map[string]lockstep.BackupID{}
		var order []string
		var verified []lockstep.BackupID
		for _, b := range in {
			if b.Data != lockstep.DataVerified {
				continue
			}
			d := b.StartedAt.Format(time.DateOnly)
			if _, seen := days[d]; !seen {
				order = append(order, d)
			}
			days[d] = b.ID
			verified = append(verified, b.ID)
			if epoch.Sub(b.StartedAt) <= p.Within && !slices.Contains(got, b.ID) {
				t.Fatalf("%s is within %s", b.ID, p.Within)
			}
		}
		for _, d := range order[max(0, len(order)-p.Daily):] {
			if !slices.Contains(got, days[d]) {
				t.Fatalf("kept %v, not %s of %s", got, days[d], d)
			}
		}
		for _, id := range verified[max(0, len(verified)-p.Last):] {
			if !slices.Contains(got, id) {
				t.Fatalf("kept %v, not %s of the last %d", got, id, p.Last)
			}
		}
		most := 2 * (p.Last + p.Hourly + p.Daily + p.Weekly + p.Monthly + p.Yearly + 1)
		if n := len(got); !lockstep.KeepRules(p).Zero() && p.Within == 0 && n > most {
			t.Fatalf("kept %d, the rules ask for %d at most", n, most)
		}
	})
}

func TestOrderOfListingDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, p := histories(t), policies(t)
		want := kept(t, in, p, epoch)
		mixed := slices.Clone(in)
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		got := kept(t, mixed, p, epoch)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestPruningAfterEachBackup leaves what one pruning at the end leaves: nothing
// that a rule will ask for later goes early.
func TestPruningAfterEachBackup(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in, p := histories(t), policies(t)
		for i := range in {
			in[i].Data = lockstep.DataVerified
		}
		var have []lockstep.Backup
		for i, b := range in {
			have = append(have, b)
			now := b.StartedAt
			if i == len(in)-1 {
				now = epoch
			}
			ids := kept(t, have, p, now)
			have = slices.DeleteFunc(have, func(b lockstep.Backup) bool { return !slices.Contains(ids, b.ID) })
		}
		var got []lockstep.BackupID
		for _, b := range have {
			got = append(got, b.ID)
		}
		if diff := cmp.Diff(kept(t, in, p, epoch), got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestPeriodsAreOfNowsZone: one day in UTC, two where the operator lives.
func TestPeriodsAreOfNowsZone(t *testing.T) {
	t.Parallel()
	in := []lockstep.Backup{made(14*hour, lockstep.DataVerified), made(12*hour+time.Minute, lockstep.DataVerified), made(18*hour, lockstep.DataVerified)}
	tokyo := time.FixedZone("JST", 9*3600)
	if got := kept(t, in, Policy{Daily: 9}, epoch); len(got) != 1 {
		t.Errorf("in UTC: %v", got)
	}
	in[2] = made(22*hour, lockstep.DataVerified) // 14:00 UTC, 23:00 in Tokyo
	if got := kept(t, in, Policy{Daily: 9}, epoch.In(tokyo)); len(got) != 2 {
		t.Errorf("in Tokyo: %v", got)
	}
}

// TestKeepTags: what is marked stays, however old it is and whatever it is worth.
func TestKeepTags(t *testing.T) {
	t.Parallel()
	marked, other, plain := made(400*day, lockstep.DataIncomplete), made(300*day, lockstep.DataVerified), made(200*day, lockstep.DataVerified)
	marked.Tags, other.Tags = []string{"q3", "before-upgrade"}, []string{"before"}
	newest := made(0, lockstep.DataVerified)
	decisions, err := Keep([]lockstep.Backup{newest, plain, other, marked}, Policy{Tags: []string{"before-upgrade"}}, epoch)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"newest verified", "no rule keeps it", "no rule keeps it", "tag before-upgrade"} {
		if got := strings.Join(decisions[i].Reasons, ", "); got != want {
			t.Errorf("backup %d: %s, want %s", i, got, want)
		}
	}
}
