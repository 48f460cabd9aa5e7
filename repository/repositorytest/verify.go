package repositorytest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep"
	"lockstep/repository"
)

// testRecordVerify: what a verify found is with the backup from then on, until
// the next one finds something else.
func testRecordVerify(t *testing.T, r repository.Repository) {
	at := start.Add(time.Hour)
	bad := lockstep.Verification{At: at, Problems: []string{`artifact "a": content differs`}, Bytes: 7, Artifacts: 1, By: "verify"}
	id, other := Begin(t, r, shop), Begin(t, r, shop)
	if err := r.RecordVerify(t.Context(), id, bad); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("RecordVerify of what is staged: %v", err)
	}
	for _, id := range []lockstep.BackupID{id, other} {
		Commit(t, r, Manifest(id, Put(t, r, id, "a", Sample(t, string(id)))))
	}
	if err := r.RecordVerify(t.Context(), id, bad); err != nil {
		t.Fatal(err)
	}
	list, err := r.List(t.Context(), "")
	got, getErr := r.Get(t.Context(), id)
	if err := errors.Join(err, getErr); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(b lockstep.Backup) bool { return b.ID == id })
	for what, b := range map[string]lockstep.Backup{"List": list[i], "Get": got} {
		if diff := cmp.Diff(&bad, b.Verified); diff != "" || b.Data != lockstep.DataDamaged || len(b.Reasons) != 1 {
			t.Errorf("%s gives a backup that is %s for %q; its verify (-want +got):\n%s", what, b.Data, b.Reasons, diff)
		}
	}
	if b, err := r.Get(t.Context(), other); err != nil || b.Data != lockstep.DataVerified || b.Verified != nil {
		t.Errorf("the other backup is %s, %+v, %v", b.Data, b.Verified, err)
	}
	good := lockstep.Verification{At: at.Add(time.Hour), OK: true, Bytes: 8, Artifacts: 1}
	if err := r.RecordVerify(t.Context(), id, good); err != nil {
		t.Fatal(err)
	}
	if b, err := r.Get(t.Context(), id); err != nil || b.Data != lockstep.DataVerified || b.Verified == nil || !b.Verified.OK {
		t.Errorf("after it was found whole, the backup is %s, %+v, %v", b.Data, b.Verified, err)
	}
	// What was given out may be committed again: it is the same manifest.
	again, err := r.Get(t.Context(), id)
	if err := errors.Join(err, r.Commit(t.Context(), again)); err != nil {
		t.Errorf("commit what Get gave: %v", err)
	}
	if err := Reread(t.Context(), r, id); err != nil {
		t.Error(err)
	}
	if err := r.Delete(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := r.RecordVerify(t.Context(), id, bad); !errors.Is(err, repository.ErrNotFound) {
		t.Errorf("RecordVerify of what was deleted: %v", err)
	}
}
