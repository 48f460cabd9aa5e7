package restic

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/spill"
)

// piece is a part of an artifact's stream, in order: literal bytes, or content
// of a file, which becomes a blob.
type piece struct {
	literal []byte

	data []byte
	path string // of the file
	// only: the file has no other piece.
	only bool
	// aside: its bytes come in the stream as literals, in another form.
	aside bool

	// Set before saved is closed.
	id    format.ID
	err   error
	saved chan struct{}
}

// pieces are the buffers of large pieces.
var pieces = sync.Pool{New: func() any { return new([]byte) }}

// owners are the names that an artifact's headers give to numbers.
type owners struct{ users, groups map[int]string }

// Only so many numbers get their names, and no longer ones: they are kept in memory,
// and no restore of ours needs them.
const (
	maxOwners    = 10_000
	maxOwnerName = 256
)

func name(names map[int]string, number int, as string) {
	if _, known := names[number]; as != "" && len(as) <= maxOwnerName && (known || len(names) < maxOwners) {
		names[number] = as
	}
}

// splitter cuts a tar stream into pieces. One goroutine uses it.
type splitter struct {
	ctx    context.Context
	src    *tap
	tar    *tar.Reader
	cutter *cutter
	emit   func(*piece) error
	owners owners
	// links are the symbolic links, as files: the artifact's entry list does not have
	// their times.
	links *spill.Builder
	scan  []byte
}

func newSplitter(ctx context.Context, in io.Reader, c *cutter, links *spill.Builder, emit func(*piece) error) *splitter {
	src := &tap{ctx: ctx, in: in, emit: emit}
	return &splitter{
		ctx: ctx, src: src, tar: tar.NewReader(src), cutter: c, emit: emit,
		owners: owners{map[int]string{}, map[int]string{}}, links: links,
	}
}

// run emits the whole stream. What is wrong with it as a tar is for those to
// say who get the pieces: they have all bytes up to there. A temporary file that
// failed is told as the reason why there are no more.
func (s *splitter) run() error {
	for {
		s.src.listen = true
		h, err := s.tar.Next()
		s.src.listen = false
		if err := errors.Join(s.src.failed(), s.src.flush()); err != nil {
			return err
		}
		if err == io.EOF {
			return s.rest()
		}
		if err == nil {
			err = s.member(h)
		}
		if err != nil {
			return errors.Join(err, s.src.failed())
		}
	}
}

// rest emits what follows the end of the archive.
func (s *splitter) rest() error {
	s.src.listen = true
	_, err := io.Copy(io.Discard, s.src)
	return errors.Join(err, s.src.flush())
}

func (s *splitter) member(h *tar.Header) error {
	path := repository.MemberPath(h)
	name(s.owners.users, h.Uid, h.Uname)
	name(s.owners.groups, h.Gid, h.Gname)
	switch h.Typeflag {
	case tar.TypeSymlink:
		err := s.links.Add(lockstep.Entry{Path: path, Type: lockstep.EntryFile, MTime: lockstep.EntryTime(h.ModTime)})
		if errors.Is(err, spill.ErrSpill) {
			return err
		} // what else is wrong with it is said by those who get the pieces
	case tar.TypeReg, tar.TypeGNUSparse:
		// Of a sparse file the stream has not the content but a part of it.
		s.src.listen = sparse(h)
		return s.content(h.Size, path)
	}
	return nil
}

func sparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// content cuts a file of that size into pieces.
func (s *splitter) content(size int64, path string) error {
	if size <= minPiece {
		data := make([]byte, size)
		if _, err := io.ReadFull(s.tar, data); err != nil || size == 0 {
			return err
		}
		return s.piece(data, path, true)
	}
	if s.scan == nil {
		s.scan = make([]byte, maxPiece)
	}
	n, left := 0, size
	for n > 0 || left > 0 {
		cut, err := s.fill(&n, &left)
		if err != nil {
			return err
		}
		data := append((*pieces.Get().(*[]byte))[:0], s.scan[:cut]...)
		if err := s.piece(data, path, int64(cut) == size); err != nil {
			return err
		}
		n = copy(s.scan, s.scan[cut:n])
	}
	return nil
}

// fill reads until a piece can be cut off, and says how long it is. Most are
// found in the first half of what a piece may have.
func (s *splitter) fill(n *int, left *int64) (cut int, err error) {
	for _, target := range []int{maxPiece / 2, maxPiece} {
		if more := min(int64(target-*n), *left); more > 0 {
			m, err := io.ReadFull(s.tar, s.scan[*n:*n+int(more)])
			if *n, *left = *n+m, *left-int64(m); err != nil {
				return 0, err
			}
		}
		if cut = s.cutter.cut(s.scan[:*n]); cut < *n || *left == 0 {
			break
		}
	}
	return cut, nil
}

func (s *splitter) piece(data []byte, path string, only bool) error {
	aside := s.src.listen
	if aside {
		if err := s.src.flush(); err != nil {
			return err
		}
	}
	return s.emit(&piece{data: data, path: path, only: only, aside: aside, saved: make(chan struct{})})
}

// tap reads the stream and, while it listens, keeps what goes by as literals.
type tap struct {
	ctx    context.Context
	in     io.Reader
	emit   func(*piece) error
	listen bool
	n      int64
	buf    []byte
	err    error // the stream's, other than its end
}

func (t *tap) Read(p []byte) (int, error) {
	if t.ctx.Err() != nil {
		t.err = context.Cause(t.ctx)
	}
	if t.err != nil {
		return 0, t.err
	}
	n, err := t.in.Read(p)
	t.n += int64(n)
	if err != nil && err != io.EOF {
		t.err = err
	}
	if !t.listen {
		return n, err
	}
	t.buf = append(t.buf, p[:n]...)
	if len(t.buf) >= literalMax {
		err = errors.Join(t.flush(), onlyEOF(err), t.err)
	}
	return n, err
}

func onlyEOF(err error) error {
	if err == io.EOF {
		return err
	}
	return nil
}

// failed is how reading the stream failed, or nil.
func (t *tap) failed() error { return t.err }

// flush emits what was kept.
func (t *tap) flush() error {
	for len(t.buf) > 0 {
		n := min(len(t.buf), literalMax)
		if err := t.emit(&piece{literal: append([]byte(nil), t.buf[:n]...)}); err != nil {
			return err
		}
		t.buf = t.buf[:copy(t.buf, t.buf[n:])]
	}
	return nil
}
