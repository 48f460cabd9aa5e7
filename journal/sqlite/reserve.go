package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"lockstep"
)

// reserveSize is what unlocking a deployment of 1,000 instances writes, some
// times over.
const reserveSize = 8 << 20

func reservePath(dir string) string { return filepath.Join(dir, "reserve") }

// makeReserve makes the reserve if there is none and room for half as much
// again: it must not take the space that it was released for. That it cannot
// be made is not an error here: a full disk must not stop an unlock. See
// CheckReserve.
func makeReserve(dir string) {
	path := reservePath(dir)
	if info, err := os.Stat(path); err == nil && info.Size() == reserveSize {
		return
	}
	if free, err := freeSpace(dir); err != nil || free < reserveSize*3/2 {
		return
	}
	if err := writeReserve(path); err != nil {
		_ = os.Remove(path)
	}
}

// freeSpace is what the folder's file system has left, in bytes.
func freeSpace(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return st.Bavail * uint64(st.Bsize), nil
}

// writeReserve writes bytes that no file system can compress or leave out.
func writeReserve(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	noise := make([]byte, reserveSize)
	if _, err := rand.NewChaCha8([32]byte{}).Read(noise); err != nil {
		return err
	}
	if _, err := f.Write(noise); err != nil {
		return err
	}
	return f.Sync()
}

// CheckReserve says why unlocking could not be recorded if the disk were full:
// the reserve is not there. Whoever is about to lock asks first. It is made
// when a journal is opened with room for it, gone once it was needed, and made
// again here when there is room again: a server is not started anew for that.
func (j *Journal) CheckReserve(context.Context) error {
	makeReserve(j.dir)
	info, err := os.Stat(reservePath(j.dir))
	if err == nil && info.Size() == reserveSize {
		return nil
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the reserve of %d MiB is not there: the disk is, or was, full", reserveSize>>20)
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: fmt.Sprintf("check state folder %q", j.dir), Err: err,
		Hint: "free some space on its file system and try again",
	}
}

// releaseReserve gives the reserve's space back to the file system, and
// reports whether there was any.
func releaseReserve(dir string) bool { return os.Remove(reservePath(dir)) == nil }

// diskFull reports whether a write failed for want of space. SQLite says so of
// some writes, and says "I/O error" of others.
func diskFull(dir string, err error) bool {
	switch {
	case saysFull(err):
		return true
	case sqliteCode(err) == codeIOErr:
		free, err := freeSpace(dir)
		return err == nil && free < 256<<10
	}
	return false
}
