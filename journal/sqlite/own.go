package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/journal"
)

// ownership is one held lock of a deployment key. The lock is flock's: the
// system takes it back when the process is gone, and it is as exclusive within
// one process as between two.
type ownership struct {
	file *os.File
	once sync.Once
}

// ownerRecord is what the lock file says of its owner, for people.
type ownerRecord struct {
	Key   lockstep.DeploymentKey `json:"key"`
	Owner string                 `json:"owner"`
	PID   int                    `json:"pid"`
	Since time.Time              `json:"since"`
}

func (r ownerRecord) String() string {
	if r.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("%s, process %d, since %s", r.Owner, r.PID, r.Since.Format(time.RFC3339))
}

func (j *Journal) lockPath(key lockstep.DeploymentKey) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(j.dir, "locks", hex.EncodeToString(sum[:12])+".lock")
}

// Own implements journal.Journal.
func (j *Journal) Own(ctx context.Context, key lockstep.DeploymentKey, owner string) (func(), error) {
	op := fmt.Sprintf("own %s in %s", key, j.dir)
	if err := j.live(); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	f, err := openLock(j.lockPath(key))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if err := tryLock(ctx, f); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", op, err)
		}
		return nil, &lockstep.Error{
			Kind: lockstep.KindConflict, Op: op, Err: fmt.Errorf("%w: %s", journal.ErrOwned, readOwner(f)),
			Hint: "see its runs with: lockstep runs list",
		}
	}
	o := &ownership{file: f}
	record := ownerRecord{Key: key, Owner: owner, PID: os.Getpid(), Since: time.Now().UTC().Round(time.Second)}
	writeOwner(f, record)
	if err := j.keepOwned(o); err != nil {
		o.let()
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	faultpoint.Hit("journal.own.after")
	return func() { j.release(o) }, nil
}

// Owner implements journal.Journal. It shares the lock for a moment, which Own
// waits out.
func (j *Journal) Owner(_ context.Context, key lockstep.DeploymentKey) (string, error) {
	op := fmt.Sprintf("look for the owner of %s in %s", key, j.dir)
	if err := j.live(); err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	f, err := os.Open(j.lockPath(key))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", op, err)
	}
	defer f.Close()
	switch err := flock(f, unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return "", flock(f, unix.LOCK_UN)
	case errors.Is(err, unix.EWOULDBLOCK):
		r := readOwner(f)
		if r.PID == 0 {
			return r.String(), nil
		}
		return r.Owner, nil
	default:
		return "", fmt.Errorf("%s: %w", op, err)
	}
}

func (j *Journal) keepOwned(o *ownership) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	j.owned[o] = struct{}{}
	return nil
}

func (j *Journal) release(o *ownership) {
	j.mu.Lock()
	delete(j.owned, o)
	j.mu.Unlock()
	o.let()
}

// let gives the lock back. It unlocks before it closes: a child that is being
// started in this moment has the descriptor too, and would keep the lock until
// its exec.
func (o *ownership) let() {
	o.once.Do(func() {
		_ = o.file.Truncate(0)
		_ = flock(o.file, unix.LOCK_UN)
		_ = o.file.Close()
	})
}

// openLock opens a lock file, which is never deleted: two processes would
// lock two files of one name. Package os opens close-on-exec.
func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// tryLock locks the file for this descriptor alone. It tries for a tenth of a
// second, because Owner holds it for a moment; then the error is EWOULDBLOCK.
func tryLock(ctx context.Context, f *os.File) error {
	var err error
	for range 10 {
		if err = flock(f, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return err
}

// lockFile waits for a lock until ctx ends.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := openLock(path)
	if err != nil {
		return nil, err
	}
	for {
		err := tryLock(ctx, f)
		if err == nil {
			return (&ownership{file: f}).let, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			_ = f.Close()
			return nil, fmt.Errorf("wait for %s: %w", path, err)
		}
	}
}

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// writeOwner tells others who it is. That it could not, because the disk is
// full, must not stop anybody who has the lock from unlocking a deployment.
func writeOwner(f *os.File, r ownerRecord) {
	b, err := json.Marshal(r)
	if err != nil || f.Truncate(0) != nil {
		return
	}
	_, _ = f.WriteAt(append(b, '\n'), 0)
}

// readOwner is what the file says; the zero record if its owner has not
// written it, or not yet.
func readOwner(f *os.File) ownerRecord {
	var r ownerRecord
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 64<<10))
	if err != nil || json.Unmarshal(b, &r) != nil {
		return ownerRecord{}
	}
	return r
}
