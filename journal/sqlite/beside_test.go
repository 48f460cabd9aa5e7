package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"lockstep"
	"lockstep/journal/journaltest"
)

// TestIndexesBesideAWriter: a run that another process ends, or prunes, while its
// indexes are looked into is not a reason to make them anew.
func TestIndexesBesideAWriter(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "state")
	writer, opener := openDir(t, dir), openDir(t, dir)
	st := journaltest.NewStory("run-one", "key-one")
	if err := writer.Append(ctx, st.Begun(lockstep.OperationBackup, 1)...); err != nil {
		t.Fatal(err)
	}
	for _, meanwhile := range []struct {
		what  string
		write func() error
	}{
		{"ended", func() error { return writer.Append(ctx, st.Ended(lockstep.RunSucceeded)) }},
		{"pruned", func() error { return writer.Prune(ctx, "run-one") }},
	} {
		sound, err := opener.SoundAfter(ctx, "run-one", func() {
			if err := meanwhile.write(); err != nil {
				t.Fatal(err)
			}
		})
		if err != nil || !sound {
			t.Errorf("%s meanwhile: the indexes are sound: %t, %v", meanwhile.what, sound, err)
		}
	}
}

// TestHeadThatIsReadTorn: a head that is read while it is written is read once more.
func TestHeadThatIsReadTorn(t *testing.T) {
	t.Parallel()
	dir, open := lockedJournal(t)
	j := openDir(t, dir)
	path := filepath.Join(dir, "heads", string(open[0].ID)+".head")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(whole[:len(whole)/2])
	if err := j.CheckHead(t.Context(), open[0].ID, func() { write(whole) }); err != nil {
		t.Fatal(err)
	}
	if lost, err := j.Lost(t.Context(), ""); err != nil || len(lost) > 0 {
		t.Errorf("lost are %+v, %v", lost, err)
	}
}
