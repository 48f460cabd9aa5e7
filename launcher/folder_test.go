package launcher

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFolderThatGoes: a session that ends takes the folder of the claim, or its own,
// away in the moment in which another one looks at it. That is not somebody else's folder.
//
//fault:folder-goes a session that ends removes the folder of the claim, or the run folder, while another one looks at it | the other one begins all the same
func TestAFolderThatGoes(t *testing.T) {
	t.Parallel()
	stat, err := exec.LookPath("stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"var/lockstep", "run/lockstep"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, "sh")
			bin := filepath.Join(i.dir, "bin")
			if err := errors.Join(os.Mkdir(bin, 0o755), os.MkdirAll(filepath.Join(i.dir, folder), 0o700)); err != nil {
				t.Fatal(err)
			}
			i.script("bin/stat", `#!/bin/sh
for last; do :; done
case $last in */`+folder+`) rmdir "$last" 2>/dev/null && echo >>`+bin+`/gone ;; esac
exec `+stat+` "$@"
`)
			i.Client.target = login{i.target, "PATH=" + bin + ":$PATH; export PATH; "}
			if _, err := i.Claim(i.ctx(), ClaimRequest{Key: "k", Owner: "o", Run: "r1", Term: 1}); err != nil {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(filepath.Join(bin, "gone")); err != nil {
				t.Errorf("nothing was taken away: %v", err)
			}
		})
	}
}

// TestAFolderOfOthers: what others may change, or what is not a folder, is refused.
func TestAFolderOfOthers(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(string) error{
		"others may read it":      func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o750)) },
		"others may pass through": func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o701)) },
		"others may write to it":  func(path string) error { return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, 0o720)) },
		"a file":                  func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"a link":                  func(path string) error { return os.Symlink("/", path) },
		"a link to nothing":       func(path string) error { return os.Symlink("nowhere", path) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, "sh")
			path := filepath.Join(i.dir, "var/lockstep")
			if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), make(path)); err != nil {
				t.Fatal(err)
			}
			_, err := i.Claim(i.ctx(), ClaimRequest{Key: "k", Owner: "o", Run: "r1", Term: 1})
			if err == nil || !strings.Contains(err.Error(), "must be a folder of our own") {
				t.Errorf("got %v", err)
			}
		})
	}
}
