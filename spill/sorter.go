package spill

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
)

const (
	// first is what a sorter begins with, least what it has without asking for it.
	first = 8 << 10
	least = 256 << 10
	// perSlot is how many bytes of records there are for each place of a record.
	perSlot = 16
	// MaxRecord is how long key and value of a record may be together.
	MaxRecord = least - 64
	// runBuffer is what one sorted run is read with.
	runBuffer = 16 << 10
)

// Sorter sorts records: by key, and those of one key by value, as bytes. It serves
// one caller. Close ends its use.
type Sorter struct {
	ctx  context.Context
	pool *Pool

	arena []byte   // records, one behind another
	at    []uint32 // where each begins
	taken int64    // from the pool

	file *os.File // sorted runs, one behind another
	size int64
	runs []run
}

// run is a sorted part of a file.
type run struct{ from, to int64 }

// NewSorter makes a sorter that gives up when ctx ends.
func NewSorter(ctx context.Context, p *Pool) *Sorter { return &Sorter{ctx: ctx, pool: p} }

// Close gives back what the sorter, and a cursor over it, have.
func (s *Sorter) Close() {
	s.pool.give(s.taken)
	s.arena, s.at, s.taken, s.runs = nil, nil, 0, nil
	if s.file != nil {
		s.file.Close() // nothing in it is wanted
		s.file = nil
	}
}

// Add adds a record. It keeps neither of its arguments.
func (s *Sorter) Add(key, value []byte) error {
	need := 2*binary.MaxVarintLen32 + len(key) + len(value)
	if len(key)+len(value) > MaxRecord {
		return fmt.Errorf("a record of %d bytes is longer than %d", len(key)+len(value), MaxRecord)
	}
	for len(s.arena)+need > cap(s.arena) || len(s.at) == cap(s.at) {
		if !s.grow() {
			if err := s.write(); err != nil {
				return err
			}
		}
	}
	s.at = append(s.at, uint32(len(s.arena)))
	s.arena = appendRecord(s.arena, key, value)
	return nil
}

func appendRecord(b, key, value []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	return append(append(b, key...), value...)
}

// cutRecord takes apart a record that begins b.
func cutRecord(b []byte) (key, value []byte, size int) {
	k, n := binary.Uvarint(b)
	v, m := binary.Uvarint(b[n:])
	from := n + m
	size = from + int(k+v)
	return b[from : from+int(k)], b[from+int(k) : size], size
}

// weight is the memory of an arena of that size.
func weight(arena int) int64 { return int64(arena) + int64(arena)/perSlot*4 }

// grow doubles the arena, if there is memory for that.
func (s *Sorter) grow() bool {
	size := max(first, 2*cap(s.arena))
	var taken int64
	if size > least {
		if taken = weight(size); taken > s.pool.share || !s.pool.take(taken) {
			return false
		}
	}
	arena, at := make([]byte, len(s.arena), size), make([]uint32, len(s.at), size/perSlot)
	copy(arena, s.arena)
	copy(at, s.at)
	s.arena, s.at = arena, at
	s.pool.give(s.taken)
	s.taken = taken
	return true
}

func (s *Sorter) sort() {
	slices.SortFunc(s.at, func(a, b uint32) int {
		k, v, _ := cutRecord(s.arena[a:])
		l, w, _ := cutRecord(s.arena[b:])
		return compare(k, v, l, w)
	})
}

func compare(key, value, otherKey, otherValue []byte) int {
	if c := bytes.Compare(key, otherKey); c != 0 {
		return c
	}
	return bytes.Compare(value, otherValue)
}

// write makes what is in memory a run of the file.
func (s *Sorter) write() error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	s.sort()
	if s.file == nil {
		f, err := s.pool.file()
		if err != nil {
			return err
		}
		s.file = f
	}
	out := &writer{pool: s.pool, to: bufio.NewWriterSize(s.file, runBuffer)}
	for _, at := range s.at {
		_, _, n := cutRecord(s.arena[at:])
		out.sealed(s.arena[at : int(at)+n])
	}
	size, err := out.end()
	if err != nil {
		return err
	}
	s.runs = append(s.runs, run{s.size, s.size + size})
	s.size += size
	s.arena, s.at = s.arena[:0], s.at[:0]
	return nil
}

// writer writes to a temporary file; after an error it writes nothing more.
type writer struct {
	pool *Pool
	to   *bufio.Writer
	n    int64
	sum  [crc32.Size]byte
	err  error
}

func (w *writer) write(p []byte) {
	if w.err == nil {
		_, w.err = w.to.Write(p)
		w.n += int64(len(p))
	}
}

// sealed writes a record of a run with its checksum: a bit that a disk gives back
// otherwise would else be taken for what an instance or a repository said.
func (w *writer) sealed(record []byte) {
	w.write(record)
	w.write(binary.BigEndian.AppendUint32(w.sum[:0], crc32.Checksum(record, castagnoli)))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (w *writer) end() (int64, error) {
	if w.err == nil {
		w.err = w.to.Flush()
	}
	if w.err != nil {
		return w.n, w.pool.trouble(w.err)
	}
	return w.n, nil
}

// Sorted ends the adding and gives all records in order.
func (s *Sorter) Sorted() (*Cursor, error) {
	if len(s.runs) == 0 {
		s.sort()
		return &Cursor{sorter: s}, nil
	}
	if len(s.at) > 0 {
		if err := s.write(); err != nil {
			return nil, err
		}
	}
	s.arena, s.at = nil, nil
	fan := int(max(s.taken, least) / runBuffer)
	for len(s.runs) > fan {
		if err := s.mergeRuns(fan); err != nil {
			return nil, err
		}
	}
	m, err := s.merge(s.runs)
	return &Cursor{sorter: s, merged: m}, err
}

// mergeRuns makes one run of each so many.
func (s *Sorter) mergeRuns(fan int) error {
	f, err := s.pool.file()
	if err != nil {
		return err
	}
	out := &writer{pool: s.pool, to: bufio.NewWriterSize(f, runBuffer)}
	var merged []run
	for some := range slices.Chunk(s.runs, fan) {
		from := out.n
		if err = s.copyMerged(out, some); err != nil {
			break
		}
		merged = append(merged, run{from, out.n})
	}
	if err == nil {
		_, err = out.end()
	}
	if err != nil {
		f.Close()
		return err
	}
	s.file.Close() // all of it is in the new one
	s.file, s.runs = f, merged
	return nil
}

func (s *Sorter) copyMerged(out *writer, runs []run) error {
	m, err := s.merge(runs)
	if err != nil {
		return err
	}
	var buf []byte
	for n := 0; len(m.heads) > 0; n++ {
		if n%1024 == 0 && s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		buf = appendRecord(buf[:0], m.heads[0].key, m.heads[0].value)
		if out.sealed(buf); out.err != nil {
			return s.pool.trouble(out.err)
		}
		if err := m.advance(); err != nil {
			return err
		}
	}
	return nil
}

// merge begins to read those runs at once.
func (s *Sorter) merge(runs []run) (*merger, error) {
	m := &merger{pool: s.pool}
	for _, r := range runs {
		h := &head{in: bufio.NewReaderSize(io.NewSectionReader(s.file, r.from, r.to-r.from), runBuffer)}
		ok, err := h.next()
		if err != nil {
			return nil, s.pool.trouble(err)
		}
		if ok {
			m.push(h)
		}
	}
	return m, nil
}

// Cursor walks over sorted records. Close its sorter to end it.
type Cursor struct {
	sorter *Sorter
	i      int     // of the sorter's records in memory
	merged *merger // nil where they are all in memory
	begun  bool
	n      int

	// Key and Value are those of the current record, until the next one.
	Key, Value []byte
}

// Next goes to the next record, if there is one.
func (c *Cursor) Next() (bool, error) {
	if c.n++; c.n%1024 == 0 && c.sorter.ctx.Err() != nil {
		return false, context.Cause(c.sorter.ctx)
	}
	if c.merged == nil {
		if c.i == len(c.sorter.at) {
			return false, nil
		}
		c.Key, c.Value, _ = cutRecord(c.sorter.arena[c.sorter.at[c.i]:])
		c.i++
		return true, nil
	}
	if c.begun && len(c.merged.heads) > 0 {
		if err := c.merged.advance(); err != nil {
			return false, err
		}
	}
	c.begun = true
	if len(c.merged.heads) == 0 {
		return false, nil
	}
	c.Key, c.Value = c.merged.heads[0].key, c.merged.heads[0].value
	return true, nil
}
