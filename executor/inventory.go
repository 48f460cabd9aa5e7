package executor

import (
	"context"
	"fmt"

	"lockstep"
	"lockstep/launcher"
	"lockstep/spill"
)

// inventory is what an instance says that a folder holds, once it has.
type inventory struct {
	done   chan struct{}
	cancel context.CancelFunc
	digest string
	// entries are nil where there are more than remembered: inventories wait for
	// the verify step, all of a run at once.
	entries *spill.List
	err     error
}

// remembered is up to how many entries an inventory is kept, to say in what it
// differs. That two are equal their digests say.
const remembered = 10_000

// keep keeps of a list, which it takes over, what the verify step needs.
func (i *inventory) keep(list *spill.List, err error) {
	i.entries.Close()
	i.digest, i.entries, i.err = "", nil, err
	if err != nil {
		return
	}
	i.digest = list.Digest()
	if list.Len() <= remembered && list.Wait() {
		i.entries = list
	} else {
		list.Close()
	}
}

// drop ends the use of an inventory that is done, or will never be.
func (i *inventory) drop() {
	i.cancel()
	go func() {
		<-i.done
		i.entries.Close()
	}()
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
		for anew := e.anew(); ; {
			inv.keep(takeInventory(ctx, c, dir))
			if !anew.again(ctx, inv.err) {
				return
			}
		}
	}()
	e.setInventory(artifact, inv)
	return inv
}

// setInventory puts an inventory in place of one that an earlier try took.
func (e *Executor) setInventory(artifact string, inv *inventory) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.inventories[artifact]; old != nil {
		old.drop()
	}
	e.inventories[artifact] = inv
}

// keepInventory keeps for the verify step what was listed on the way.
func (e *Executor) keepInventory(artifact string, l *listing) {
	inv := &inventory{done: make(chan struct{}), cancel: func() {}}
	inv.keep(l.list())
	close(inv.done)
	e.setInventory(artifact, inv)
}

// dropInventory forgets what was begun or kept beside a transfer of something that
// changed: it may be of another moment than the artifact.
func (e *Executor) dropInventory(artifact string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.touched[artifact] = true
	if inv := e.inventories[artifact]; inv != nil {
		inv.drop()
		delete(e.inventories, artifact)
	}
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

func (i *inventory) wait(ctx context.Context) error {
	select {
	case <-i.done:
		return i.err
	case <-ctx.Done():
		i.cancel()
		return context.Cause(ctx)
	}
}

// takeInventory lists and digests a folder on an instance, as an entry list.
func takeInventory(ctx context.Context, c *launcher.Client, dir string) (*spill.List, error) {
	l := newListing(ctx)
	defer l.close()
	if err := c.Inventory(ctx, dir, l.add); err != nil {
		return nil, err
	}
	return l.list()
}

// listing makes an entry list of a launcher's items.
type listing struct {
	entries *spill.Builder
	last    inode  // of the file with several names that came last
	first   string // the name of it that came first
	err     error  // the first one
}

func newListing(ctx context.Context) *listing {
	return &listing{entries: spill.NewBuilder(ctx, spill.Shared())}
}

func (l *listing) close() { l.entries.Close() }

func (l *listing) add(i launcher.Item) {
	if l.err != nil || i.Type == 's' {
		return // no archive has a socket; the collect step says so
	}
	e, err := l.entryOf(i)
	if err == nil {
		err = l.entries.Add(e)
	}
	l.err = err
}

func (l *listing) list() (*spill.List, error) {
	if l.err != nil {
		return nil, l.err
	}
	return l.entries.List()
}

type inode struct{ dev, ino uint64 }

// entryOf is one item as an entry. Of several names of one file, which come one after
// another, the first is the file and the others link to it; the list's canonical form
// does not depend on which.
func (l *listing) entryOf(i launcher.Item) (lockstep.Entry, error) {
	e := lockstep.Entry{Path: i.Path, Mode: i.Mode, UID: int(i.UID), GID: int(i.GID), MTime: lockstep.EntryTime(i.ModTime)}
	if e.Path == "" {
		e.Path = "."
	}
	switch i.Type {
	case 'd':
		e.Type = lockstep.EntryDir
	case 'l':
		e.Type, e.Link, e.MTime, e.Mode = lockstep.EntrySymlink, i.Link, 0, 0o777
	case 'f':
		if i.Links > 1 { // only then there may be another name
			id := inode{i.Dev, i.Inode}
			if id == l.last && l.first != "" {
				e.Type, e.Link, e.MTime = lockstep.EntryHardlink, l.first, 0
				return e, nil
			}
			l.last, l.first = id, i.Path
		}
		e.Type, e.Size, e.Sum = lockstep.EntryFile, i.Size, i.SHA256
	default:
		return e, &lockstep.Error{
			Op: fmt.Sprintf("entry %q", i.Path), Err: fmt.Errorf("a file of type %q (device or FIFO) cannot be kept", i.Type),
			Hint: "the backup script must leave files, folders and links only",
		}
	}
	return e, nil
}
