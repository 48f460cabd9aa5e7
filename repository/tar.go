package repository

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"sync"

	"lockstep"
	"lockstep/spill"
)

// Limits of an artifact: they bound what an instance can make an orchestrator keep.
const (
	// MaxEntries is how many entries an artifact may have.
	MaxEntries = lockstep.MaxEntries
	// MaxNameBytes is how long its paths and link targets may be together.
	MaxNameBytes = lockstep.MaxNameBytes
	// MaxName is how long one of them may be: more than any file system takes.
	MaxName = 64 << 10
)

// tarBuffersOf is the memory of one ReadTar beside its list. It is used again:
// many artifacts are much smaller than it.
type tarBuffersOf struct {
	in      *bufio.Reader
	content []byte
}

var tarBuffers = sync.Pool{New: func() any {
	return &tarBuffersOf{bufio.NewReaderSize(nil, tarHeaders), make([]byte, tarBuffer)}
}}

// ErrTar is wrapped by errors of ReadTar about a stream that is not a whole
// tar: cut off, altered, or of another format.
var ErrTar = errors.New("not a whole tar stream")

// tarBuffer is how much is read and digested at once. Reads of this size from
// a file's content go around the smaller buffer, which serves headers. Sixteen
// artifacts move at once, so what one takes counts.
const (
	tarBuffer  = 128 << 10
	tarHeaders = 32 << 10
)

// ReadTar reads a tar stream to its end and returns the canonical entry list
// of what it holds, digests of content included, and the stream's length with
// all padding. It understands GNU, ustar and pax, long names of any bytes and
// sparse files; a leading "./" of a name is dropped. It takes one pass, and ends with
// ctx, even inside the holes of a sparse file, which are digested without reading from
// r. A Read that blocks is not interrupted. The list is to be closed.
//
// It refuses, by name: devices, FIFOs and unknown types; absolute paths, "..",
// names that appear twice, links to nothing, entries below a link; more than
// MaxEntries entries or MaxNameBytes of names. A stream without its
// end-of-archive blocks, or with anything but zeros after them, wraps ErrTar.
// What r returns as error is returned wrapped.
func ReadTar(ctx context.Context, r io.Reader) (*spill.List, int64, error) {
	return readTar(ctx, r, MaxEntries, nil)
}

// doorkeeper is asked by readTar, while it reads, about what it reads.
type doorkeeper interface {
	// judged: everything before this byte of the stream has been accepted.
	judged(before int64)
	// accept is asked about each member when its header has been read; the
	// entry has no digest and no size yet.
	accept(lockstep.Entry) error
}

// readTar is ReadTar with a limit of entries and, unless it is nil, a
// doorkeeper.
func readTar(ctx context.Context, r io.Reader, limit int, door doorkeeper) (*spill.List, int64, error) {
	mem := tarBuffers.Get().(*tarBuffersOf)
	defer tarBuffers.Put(mem)
	mem.in.Reset(r)
	defer mem.in.Reset(nil)
	src := &tarSource{r: mem.in}
	t := &tarReader{ctx: ctx, src: src, tar: tar.NewReader(src), limit: limit, door: door, sum: sha256.New(), buf: mem.content, entries: spill.NewBuilder(ctx, spill.Shared())}
	defer t.entries.Close()
	if err := t.readAll(); err != nil {
		return nil, src.n, err
	}
	list, err := t.entries.List()
	if err != nil {
		return nil, src.n, t.unfit(err)
	}
	return list, src.n, nil
}

// unfit is the error of a list that no artifact has, or that could not be kept.
func (t *tarReader) unfit(err error) error {
	if t.ctx.Err() != nil || errors.Is(err, spill.ErrSpill) {
		return fmt.Errorf("read artifact: %w", err)
	}
	if lockstep.KindOf(err) == lockstep.KindRefused {
		return fmt.Errorf("read artifact: %w", err) // with a hint of its own
	}
	return refused("read artifact", err)
}

// tarSource counts what is read and keeps how reading ended, which the tar
// reader hides: for it, a stream may end without the blocks that end it. It
// gives an error only alone, never with bytes.
type tarSource struct {
	r    *bufio.Reader
	n    int64
	err  error
	scan *headerScan // not nil while headers are read
}

func (s *tarSource) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
	if s.scan != nil {
		s.scan.see(s.n, p[:n])
	}
	s.n += int64(n)
	if err != nil && n == 0 {
		s.err = err
		return 0, err
	}
	return n, nil
}

type tarReader struct {
	ctx     context.Context
	src     *tarSource
	tar     *tar.Reader
	limit   int // of entries
	door    doorkeeper
	sum     hash.Hash
	buf     []byte
	entries *spill.Builder
	n       int    // entries
	last    string // path of the last one
	names   int
	scan    headerScan
}

func (t *tarReader) readAll() error {
	for {
		if err := t.ctx.Err(); err != nil {
			return fmt.Errorf("read artifact: %w", context.Cause(t.ctx))
		}
		t.judged(t.src.n)
		t.src.scan = &t.scan
		h, err := t.tar.Next()
		t.src.scan = nil
		if err == io.EOF {
			t.judged(math.MaxInt64) // what follows is judged as it is read
			return t.readEnd()
		}
		if err != nil {
			return t.broken(err)
		}
		if err := t.readEntry(h); err != nil {
			return err
		}
	}
}

// broken tells a stream whose reader failed from one that is not a tar.
func (t *tarReader) broken(err error) error {
	after := ""
	if t.n > 0 {
		after = fmt.Sprintf(" after entry %q", t.last)
	}
	if t.src.err != nil && t.src.err != io.EOF {
		return fmt.Errorf("read artifact%s: %w", after, t.src.err)
	}
	if t.src.err == io.EOF {
		return fmt.Errorf("read artifact%s: %w: it ends after %d bytes without its end-of-archive blocks", after, ErrTar, t.src.n)
	}
	return fmt.Errorf("read artifact%s: %w: %w before byte %d", after, ErrTar, err, t.src.n)
}

// readEnd reads what follows the end-of-archive blocks, which is zeros only.
func (t *tarReader) readEnd() error {
	if t.src.err != nil {
		return t.broken(io.ErrUnexpectedEOF)
	}
	for {
		n, err := t.src.Read(t.buf)
		if !isZero(t.buf[:n]) {
			return fmt.Errorf("read artifact: %w: something follows its end before byte %d", ErrTar, t.src.n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return t.broken(err)
		}
		if err := t.ctx.Err(); err != nil {
			return fmt.Errorf("read artifact: %w", context.Cause(t.ctx))
		}
	}
}

func isZero(p []byte) bool {
	var zeros [4096]byte
	for len(p) > 0 {
		n := min(len(p), len(zeros))
		if !bytes.Equal(p[:n], zeros[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

func (t *tarReader) judged(before int64) {
	if t.door != nil {
		t.door.judged(before)
	}
}

func (t *tarReader) readEntry(h *tar.Header) error {
	e, err := entryOf(h)
	if err == nil && (t.scan.odd || ambiguous(h)) {
		err = refused(fmt.Sprintf("read artifact entry %q", e.Path), errors.New("its headers say different things to different readers"))
	}
	if err != nil {
		return err
	}
	if max(len(e.Path), len(e.Link)) > MaxName {
		return refused(fmt.Sprintf("read artifact entry %.100q", e.Path), fmt.Errorf("a name of it has more than %d KiB", MaxName>>10))
	}
	t.names += len(e.Path) + len(e.Link)
	if t.n == t.limit || t.names > MaxNameBytes {
		return &lockstep.Error{
			Kind: lockstep.KindRefused, Op: "read artifact",
			Err:  fmt.Errorf("it has more than %d entries, or names of more than %d MiB", t.limit, MaxNameBytes>>20),
			Hint: "let the job's backup script pack its small files into one archive",
		}
	}
	if t.door != nil {
		if err := t.door.accept(e); err != nil {
			return fmt.Errorf("read artifact: %w", err)
		}
	}
	t.judged(math.MaxInt64)
	if e.Type == lockstep.EntryFile {
		if e.Size, err = t.digest(&e); err != nil {
			return err
		}
	}
	if err := t.entries.Add(e); err != nil {
		return t.unfit(err)
	}
	t.n, t.last = t.n+1, e.Path
	return nil
}

// digest reads the current file's content.
func (t *tarReader) digest(e *lockstep.Entry) (int64, error) {
	t.sum.Reset()
	var size int64
	for {
		n, err := t.tar.Read(t.buf)
		t.sum.Write(t.buf[:n])
		size += int64(n)
		switch {
		case err == io.EOF:
			t.sum.Sum(e.Sum[:0])
			return size, nil
		case err != nil:
			return size, fmt.Errorf("artifact entry %q: %w", e.Path, t.broken(err))
		case t.ctx.Err() != nil:
			return size, fmt.Errorf("read artifact entry %q: %w", e.Path, context.Cause(t.ctx))
		}
	}
}
