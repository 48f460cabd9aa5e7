// Package spill keeps what transfers must remember of their artifacts in little
// memory: a short list of entries as it is, a long one sorted in a temporary file.
//
// All lists of a process share one Pool. Nobody waits for memory of a list: one
// that gets none makes do with the little that it has, and writes sooner. So no two
// transfers can ever wait for each other. What must be in memory as a whole is taken
// from a part of its own, one at a time where it is large (Pool.Hold).
package spill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"lockstep"
)

// DefaultBudget is how much memory the lists of a process take, in bytes, unless
// its configuration says otherwise, and MinBudget the least that it may say.
const (
	DefaultBudget = 128 << 20
	MinBudget     = 16 << 20
)

// Pool is an amount of memory, and the folder that takes what it does not hold. It
// may be used concurrently.
type Pool struct {
	dir    string
	lists  int64 // bytes for lists, which are never waited for
	share  int64 // of one list
	used   atomic.Int64
	wholes int64 // bytes for what is in memory as a whole
	held   *semaphore.Weighted
	names  int64 // bytes that the names of one list may have, on their way too
	places int   // of one list; see lockstep.Places
}

// NewPool is a pool of so many bytes whose files lie in dir.
func NewPool(budget int64, dir string) *Pool {
	p := &Pool{dir: dir, lists: budget / 2, wholes: budget / 2, names: lockstep.MaxNameBytes, places: lockstep.MaxEntries}
	p.share = p.lists / 8
	p.held = semaphore.NewWeighted(p.wholes)
	return p
}

var shared atomic.Pointer[Pool]

func init() { Configure(DefaultBudget, "") }

// Configure makes the pool that the process shares. What was begun before keeps
// the old one. Dir "" is the folder that TMPDIR names, or /var/tmp: what lies in
// /tmp is in memory on many machines.
func Configure(budget int64, dir string) {
	if dir == "" {
		if dir = os.Getenv("TMPDIR"); dir == "" {
			dir = "/var/tmp"
		}
	}
	shared.Store(NewPool(budget, dir))
}

// Shared is the pool of the process.
func Shared() *Pool { return shared.Load() }

// take asks for memory of a list, and never waits for it.
func (p *Pool) take(n int64) bool {
	if p.used.Add(n) <= p.lists {
		return true
	}
	p.used.Add(-n)
	return false
}

func (p *Pool) give(n int64) { p.used.Add(-n) }

// grant is what a list in memory has of a pool. Its owner gives it back; one that is
// forgotten is given back when nobody has it any more.
type grant struct {
	pool *Pool
	n    atomic.Int64
}

func newGrant(p *Pool, n int64) *grant {
	g := &grant{pool: p}
	g.n.Store(n)
	return g
}

func (g *grant) giveBack() {
	if g != nil {
		g.pool.give(g.n.Swap(0))
	}
}

// Hold waits for n bytes for something that is in memory as a whole, or for all
// that there are if n is more: then nothing else is held meanwhile. Whoever holds
// some must not ask again before release, nor wait for anybody who may ask.
func (p *Pool) Hold(ctx context.Context, n int64) (release func(), err error) {
	n = min(max(n, 0), p.wholes)
	if err := p.held.Acquire(ctx, n); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { p.held.Release(n) }, nil
}

// ErrSpill is wrapped by errors of temporary files. They say nothing of the data
// that was read.
var ErrSpill = errors.New("a temporary file failed")

// file makes a file that nobody sees, and that is gone when it is closed or its
// process has ended, however that did.
func (p *Pool) file() (*os.File, error) {
	f, err := unnamed(p.dir)
	if errors.Is(err, errors.ErrUnsupported) {
		if f, err = os.CreateTemp(p.dir, "lockstep-spill-*"); err == nil {
			if err = os.Remove(f.Name()); err != nil {
				f.Close()
			}
		}
	}
	if err != nil {
		return nil, p.trouble(err)
	}
	return f, nil
}

// trouble is an error of a temporary file, for people.
func (p *Pool) trouble(err error) error {
	hint := fmt.Sprintf("lists of very many entries are sorted there; make room in %s", p.dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		hint = fmt.Sprintf("lists of very many entries are sorted there; make the folder %s, or let this program write there", p.dir)
	}
	return &lockstep.Error{Op: "write a temporary file in " + p.dir, Err: fmt.Errorf("%w: %w", ErrSpill, err), Hint: hint}
}
