package spill

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"iter"
	"os"
	"sort"

	"lockstep"
)

// List is every entry of an artifact in canonical form, as lockstep.EntryList is, in
// memory or in a temporary file. It serves one caller at a time. Close ends its use.
type List struct {
	pool   *Pool
	digest string
	n      int  // entries, the root folder counted
	root   bool // there is one

	small lockstep.EntryList // all of them, where there is no file
	taken *grant             // for small

	file  *os.File
	size  int64
	marks []mark
	block block
	tops  [][]byte // the paths at every so many marks, once a search has asked for them
	probe []byte
}

// mark is an entry of which is known where it is.
type mark struct {
	at int64
	i  int
}

// There is a mark after so many entries, or so many bytes.
const (
	markEntries = 32
	markBytes   = 16 << 10
)

// Close gives back what the list has.
func (l *List) Close() {
	if l == nil {
		return
	}
	l.taken.giveBack()
	l.small = nil
	if l.file != nil {
		l.file.Close() // nothing in it is wanted any more
		l.file, l.n = nil, 0
	}
}

// Count is the number of entries, the root folder not counted.
func (l *List) Count() int {
	if l.root {
		return l.n - 1
	}
	return l.n
}

// Len is the number of entries, the root folder counted.
func (l *List) Len() int { return l.n }

// Size is about how many bytes its entries take, less than they would in memory.
func (l *List) Size() int64 {
	size := l.size
	for _, e := range l.small {
		size += int64(60 + len(e.Path) + len(e.Link))
	}
	return size
}

// Digest is that of lockstep.EntryList.Digest.
func (l *List) Digest() string { return l.digest }

// Wait reports whether the list may wait in memory until somebody wants it: then all
// that it takes, also what it has without asking, is taken from the pool. A list in a
// file may not.
func (l *List) Wait() bool {
	if l.file != nil {
		return false
	}
	more := max(0, int64(len(l.small))*100+l.Size()-l.taken.n.Load())
	if !l.pool.take(more) {
		return false
	}
	l.taken.n.Add(more)
	return true
}

// All gives every entry, in order. An error is the last that is given; one comes
// too where the file does not give back what was written.
func (l *List) All() iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		if l.file == nil {
			for _, e := range l.small {
				if !yield(e, nil) {
					return
				}
			}
			return
		}
		sum := &digester{sum: sha256.New()}
		for e, err := range l.read() {
			if err == nil {
				sum.add(e)
			}
			if !yield(e, err) {
				return
			}
		}
		if sum.digest() != l.digest {
			yield(lockstep.Entry{}, l.pool.trouble(errChanged))
		}
	}
}

var errChanged = errors.New("it does not give back what was written")

// read gives what the file has.
func (l *List) read() iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		in := bufio.NewReaderSize(io.NewSectionReader(l.file, 0, l.size), 64<<10)
		var buf []byte
		for {
			key, value, next, ok, err := readRecord(in, buf)
			buf = next
			if err == nil && !ok {
				return
			}
			var e lockstep.Entry
			if err == nil {
				var ok bool
				if e, ok = decode(key, value); !ok {
					err = errChanged
				}
			}
			if err != nil {
				yield(lockstep.Entry{}, l.pool.trouble(err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Find gives the entry of a path.
func (l *List) Find(path string) (lockstep.Entry, bool, error) {
	if l.file == nil {
		e, ok := l.small.Find(path)
		return e, ok && e.Path == path, nil
	}
	e, _, ok, err := l.find(path)
	return e, ok, err
}

// Expects is lockstep.Finder.Expects of the list.
func (l *List) Expects(e lockstep.Entry) error { return lockstep.Finder(l.Find).Expects(e) }

// find is Find in the file, with the place of the entry.
func (l *List) find(path string) (e lockstep.Entry, i int, ok bool, err error) {
	key := []byte(path)
	if !l.block.has(key) {
		m, err := l.markOf(key)
		if err == nil && m >= 0 {
			err = l.load(m)
		}
		if err != nil || m < 0 {
			return e, 0, false, err
		}
	}
	for b, n := l.block.bytes, 0; len(b) > 0; n++ {
		k, v, size := cutRecord(b)
		if c := bytes.Compare(k, key); c > 0 {
			return e, 0, false, nil
		} else if c == 0 {
			e, err = l.pool.decode(k, v)
			return e, l.block.first + n, err == nil, err
		}
		b = b[size:]
	}
	return e, 0, false, nil
}

// at is the entry at a place.
func (l *List) at(i int) (lockstep.Entry, error) {
	if i < l.block.first || i >= l.block.first+l.block.n {
		above := sort.Search(len(l.marks), func(m int) bool { return l.marks[m].i > i })
		if err := l.load(above - 1); err != nil {
			return lockstep.Entry{}, err
		}
	}
	b := l.block.bytes
	for range i - l.block.first {
		_, _, size := cutRecord(b)
		b = b[size:]
	}
	k, v, _ := cutRecord(b)
	return l.pool.decode(k, v)
}

// maxTops bounds how many paths at marks are kept, topBytes how long each is.
const (
	maxTops  = 512
	topBytes = 512
)

// markOf is the last mark whose path is not behind that one, or -1. It looks at the
// kept paths first, so that few are read.
func (l *List) markOf(key []byte) (m int, err error) {
	if len(l.marks) == 0 {
		return -1, nil
	}
	stride := (len(l.marks) + maxTops - 1) / maxTops
	behind := func(m int) bool {
		if err != nil {
			return true
		}
		var path []byte
		path, err = l.pathAt(m, stride)
		return bytes.Compare(path, key) > 0
	}
	from := stride * sort.Search((len(l.marks)+stride-1)/stride, func(t int) bool { return behind(t * stride) })
	if from == 0 || err != nil {
		return -1, err
	}
	from -= stride
	n := min(stride, len(l.marks)-from)
	m = from + sort.Search(n-1, func(i int) bool { return behind(from + 1 + i) })
	return m, err
}

// pathAt is the path at a mark, until the next one is asked for. Those of every
// stride-th are kept.
func (l *List) pathAt(m, stride int) ([]byte, error) {
	if l.tops == nil {
		l.tops, l.probe = make([][]byte, (len(l.marks)+stride-1)/stride), make([]byte, 8*topBytes)
	}
	kept := m%stride == 0
	if kept && l.tops[m/stride] != nil {
		return l.tops[m/stride], nil
	}
	n, err := l.file.ReadAt(l.probe, l.marks[m].at)
	if err != nil && err != io.EOF {
		return nil, l.pool.trouble(err)
	}
	path, _, _, ok := tryRecord(l.probe[:n])
	if !ok { // a long one
		in := bufio.NewReader(io.NewSectionReader(l.file, l.marks[m].at, l.size-l.marks[m].at))
		if path, _, _, ok, err = readRecord(in, nil); err != nil || !ok {
			return nil, l.pool.trouble(errChanged)
		}
	}
	if kept && len(path) <= topBytes {
		l.tops[m/stride] = bytes.Clone(path)
	}
	return path, nil
}

// block is what lies between two marks.
type block struct {
	bytes    []byte
	first, n int
	last     []byte // the path of the last entry
}

// has reports whether a path is within the block.
func (b *block) has(key []byte) bool {
	if b.n == 0 || bytes.Compare(key, b.last) > 0 {
		return false
	}
	k, _, _ := cutRecord(b.bytes)
	return bytes.Compare(k, key) <= 0
}

// load reads the block that begins at a mark.
func (l *List) load(m int) error {
	from, to, end := l.marks[m], l.size, l.n
	if m+1 < len(l.marks) {
		to, end = l.marks[m+1].at, l.marks[m+1].i
	}
	b := &l.block
	b.n = 0
	if size := int(to - from.at); cap(b.bytes) < size {
		b.bytes = make([]byte, size)
	} else {
		b.bytes = b.bytes[:size]
	}
	if _, err := l.file.ReadAt(b.bytes, from.at); err != nil {
		return l.pool.trouble(err)
	}
	rest := b.bytes
	for range end - from.i {
		key, _, size, ok := tryRecord(rest)
		if !ok {
			return l.pool.trouble(errChanged)
		}
		b.last, rest = key, rest[size:]
	}
	if len(rest) > 0 {
		return l.pool.trouble(errChanged)
	}
	b.first, b.n = from.i, end-from.i
	return nil
}

// digester makes a list's digest of its entries, in order.
type digester struct {
	sum hash.Hash
	buf []byte
}

func (d *digester) add(e lockstep.Entry) {
	d.buf = e.AppendCanonical(d.buf[:0])
	d.sum.Write(d.buf)
}

func (d *digester) digest() string { return "sha256:" + hex.EncodeToString(d.sum.Sum(nil)) }
