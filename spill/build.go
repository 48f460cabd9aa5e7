package spill

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"strings"

	"lockstep"
)

// A list of a Builder stays in memory up to largest bytes, of which it has granted
// without asking; it asks for them in steps.
const (
	granted = 256 << 10
	step    = 256 << 10
	largest = 4 << 20
)

// Builder makes a List of entries in any order. It serves one caller, and keeps what
// it was given only up to Close.
type Builder struct {
	ctx   context.Context
	pool  *Pool
	small []lockstep.Entry
	bytes int64 // that small takes, about
	taken int64

	sorter *Sorter // of those that are too many
	value  []byte
	links  bool // there is a hard link
	names  lockstep.NameBytes
}

// NewBuilder makes a Builder that gives up when ctx ends.
func NewBuilder(ctx context.Context, p *Pool) *Builder { return &Builder{ctx: ctx, pool: p} }

// Close gives back what the Builder has. Its List, if it made one, stays.
func (b *Builder) Close() {
	b.pool.give(b.taken)
	b.small, b.taken = nil, 0
	if b.sorter != nil {
		b.sorter.Close()
	}
}

// Add adds an entry. It may refuse at once what no list has.
func (b *Builder) Add(e lockstep.Entry) error {
	if b.sorter != nil {
		return b.sort(e)
	}
	// A slice that grows is there twice for a moment.
	b.bytes += int64(256 + len(e.Path) + len(e.Link))
	b.small = append(b.small, e)
	if b.bytes <= granted+b.taken {
		return nil
	}
	if b.bytes <= largest && b.pool.take(step) {
		b.taken += step
		return nil
	}
	b.sorter = NewSorter(b.ctx, b.pool)
	for _, e := range b.small {
		if err := b.sort(e); err != nil {
			return err
		}
	}
	b.pool.give(b.taken)
	b.small, b.taken = nil, 0
	return nil
}

func (b *Builder) sort(e lockstep.Entry) error {
	e, err := e.Canonical()
	if err != nil {
		return err
	}
	if err := b.names.Add(e, b.pool.names); err != nil {
		return err
	}
	b.links = b.links || e.Type == lockstep.EntryHardlink
	b.value = encode(b.value[:0], e)
	return b.sorter.Add([]byte(e.Path), b.value)
}

// List ends the adding. It refuses what lockstep.NewEntryList does.
func (b *Builder) List() (*List, error) {
	if b.sorter == nil {
		list, err := lockstep.NewEntryList(b.small)
		if err != nil {
			return nil, err
		}
		_, root := list.Find(".")
		l := &List{pool: b.pool, small: list, n: len(list), root: root, digest: list.Digest(), taken: newGrant(b.pool, b.taken)}
		runtime.AddCleanup(l, (*grant).giveBack, l.taken)
		b.small, b.taken = nil, 0
		return l, nil
	}
	l, err := b.sorted()
	if err != nil || !b.links {
		return l, err
	}
	again, err := l.rehome(b.ctx)
	l.Close()
	return again, err
}

// sorted writes the list, with hard links as they came.
func (b *Builder) sorted() (*List, error) {
	c, err := b.sorter.Sorted()
	if err != nil {
		return nil, err
	}
	w, err := newListWriter(b.pool)
	if err != nil {
		return nil, err
	}
	var above parents
	for {
		ok, err := c.Next()
		if err == nil && !ok {
			b.sorter.Close()
			return w.end()
		}
		var e lockstep.Entry
		if err == nil {
			e, err = b.pool.decode(c.Key, c.Value)
		}
		if err == nil {
			err = above.check(e)
		}
		if err == nil {
			err = w.add(e)
		}
		if err != nil {
			w.close()
			return nil, err
		}
	}
}

// parents refuses, of entries in order, what is there twice or below what is not a
// folder. It knows the entries whose paths begin the current one's: all that come
// between a folder and what is in it begin with its path.
type parents struct {
	begin []beginning
	path  string
	any   bool
}

type beginning struct {
	length int
	folder bool
}

func (p *parents) check(e lockstep.Entry) error {
	if p.any && e.Path == p.path {
		return fmt.Errorf("artifact entry %q: %w", e.Path, errTwice)
	}
	for len(p.begin) > 0 && !strings.HasPrefix(e.Path, p.path[:p.begin[len(p.begin)-1].length]) {
		p.begin = p.begin[:len(p.begin)-1]
	}
	for _, b := range p.begin {
		if !b.folder && e.Path[b.length] == '/' {
			return fmt.Errorf("artifact entry %q: %q is not a folder", e.Path, e.Path[:b.length])
		}
	}
	p.begin = append(p.begin, beginning{len(e.Path), e.Type == lockstep.EntryDir})
	p.path, p.any = e.Path, true
	return nil
}

// rehome is the list with the first name of each file as the file.
func (l *List) rehome(ctx context.Context) (*List, error) {
	release, err := l.pool.Hold(ctx, 8*int64(l.n))
	if err != nil {
		return nil, err
	}
	defer release()
	var links lockstep.Hardlinks
	i := 0
	for e, err := range l.read() {
		if err != nil {
			return nil, err
		}
		if e.Type == lockstep.EntryHardlink {
			to, at, ok, err := l.find(e.Link)
			if err != nil {
				return nil, err
			}
			if !ok || to.Type == lockstep.EntryDir || !links.Add(l.n, i, at) {
				return nil, e.Dangling()
			}
		}
		i++
	}
	if loop := links.Resolve(); loop >= 0 {
		e, err := l.at(loop)
		if err == nil {
			err = e.Dangling()
		}
		return nil, err
	}
	return l.renamed(&links)
}

func (l *List) renamed(links *lockstep.Hardlinks) (*List, error) {
	w, err := newListWriter(l.pool)
	if err != nil {
		return nil, err
	}
	i := 0
	for e, err := range l.read() {
		if home, first, ok := links.Group(i); ok && err == nil {
			e, err = l.renamedOne(e.Path, home, first)
		}
		if err == nil {
			err = w.add(e)
		}
		if err != nil {
			w.close()
			return nil, err
		}
		i++
	}
	return w.end()
}

func (l *List) renamedOne(path string, home, first int) (lockstep.Entry, error) {
	file, err := l.at(home)
	if err != nil {
		return file, err
	}
	name, err := l.at(first)
	return file.Named(path, name.Path), err
}

// listWriter writes a list to a file.
type listWriter struct {
	list  *List
	out   *writer
	sum   digester
	names lockstep.NameBytes
	place lockstep.Places
	value []byte
	buf   []byte
}

func newListWriter(p *Pool) (*listWriter, error) {
	f, err := p.file()
	if err != nil {
		return nil, err
	}
	return &listWriter{
		list: &List{pool: p, file: f}, sum: digester{sum: sha256.New()},
		out: &writer{pool: p, to: bufio.NewWriterSize(f, 64<<10)},
	}, nil
}

func (w *listWriter) close() { w.list.Close() }

func (w *listWriter) add(e lockstep.Entry) error {
	l := w.list
	if err := w.names.Add(e, l.pool.names); err != nil {
		return err
	}
	if err := w.place.Add(e, l.pool.places); err != nil {
		return err
	}
	last := len(l.marks) - 1
	if last < 0 || l.n-l.marks[last].i >= markEntries || w.out.n-l.marks[last].at >= markBytes {
		l.marks = append(l.marks, mark{w.out.n, l.n})
	}
	w.value = encode(w.value[:0], e)
	w.buf = appendRecord(w.buf[:0], []byte(e.Path), w.value)
	w.out.write(w.buf)
	if w.out.err != nil {
		return l.pool.trouble(w.out.err)
	}
	w.sum.add(e)
	l.n++
	l.root = l.root || e.Path == "."
	return nil
}

func (w *listWriter) end() (*List, error) {
	size, err := w.out.end()
	if err != nil {
		w.close()
		return nil, err
	}
	w.list.size, w.list.digest = size, w.sum.digest()
	return w.list, nil
}
