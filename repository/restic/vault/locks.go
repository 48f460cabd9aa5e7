package vault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"lockstep"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
)

// Times of locks.
const (
	refreshEvery = 5 * time.Minute
	// lostAfter is when others may soon call an unrefreshed lock stale.
	lostAfter = format.StaleAfter - 5*time.Minute
	// lockWait is for how long a writer waits for one that prunes.
	lockWait  = 10 * time.Minute
	lockRetry = time.Second
)

// ErrLocked: somebody else uses the repository so that it cannot be used.
var ErrLocked = errors.New("the repository is locked")

// keeper holds the shared lock of this process for as long as anybody uses it.
type keeper struct {
	vault *Vault

	// gate has one token, which is whose turn it is. One who is alone has it all the
	// time: who waits for them goes when they are told to.
	gate  chan struct{}
	users int
	held  atomic.Pointer[held] // nil while nobody uses it; changed with the token
	unpin func()               // lets the store's place be exchanged; set with held
}

func newKeeper(v *Vault) keeper { return keeper{vault: v, gate: make(chan struct{}, 1)} }

func (k *keeper) enter(ctx context.Context) error {
	select {
	case k.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("lock repository: wait for who has it alone: %w", context.Cause(ctx))
	}
}

func (k *keeper) exit() { <-k.gate }

// Pin has the store's place stay the same until unpin, or what uses it fail with an
// error that wraps repository.ErrUnavailable. Who holds a lock has it pinned.
func (v *Vault) Pin() (unpin func(), err error) {
	if s, ok := v.store.(store.Pinned); ok {
		return s.Pin()
	}
	return func() {}, nil
}

// held is one lock file, refreshed until it is given back.
type held struct {
	vault     *Vault
	exclusive bool
	stop      context.CancelFunc
	stopped   chan struct{}

	mu        sync.Mutex
	id        format.ID
	refreshed time.Time
	lost      error
}

// Use takes part in the shared lock: until release nobody removes packs, and
// what the index knows is there. It waits for one who holds the repository
// alone. release may be called once.
func (v *Vault) Use(ctx context.Context) (release func(), err error) {
	k := &v.locks
	if err := k.enter(ctx); err != nil {
		return nil, err
	}
	defer k.exit()
	if k.users == 0 {
		unpin, err := v.Pin()
		if err != nil {
			return nil, err
		}
		h, err := v.lockWaiting(ctx)
		if err != nil {
			unpin()
			return nil, err
		}
		if err := v.Refresh(ctx); err != nil {
			h.giveBack(ctx)
			unpin()
			return nil, err
		}
		k.unpin = unpin
		k.held.Store(h)
	}
	k.users++
	return func() { k.release(ctx) }, nil
}

func (k *keeper) release(ctx context.Context) {
	k.gate <- struct{}{} // nobody has it for long while there are users
	defer k.exit()
	if k.users--; k.users > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
	defer cancel()
	k.vault.leave(ctx)
	k.held.Swap(nil).giveBack(ctx)
	k.unpin()
}

// still refuses to go on where the lock was lost: what the index said may be
// gone.
func (k *keeper) still(ctx context.Context) error {
	h := k.held.Load()
	if h == nil {
		return errors.New("nobody holds a lock of the repository")
	}
	return h.still(ctx, wallTime())
}

// UseReading is Use for those who only read: where no lock can be written, as
// on a medium that is read-only, they go without.
func (v *Vault) UseReading(ctx context.Context) (release func(), err error) {
	release, err = v.Use(ctx)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		unpin, err := v.Pin()
		if err != nil {
			return nil, err
		}
		if err := v.Refresh(ctx); err != nil {
			unpin()
			return nil, err
		}
		return unpin, nil
	}
	return release, err
}

// UseAlone takes the exclusive lock: nobody else uses the repository until
// release, in this process or another. It does not wait.
func (v *Vault) UseAlone(ctx context.Context) (release func(), err error) {
	k := &v.locks
	if err := k.enter(ctx); err != nil {
		return nil, err
	}
	if k.users > 0 {
		k.exit()
		return nil, lockedBy("by a backup or a restore of this process")
	}
	unpin, err := v.Pin()
	if err != nil {
		k.exit()
		return nil, err
	}
	h, err := v.lock(ctx, true)
	if err == nil {
		if err = v.Refresh(ctx); err != nil {
			h.giveBack(ctx)
		}
	}
	if err != nil {
		unpin()
		k.exit()
		return nil, err
	}
	k.held.Store(h) // and the token stays away: nobody else begins
	return func() {
		k.held.Swap(nil).giveBack(ctx)
		unpin()
		k.exit()
	}, nil
}

func (v *Vault) lockWaiting(ctx context.Context) (*held, error) {
	until := time.Now().Add(lockWait)
	for {
		h, err := v.lock(ctx, false)
		if !errors.Is(err, ErrLocked) || time.Now().After(until) {
			return h, err
		}
		select {
		case <-time.After(lockRetry):
		case <-ctx.Done():
			return nil, errors.Join(err, context.Cause(ctx))
		}
	}
}

// lock writes a lock, then looks whether another one stands against it. Who
// comes at the same time sees this one, or is seen.
func (v *Vault) lock(ctx context.Context, exclusive bool) (*held, error) {
	now := wallTime()
	id, err := v.saveFile(ctx, locksDir, format.NewLock(exclusive, now))
	if err != nil {
		return nil, fmt.Errorf("lock repository: %w", err)
	}
	h := &held{vault: v, exclusive: exclusive, id: id, refreshed: now, stopped: make(chan struct{})}
	if err := v.against(ctx, id, exclusive); err != nil {
		_ = v.removeLock(context.WithoutCancel(ctx), id)
		return nil, err
	}
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = stop
	go h.keep(keep)
	return h, nil
}

// against looks for another lock that excludes ours. Stale ones are removed:
// their owner is gone.
func (v *Vault) against(ctx context.Context, own format.ID, exclusive bool) error {
	locks, err := v.Locks(ctx)
	if err != nil {
		return fmt.Errorf("lock repository: %w", err)
	}
	for _, l := range locks {
		switch {
		case l.ID == own:
		case l.Stale:
			if err := v.removeLock(ctx, l.ID); err != nil {
				return fmt.Errorf("remove stale lock: %w", err)
			}
		case exclusive || l.Exclusive:
			return lockedBy("with an " + l.String())
		}
	}
	return nil
}

func lockedBy(whom string) error {
	return &lockstep.Error{
		Kind: lockstep.KindConflict, Op: "lock repository", Err: fmt.Errorf("%w %s", ErrLocked, whom),
		Hint: "wait until it has ended; if its process is gone for good, `lockstep repository unlock`",
	}
}

// HeldLock is a lock of the repository.
type HeldLock struct {
	ID format.ID
	format.Lock
	// Stale: its owner is gone.
	Stale bool
}

// Locks lists the locks of the repository, ours and others'.
func (v *Vault) Locks(ctx context.Context) ([]HeldLock, error) {
	there, err := v.list(ctx, locksDir)
	if err != nil {
		return nil, err
	}
	host, _ := format.Whoami()
	var locks []HeldLock
	err = v.loadFiles(ctx, locksDir, there, func(id format.ID, b []byte, err error) error {
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		var l format.Lock
		if err == nil {
			l, err = format.ParseLock(b)
		}
		if err != nil {
			return &lockstep.Error{Op: fmt.Sprintf("read lock %s", id.Short()), Err: err, Hint: "if nobody uses the repository, `lockstep repository unlock --all`"}
		}
		locks = append(locks, HeldLock{id, l, l.Stale(time.Now(), host, alive)})
		return nil
	})
	return locks, err
}

// alive reports whether this host has a process of that number.
func alive(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

// Unlock removes stale locks, or with all every lock, and says how many.
func (v *Vault) Unlock(ctx context.Context, all bool) (int, error) {
	if all {
		there, err := v.list(ctx, locksDir)
		for id := range there {
			err = errors.Join(err, v.removeLock(ctx, id))
		}
		return len(there), err
	}
	locks, err := v.Locks(ctx)
	n := 0
	for _, l := range locks {
		if l.Stale {
			n++
			err = errors.Join(err, v.removeLock(ctx, l.ID))
		}
	}
	return n, err
}

func (v *Vault) removeLock(ctx context.Context, id format.ID) error {
	err := v.hide(ctx, fileName(locksDir, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// keep refreshes the lock until it is given back.
func (h *held) keep(ctx context.Context) {
	defer close(h.stopped)
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.refresh(ctx)
		}
	}
}

// refresh writes the lock anew and removes the old one. One that was removed by
// somebody is lost.
func (h *held) refresh(ctx context.Context) {
	now := wallTime()
	id, err := h.vault.saveFile(ctx, locksDir, format.NewLock(h.exclusive, now))
	if err != nil {
		return // the next one may do better
	}
	h.mu.Lock()
	old := h.id
	late := now.Sub(h.refreshed) > lostAfter
	h.id, h.refreshed = id, now
	h.mu.Unlock()
	err = h.vault.hide(ctx, fileName(locksDir, old))
	if late || errors.Is(err, store.ErrNotFound) {
		h.mu.Lock()
		h.lost = errRemoved
		h.mu.Unlock()
	}
}

// wallTime is what the time of a lock is compared with: the monotonic clock
// stands still while a machine sleeps, and others' clocks do not.
func wallTime() time.Time { return time.Now().Round(0) }

// still refuses where the lock was not refreshed for too long, or its file is
// gone. One that cannot be looked at does not count as held.
func (h *held) still(ctx context.Context, now time.Time) error {
	h.mu.Lock()
	id, refreshed, err := h.id, h.refreshed, h.lost
	h.mu.Unlock()
	if err == nil && now.Sub(refreshed) > lostAfter {
		err = fmt.Errorf("the lock of the repository was not refreshed since %s", refreshed.UTC().Format(time.RFC3339))
	}
	if err == nil {
		_, err = h.vault.store.Load(ctx, fileName(locksDir, id), longest(locksDir))
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("look whether the repository is still locked: %w", err)
		case h.renewed(id):
			return h.still(ctx, now)
		}
		err = errRemoved
	}
	return &lockstep.Error{Kind: lockstep.KindConflict, Op: "write to the repository", Err: err, Hint: "begin again: what was stored until now is used"}
}

// renewed reports whether the lock has another file than that by now.
func (h *held) renewed(id format.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.id != id
}

var errRemoved = errors.New("somebody removed this process's lock of the repository")

func (h *held) giveBack(ctx context.Context) {
	h.stop()
	<-h.stopped
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.vault.removeLock(context.WithoutCancel(ctx), h.id) // it becomes stale
}
