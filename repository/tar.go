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
	"strings"
	"sync"
	"time"

	"lockstep"
)

// Limits of an artifact. Its list of entries is held in memory while it is
// read, so they bound what an instance can make an orchestrator use.
const (
	// MaxEntries is how many entries an artifact may have.
	MaxEntries = 1_000_000
	// MaxNameBytes is how long its paths and link targets may be together.
	MaxNameBytes = 256 << 20
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
// sparse files; a leading "./" of a name is dropped. It takes one pass and
// memory for the list only.
//
// It refuses, by name: devices, FIFOs and unknown types; absolute paths, "..",
// names that appear twice, links to nothing, entries below a link; more than
// MaxEntries entries or MaxNameBytes of names. A stream without its
// end-of-archive blocks, or with anything but zeros after them, wraps ErrTar.
// What r returns as error is returned wrapped.
func ReadTar(r io.Reader) (lockstep.EntryList, int64, error) {
	return ReadTarContext(context.Background(), r)
}

// ReadTarContext is ReadTar that ends with ctx, even inside the holes of a
// sparse file, which are digested without reading from r. A Read that blocks
// is not interrupted.
func ReadTarContext(ctx context.Context, r io.Reader) (lockstep.EntryList, int64, error) {
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

// readTar is ReadTarContext with a limit of entries and, unless it is nil, a
// doorkeeper.
func readTar(ctx context.Context, r io.Reader, limit int, door doorkeeper) (lockstep.EntryList, int64, error) {
	mem := tarBuffers.Get().(*tarBuffersOf)
	defer tarBuffers.Put(mem)
	mem.in.Reset(r)
	defer mem.in.Reset(nil)
	src := &tarSource{r: mem.in}
	t := &tarReader{ctx: ctx, src: src, tar: tar.NewReader(src), limit: limit, door: door, sum: sha256.New(), buf: mem.content}
	if err := t.readAll(); err != nil {
		return nil, src.n, err
	}
	list, err := lockstep.NewEntryList(t.entries)
	if err != nil {
		return nil, src.n, refused("read artifact", err)
	}
	return list, src.n, nil
}

// tarSource counts what is read and keeps how reading ended, which the tar
// reader hides: for it, a stream may end without the blocks that end it. It
// gives an error only alone, never with bytes.
type tarSource struct {
	r   *bufio.Reader
	n   int64
	err error
}

func (s *tarSource) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.r.Read(p)
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
	entries []lockstep.Entry
	names   int
}

func (t *tarReader) readAll() error {
	for {
		if err := t.ctx.Err(); err != nil {
			return fmt.Errorf("read artifact: %w", context.Cause(t.ctx))
		}
		t.judged(t.src.n)
		h, err := t.tar.Next()
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
	if n := len(t.entries); n > 0 {
		after = fmt.Sprintf(" after entry %q", t.entries[n-1].Path)
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
	if err != nil {
		return err
	}
	t.names += len(e.Path) + len(e.Link)
	if len(t.entries) == t.limit || t.names > MaxNameBytes {
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
	t.entries = append(t.entries, e)
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

// entryOf is a tar member as an entry, without its content.
func entryOf(h *tar.Header) (lockstep.Entry, error) {
	e := lockstep.Entry{
		Path: memberPath(h.Name), Mode: uint32(h.Mode) & 0o7777,
		UID: h.Uid, GID: h.Gid, MTime: nanoseconds(h.ModTime),
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		e.Type = lockstep.EntryFile
	case tar.TypeDir:
		e.Type, e.Path = lockstep.EntryDir, memberPath(strings.TrimSuffix(h.Name, "/"))
	case tar.TypeSymlink:
		e.Type, e.Link = lockstep.EntrySymlink, h.Linkname
	case tar.TypeLink:
		e.Type, e.Link = lockstep.EntryHardlink, memberPath(h.Linkname)
	default:
		return e, refused(fmt.Sprintf("read artifact entry %q", e.Path), fmt.Errorf("it is %s, which an artifact cannot hold", memberType(h.Typeflag)))
	}
	if ambiguous(h) {
		return e, refused(fmt.Sprintf("read artifact entry %q", e.Path), errors.New("its headers say different things to different readers"))
	}
	if h.Uid < 0 || h.Gid < 0 {
		return e, refused(fmt.Sprintf("read artifact entry %q", e.Path), fmt.Errorf("its owner is %d:%d", h.Uid, h.Gid))
	}
	return e, nil
}

// ambiguous reports whether GNU tar would unpack a member under another name or
// of another size than the tar package says: it believes a pax header before a
// GNU long name, and marks of a sparse file even without all that belong to one.
func ambiguous(h *tar.Header) bool {
	const mark = "GNU.sparse."
	version := h.PAXRecords[mark+"major"] + "." + h.PAXRecords[mark+"minor"]
	if version == "0.0" || version == "0.1" || version == "1.0" || version == "." && h.PAXRecords[mark+"map"] != "" {
		return false
	}
	for key, value := range h.PAXRecords {
		switch {
		case strings.HasPrefix(key, mark),
			key == "path" && value != "" && value != h.Name,
			key == "linkpath" && value != "" && value != h.Linkname:
			return true
		}
	}
	return false
}

// memberPath is a member's name as an entry's path. Whether it is a good one
// is for NewEntryList to say.
func memberPath(name string) string {
	if name == "./" {
		return "."
	}
	return strings.TrimPrefix(name, "./")
}

// nanoseconds is the time since the epoch; what is too far away to be counted
// in nanoseconds counts as the last, or first, time that can be.
func nanoseconds(t time.Time) int64 {
	switch s := t.Unix(); {
	case s > math.MaxInt64/int64(time.Second)-1:
		return math.MaxInt64
	case s < math.MinInt64/int64(time.Second)+1:
		return math.MinInt64
	}
	return t.UnixNano()
}

func memberType(flag byte) string {
	switch flag {
	case tar.TypeChar:
		return "a character device"
	case tar.TypeBlock:
		return "a block device"
	case tar.TypeFifo:
		return "a FIFO"
	}
	return fmt.Sprintf("a tar member of type %q", flag)
}

func refused(op string, err error) error {
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: op, Err: err,
		Hint: "an artifact holds files, folders, symbolic and hard links below its own folder; change the job's backup script",
	}
}
