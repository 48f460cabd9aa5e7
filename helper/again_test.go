package helper_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/helper"
	"lockstep/helper/helpertest"
)

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	ok(t, unix.Stat(path, &st))
	return st.Ino
}

// TestWhatChangesBehindItsBack: a file that has been read is changed while the next one
// is.
//
//fault:helper-late-change a file is changed when the helper has read it, and reads on | all is looked at once more: the helper says that something changed, and all is listed again
func TestWhatChangesBehindItsBack(t *testing.T) {
	t.Parallel()
	file := helpertest.File(t)
	for name, test := range map[string]struct {
		change func(path string) error
		exit   int
	}{
		"nothing": {func(string) error { return nil }, 0},
		"read":    {func(path string) error { _, err := os.ReadFile(path); return err }, 0},
		"appended": {func(path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteString("more")
				err = errors.Join(err, f.Close())
			}
			return err
		}, helper.ExitTouched},
		"overwritten": {func(path string) error { return os.WriteFile(path, []byte("othe"), 0o600) }, helper.ExitTouched},
		"replaced": {func(path string) error {
			return errors.Join(os.WriteFile(path+"+", []byte("then"), 0o600), os.Rename(path+"+", path))
		}, helper.ExitTouched},
		"removed": {os.Remove, helper.ExitTouched},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			first, second := filepath.Join(dir, "sub", "x"), filepath.Join(dir, "sub", "y")
			ok(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
			ok(t, os.WriteFile(first, []byte("then"), 0o600))
			ok(t, os.WriteFile(second, make([]byte, 8<<20), 0o600))
			if inode(t, first) > inode(t, second) {
				first, second = second, first // it is read first
				ok(t, os.WriteFile(first, []byte("then"), 0o600))
				ok(t, os.WriteFile(second, make([]byte, 8<<20), 0o600))
			}
			c := exec.Command(file, "pack")
			c.Dir = dir
			out, err := c.StdoutPipe()
			ok(t, err)
			ok(t, c.Start())
			_, err = io.CopyN(io.Discard, out, 2<<20)
			ok(t, err)
			ok(t, test.change(first))
			_, err = io.Copy(io.Discard, out)
			ok(t, err)
			_ = c.Wait()
			if got := c.ProcessState.ExitCode(); got != test.exit {
				t.Errorf("exit %d, not %d", got, test.exit)
			}
		})
	}
}
