package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lockstep"
)

// wantRefused checks that an error is one that an operator can act on.
func wantRefused(t *testing.T, err error, kind lockstep.Kind, mention string) {
	t.Helper()
	var e *lockstep.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want a *lockstep.Error", err)
	}
	if lockstep.KindOf(err) != kind || lockstep.HintOf(err) == "" || !strings.Contains(err.Error(), mention) {
		t.Errorf("got %q (kind %q, hint %q); want kind %q, a hint, and a mention of %q",
			err, lockstep.KindOf(err), lockstep.HintOf(err), kind, mention)
	}
}

func openIn(t *testing.T, dir string) (*Journal, error) {
	t.Helper()
	j, err := Open(context.Background(), Options{Dir: dir})
	if err == nil {
		t.Cleanup(func() { _ = j.Close() })
	}
	return j, err
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a b?c#d%41", "state")
	j, err := openIn(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	release, err := j.Own(context.Background(), "key", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	seen := map[string]bool{}
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		seen[filepath.Base(path)] = true
		if perm := info.Mode().Perm(); perm&0o077 != 0 {
			t.Errorf("%s has mode %04o", path, perm)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lockstep.db", "lockstep.db-wal", "lockstep.db-shm", "reserve", "open.lock"} {
		if !seen[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestUnsafeFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, mode := range []os.FileMode{0o777, 0o770, 0o702, 0o1777} {
		path := filepath.Join(dir, "open")
		if err := errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		_, err := openIn(t, path)
		wantRefused(t, err, lockstep.KindRefused, "others may write")
		if _, err := os.Stat(databasePath(path)); err == nil {
			t.Errorf("mode %04o: there is a database now", mode)
		}
	}
	own := filepath.Join(dir, "own")
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := openIn(t, own); err != nil {
		t.Errorf("folder that others may read: %v", err)
	}
	if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("others may still read it: %v, %v", info.Mode(), err)
	}
	wantRefused(t, checkFolder(own, os.Geteuid()+1), lockstep.KindRefused, "belongs to user")

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openIn(t, file)
	wantRefused(t, err, lockstep.KindRefused, "not a folder")
	_, err = openIn(t, filepath.Join(file, "below"))
	if err == nil {
		t.Error("folder below a file: no error")
	}
	_, err = openIn(t, "")
	wantRefused(t, err, lockstep.KindInvalid, "no name")

	link := filepath.Join(dir, "link")
	if err := errors.Join(os.Mkdir(link, 0o700), os.Symlink(file, databasePath(link))); err != nil {
		t.Fatal(err)
	}
	_, err = openIn(t, link)
	wantRefused(t, err, lockstep.KindRefused, "not a regular file")
}

func TestWideDatabaseFileIsNarrowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(databasePath(dir), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o700), os.Chmod(databasePath(dir), 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := openIn(t, dir); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(databasePath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// TestAFolderThatOthersMayRead: systemd makes a StateDirectory with mode 0755, at
// each start anew; what is ours alone is narrowed, and nobody's home is.
//
//fault:state-folder-0755 a state folder that others may look into | it is for its owner alone after the command; refused, with what to type, where other things lie in it
func TestAFolderThatOthersMayRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		files   []string
		refused bool
	}{
		"empty": {}, "journal": {files: []string{"lockstep.db", "notes"}}, "server": {files: []string{"pepper", "audit", "lost+found"}},
		"home": {files: []string{".profile"}, refused: true},
	} {
		path := filepath.Join(dir, name)
		err := os.Mkdir(path, 0o755)
		for _, f := range c.files {
			err = errors.Join(err, os.WriteFile(filepath.Join(path, f), nil, 0o600))
		}
		if err := errors.Join(err, os.Chmod(path, 0o755)); err != nil {
			t.Fatal(err)
		}
		_, err = openIn(t, path)
		want := os.FileMode(0o700)
		if c.refused {
			want = 0o755
			wantRefused(t, err, lockstep.KindRefused, "others may look into it (mode 0755)")
			if !strings.Contains(lockstep.HintOf(err), "chmod go-rwx") {
				t.Errorf("hint %q", lockstep.HintOf(err))
			}
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, %v", name, info.Mode(), err)
		}
	}
}

// TestAFolderBehindALink: one that only we can lead elsewhere is followed, as the
// one that systemd makes for DynamicUser= is; others are refused.
//
//fault:state-folder-link a state folder behind a symbolic link that others could replace | refused before anything is written, with what to type
func TestAFolderBehindALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := filepath.Join(dir, "private", "lockstep")
	open := filepath.Join(dir, "open")
	err := errors.Join(os.MkdirAll(real, 0o700), os.Symlink("private/lockstep", filepath.Join(dir, "own")), os.Symlink(dir, filepath.Join(dir, "above")),
		os.Mkdir(open, 0o700), os.Chmod(open, 0o777), os.Symlink(real, filepath.Join(open, "link")), os.Symlink("circle", filepath.Join(dir, "circle")))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"own", "above/own", "above/private/lockstep"} {
		j, err := openIn(t, filepath.Join(dir, path))
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if want, _ := filepath.EvalSymlinks(real); j.dir != want {
			t.Errorf("%s: the journal is in %s", path, j.dir)
		}
	}
	_, err = openIn(t, filepath.Join(open, "link"))
	wantRefused(t, err, lockstep.KindRefused, "others can replace it")
	if _, err := behindLinks(filepath.Join(dir, "circle"), os.Geteuid()); err == nil {
		t.Error("a circle leads somewhere")
	}
	if _, err := openIn(t, filepath.Join(dir, "circle")); err == nil {
		t.Error("a circle leads somewhere")
	}
	if os.Geteuid() == 0 {
		foreign := filepath.Join(dir, "foreign")
		if err := errors.Join(os.Symlink(real, foreign), os.Lchown(foreign, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
		_, err = openIn(t, foreign)
		wantRefused(t, err, lockstep.KindRefused, "is a link of user 12345")
	}
}
