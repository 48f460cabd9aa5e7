package executor

import (
	"context"
	"errors"
	"fmt"

	"lockstep"
	"lockstep/launcher"
	"lockstep/target"
)

// inventory is what an instance says that a folder holds, once it has.
type inventory struct {
	done    chan struct{}
	cancel  context.CancelFunc
	entries lockstep.EntryList
	err     error
}

// beginInventory has the instance list and digest a folder, while others move
// it; over a lost connection it is begun anew, as a transfer is. The result
// waits for the artifact's verify step.
func (e *Executor) beginInventory(ctx context.Context, c *launcher.Client, artifact, dir string) *inventory {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	inv := &inventory{done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(inv.done)
		defer cancel()
		for try := 1; ; try++ {
			inv.entries, inv.err = takeInventory(ctx, c, dir)
			if inv.err == nil || try == collectTries || ctx.Err() != nil || !errors.Is(inv.err, target.ErrLost) {
				return
			}
		}
	}()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inventories[artifact] = inv
	return inv
}

// keepInventory keeps for the verify step what was listed on the way.
func (e *Executor) keepInventory(artifact string, l *listing) {
	inv := &inventory{done: make(chan struct{}), cancel: func() {}}
	inv.entries, inv.err = l.list()
	close(inv.done)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inventories[artifact] = inv
}

// takeInventory finds the inventory that the collect step began, or begins
// one: after a recovery there is none.
func (e *Executor) takeInventory(ctx context.Context, t lockstep.Task) (*inventory, error) {
	e.mu.Lock()
	inv := e.inventories[t.Step.Artifact]
	delete(e.inventories, t.Step.Artifact)
	e.mu.Unlock()
	if inv != nil {
		return inv, nil
	}
	c, err := e.client(t)
	if err != nil {
		return nil, err
	}
	inv = e.beginInventory(ctx, c, t.Step.Artifact, artifactDir(t))
	e.mu.Lock()
	delete(e.inventories, t.Step.Artifact)
	e.mu.Unlock()
	return inv, nil
}

func (i *inventory) wait(ctx context.Context) (lockstep.EntryList, error) {
	select {
	case <-i.done:
		return i.entries, i.err
	case <-ctx.Done():
		i.cancel()
		return nil, context.Cause(ctx)
	}
}

// takeInventory lists and digests a folder on an instance, as an entry list.
func takeInventory(ctx context.Context, c *launcher.Client, dir string) (lockstep.EntryList, error) {
	var l listing
	if err := c.Inventory(ctx, dir, l.add); err != nil {
		return nil, err
	}
	return l.list()
}

// listing makes an entry list of a launcher's items. Its zero value is ready.
type listing struct {
	entries []lockstep.Entry
	first   map[inode]string // the first path seen of each file with several
	err     error            // the first one
}

func (l *listing) add(i launcher.Item) {
	if l.first == nil {
		l.first = map[inode]string{}
	}
	e, err := entryOf(i, l.first)
	l.entries = append(l.entries, e)
	if l.err == nil {
		l.err = err
	}
}

func (l *listing) list() (lockstep.EntryList, error) {
	if l.err != nil {
		return nil, l.err
	}
	return lockstep.NewEntryList(l.entries)
}

type inode struct{ dev, ino uint64 }

// entryOf is one item as an entry. Of several names of one file the first that
// comes is the file, the others link to it; the list's canonical form does not
// depend on which.
func entryOf(i launcher.Item, first map[inode]string) (lockstep.Entry, error) {
	e := lockstep.Entry{Path: i.Path, Mode: i.Mode, UID: int(i.UID), GID: int(i.GID), MTime: i.ModTime.UnixNano()}
	if e.Path == "" {
		e.Path = "."
	}
	switch i.Type {
	case 'd':
		e.Type = lockstep.EntryDir
	case 'l':
		e.Type, e.Link, e.MTime, e.Mode = lockstep.EntrySymlink, i.Link, 0, 0o777
	case 'f':
		id := inode{i.Dev, i.Inode}
		if home, ok := first[id]; ok && i.Links > 1 {
			e.Type, e.Link, e.MTime = lockstep.EntryHardlink, home, 0
			return e, nil
		}
		first[id] = i.Path
		e.Type, e.Size, e.Sum = lockstep.EntryFile, i.Size, i.SHA256
	default:
		return e, &lockstep.Error{
			Op: fmt.Sprintf("entry %q", i.Path), Err: fmt.Errorf("a file of type %q (device, FIFO or socket) cannot be kept", i.Type),
			Hint: "the backup script must leave files, folders and links only",
		}
	}
	return e, nil
}
