package helper

import (
	"archive/tar"
	"errors"
	"io"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

var (
	errName = errors.New("the name leads out of the folder")
	errCut  = errors.New("the archive ends early")
	errRest = errors.New("the archive goes on after its end")
	errKind = errors.New("it is not a file, a folder or a link")
)

// maxRest bounds what may follow the end of an archive: the rest of a record.
const maxRest = 16 << 20

// placing unpacks an archive into the working directory.
type placing struct {
	in    *source
	tar   *tar.Reader
	root  bool // owners are set
	at    folders
	later []later
	known *digests
	sum   digester
	ring  [buffers]buffer
	turn  int
	n     int // members
	names int // bytes of theirs
}

// later is a folder, which gets its mode and time when all is in it.
type later struct {
	path string
	meta
}

// meta is what an entry has beside its content.
type meta struct {
	mode     uint32
	uid, gid int
	mtime    unix.Timespec
}

func metaOf(h *tar.Header) meta {
	return meta{uint32(h.Mode) & 0o7777, h.Uid, h.Gid, timespec(h.ModTime)}
}

func timespec(t time.Time) unix.Timespec {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return unix.Timespec{}
	}
	return ts
}

// source tells an archive that ends from one that is cut off, which the tar package
// does not.
type source struct {
	r    io.Reader
	over bool
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n > 0 {
		return n, nil
	}
	s.over = s.over || err != nil
	return n, err
}

// place unpacks, and gives the digests of what it wrote.
func place(in io.Reader) (*digests, error) {
	root, err := openDir(unix.AT_FDCWD, ".")
	if err != nil {
		return nil, failed("open", ".", err)
	}
	src := &source{r: newUnframed(in)}
	p := &placing{
		in: src, tar: tar.NewReader(src), root: unix.Geteuid() == 0,
		at: folders{root: root, fd: root}, known: newDigests(), sum: newDigester(),
	}
	defer p.at.close()
	defer p.sum.close()
	for i := range p.ring {
		p.ring[i].b = make([]byte, MaxFrame)
	}
	for {
		h, err := p.tar.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, failed("read", "the archive", err)
		}
		if err := p.member(h); err != nil {
			return nil, failed("place", h.Name, err)
		}
	}
	if p.in.over {
		return nil, errCut
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.known, p.drain()
}

// drain reads what is left of the last record.
func (p *placing) drain() error {
	n, err := io.Copy(io.Discard, io.LimitReader(p.in, maxRest+1))
	if err == nil && n > maxRest {
		err = errRest
	}
	return err
}

// member places one.
func (p *placing) member(h *tar.Header) error {
	if p.n, p.names = p.n+1, p.names+len(h.Name); p.n > maxEntries || p.names > maxNames {
		return errMany
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	path, err := pathOf(h.Name)
	if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeDir {
		return p.folder(path, metaOf(h))
	}
	if path == "" {
		return errName
	}
	dir, name, err := p.at.parent(path)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return p.file(dir, name, h)
	case tar.TypeSymlink:
		return p.symlink(dir, name, h)
	case tar.TypeLink:
		return p.link(dir, name, h)
	}
	return errKind
}

// pathOf is a member's name without "./" and a slash at its end; "" is the folder
// itself.
func pathOf(name string) (string, error) {
	var parts []string
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return "", errName
		}
		if part != "" && part != "." {
			parts = append(parts, part)
		}
	}
	if strings.HasPrefix(name, "/") {
		return "", errName
	}
	return strings.Join(parts, "/"), nil
}

// folder makes one, and notes what it is to be.
func (p *placing) folder(path string, m meta) error {
	if path != "" {
		dir, name, err := p.at.parent(path)
		if err != nil {
			return err
		}
		if err := makeDir(dir, name); err != nil {
			return err
		}
	}
	p.later = append(p.later, later{path, m})
	return nil
}

// makeDir makes a folder, in place of anything that is not one.
func makeDir(dir int, name string) error {
	err := unix.Mkdirat(dir, name, 0o700)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := statAt(dir, name, &st); err != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return err
	}
	return instead(dir, name, func() error { return unix.Mkdirat(dir, name, 0o700) })
}

// instead does what makes a name; if there is one, it is removed first.
func instead(dir int, name string, do func() error) error {
	err := again(do)
	if err != unix.EEXIST {
		return err
	}
	if err := unix.Unlinkat(dir, name, 0); err != nil && unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) != nil {
		return err
	}
	return again(do)
}

func (p *placing) symlink(dir int, name string, h *tar.Header) error {
	if err := instead(dir, name, func() error { return unix.Symlinkat(h.Linkname, dir, name) }); err != nil {
		return err
	}
	m := metaOf(h)
	if p.root {
		if err := unix.Fchownat(dir, name, m.uid, m.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{m.mtime, m.mtime}, unix.AT_SYMLINK_NOFOLLOW)
}

// link gives a file that was placed another name.
func (p *placing) link(dir int, name string, h *tar.Header) error {
	path, err := pathOf(h.Linkname)
	if err != nil || path == "" {
		return errName
	}
	from, old, err := openParent(p.at.root, path)
	if err != nil {
		return err
	}
	defer unix.Close(from)
	var st unix.Stat_t
	if err := statAt(from, old, &st); err != nil { // before what has the name now is removed
		return err
	}
	return instead(dir, name, func() error { return unix.Linkat(from, old, dir, name, 0) })
}

// finish gives the folders what they are to have, the deepest first.
func (p *placing) finish() error {
	for i := len(p.later) - 1; i >= 0; i-- {
		l := p.later[i]
		if err := p.settle(l); err != nil {
			return failed("finish", l.path, err)
		}
	}
	return nil
}

func (p *placing) settle(l later) error {
	fd, err := p.at.open(l.path)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return p.give(fd, l.meta)
}

// give sets owner, mode and time, in this order: a change of owner takes bits away, and
// all of them come behind the last byte.
func (p *placing) give(fd int, m meta) error {
	if p.root {
		if err := again(func() error { return unix.Fchown(fd, m.uid, m.gid) }); err != nil {
			return err
		}
	}
	if err := again(func() error { return unix.Fchmod(fd, m.mode) }); err != nil {
		return err
	}
	return setTime(fd, m.mtime)
}
