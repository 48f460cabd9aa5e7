package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"lockstep"
)

// prepareFolder makes the state folder if there is none, refuses one that is
// not safe to keep a journal in, and returns its absolute path.
func prepareFolder(dir string) (string, error) {
	op := fmt.Sprintf("open state folder %q", dir)
	if dir == "" {
		return "", &lockstep.Error{Kind: lockstep.KindInvalid, Op: "open state folder", Err: errors.New("it has no name"), Hint: "set state_dir in the configuration"}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	if err := makeFolder(abs); err != nil {
		return "", &lockstep.Error{Op: op, Err: err, Hint: "set state_dir in the configuration to a folder that you may write to"}
	}
	if err := checkFolder(abs, os.Geteuid()); err != nil {
		return "", err
	}
	if err := makeFolder(filepath.Join(abs, "locks")); err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	return abs, nil
}

// makeFolder makes a folder of mode 0700, durably, with those above it.
func makeFolder(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// checkFolder refuses a folder of somebody else, one that others can write to,
// and one that is not on this host.
func checkFolder(dir string, uid int) error {
	refuse := func(hint, format string, args ...any) error {
		return &lockstep.Error{Kind: lockstep.KindRefused, Op: fmt.Sprintf("open state folder %q", dir), Err: fmt.Errorf(format, args...), Hint: hint}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("open state folder: %w", err)
	}
	if !info.IsDir() {
		return refuse("set state_dir in the configuration to a folder", "it is not a folder")
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != uid {
		return refuse("run lockstep as that user, or set state_dir to a folder of your own", "it belongs to user %d, and this is user %d", st.Uid, uid)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return refuse(fmt.Sprintf("look who wrote to it, then: chmod go-w %q", dir), "others may write to it (mode %04o)", info.Mode().Perm())
	}
	remote, err := remoteFilesystem(dir)
	if err != nil {
		return fmt.Errorf("open state folder %q: %w", dir, err)
	}
	if remote != "" {
		return refuse("set state_dir in the configuration to a folder on a local disk",
			"it is on a network file system (%s), where locks do not reach other hosts", remote)
	}
	return nil
}

// makeDatabase makes an empty database file that only its owner can read;
// SQLite gives its other files the same mode. A file that is there is not
// opened: see databasePath.
func makeDatabase(dir string) error {
	path := databasePath(dir)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &lockstep.Error{Kind: lockstep.KindRefused, Err: errors.New("it is not a regular file"), Hint: "move it away"}
	case info.Mode().Perm()&0o077 != 0:
		return os.Chmod(path, 0o600)
	default:
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return syncFolder(dir)
}
