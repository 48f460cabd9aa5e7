package sqlite

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lockstep"
)

// PrepareFolder makes the state folder if there is none, refuses one that is
// not safe to keep a journal in, and returns its absolute path.
func PrepareFolder(dir string) (string, error) {
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
	if abs, err = behindLinks(abs, os.Geteuid()); err != nil {
		return "", err
	}
	if err := checkFolder(abs, os.Geteuid()); err != nil {
		return "", err
	}
	if err := narrow(abs); err != nil {
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
	if owner := ownerOf(info); owner != uid {
		return refuse(fmt.Sprintf("run lockstep as that user; or set state_dir to a folder of your own; or, if it was made for you: chown -R %d %q", uid, dir),
			"it belongs to user %d, and this is user %d", owner, uid)
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

// behindLinks is the path of a folder without symbolic links. systemd makes such
// links for a service with DynamicUser=, and administrators do for another disk.
// One that somebody else could lead elsewhere is refused.
func behindLinks(path string, uid int) (string, error) {
	refuse := func(link, format string, args ...any) error {
		return &lockstep.Error{
			Kind: lockstep.KindRefused, Op: fmt.Sprintf("open state folder %q", path), Err: fmt.Errorf(format, args...),
			Hint: fmt.Sprintf("look where it leads (ls -ld %q), then set state_dir to the folder itself", link),
		}
	}
	at := string(filepath.Separator)
	rest := strings.Split(strings.Trim(path, "/"), "/")
	for links := 0; len(rest) > 0; {
		above, name := at, rest[0]
		at, rest = filepath.Join(at, name), rest[1:]
		info, err := os.Lstat(at)
		if err != nil {
			return "", fmt.Errorf("open state folder %q: %w", path, err)
		}
		if info.Mode().Type() != fs.ModeSymlink {
			continue
		}
		if links++; links > 40 {
			return "", refuse(at, "its links lead in a circle")
		}
		if owner := ownerOf(info); owner != 0 && owner != uid {
			return "", refuse(at, "%s is a link of user %d, who can lead it elsewhere", at, owner)
		}
		if folder, err := os.Lstat(above); err != nil || folder.Mode().Perm()&0o022 != 0 && folder.Mode()&fs.ModeSticky == 0 {
			return "", refuse(at, "%s is a link in a folder in which others can replace it", at)
		}
		to, err := os.Readlink(at)
		if err != nil {
			return "", fmt.Errorf("open state folder %q: %w", path, err)
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(above, to)
		}
		at, rest = string(filepath.Separator), append(strings.Split(strings.Trim(filepath.Clean(to), "/"), "/"), rest...)
	}
	return at, nil
}

func ownerOf(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// narrow takes from others what they may do with a state folder: it holds what
// scripts printed. systemd makes a StateDirectory= with mode 0755, and so does
// mkdir. One in which other things lie is not ours alone, and is refused.
func narrow(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	ours, err := oursAlone(dir)
	if err == nil && ours {
		err = os.Chmod(dir, info.Mode().Perm()&0o700)
	}
	if err != nil {
		return fmt.Errorf("open state folder %q: %w", dir, err)
	}
	if ours {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: fmt.Sprintf("open state folder %q", dir),
		Err:  fmt.Errorf("others may look into it (mode %04o), and more lies in it than a journal", info.Mode().Perm()),
		Hint: fmt.Sprintf("set state_dir to a folder for lockstep alone, or, if nobody else needs this one: chmod go-rwx %q", dir),
	}
}

// oursAlone reports whether a folder is empty, or a journal is in it already.
func oursAlone(dir string) (bool, error) {
	if _, err := os.Lstat(databasePath(dir)); err == nil {
		return true, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	names, err := d.Readdirnames(16)
	if err == io.EOF {
		err = nil
	}
	for _, name := range names {
		// What a server keeps beside the journal may be there before it.
		if name != "lost+found" && name != "locks" && name != "heads" && name != "pepper" && name != "audit" {
			return false, errors.Join(err, d.Close())
		}
	}
	return true, errors.Join(err, d.Close())
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
