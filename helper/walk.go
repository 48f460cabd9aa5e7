package helper

import (
	"encoding/binary"
	"errors"
	"hash"
	"hash/fnv"
	"io"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	// maxEntries, maxNames and maxPath bound a walk, as the launcher bounds what it is
	// told: an artifact has no more, and no more bytes of names.
	maxEntries = 1_000_000
	maxNames   = 256 << 20
	maxPath    = 64 << 10
	// held is up to which depth folders stay open while those in them are walked.
	held = 64
)

var (
	errMany  = errors.New("there are more than a million entries, or 256 MiB of names")
	errDeep  = errors.New("its path is longer than 64 KiB")
	errMoved = errors.New("it was moved while it was read")
)

// walk goes through the working directory once.
type walk struct {
	out     *output
	archive bool      // put everything into one
	warn    io.Writer // of an archive: what changed
	known   *digests  // or nil
	sum     digester
	seek    seeker // lseek
	zeros   []byte // where holes are read to
	touched bool
	again   bool        // a second look, at what was archived
	looked  hash.Hash64 // of all that was looked at: see note
	n       int
	path    []byte            // of what is looked at, without "./"; a folder's ends with a slash
	open    []int             // the folders of path that are open; the first is the working directory
	first   map[inode]several // of what has several names, until all of them were met
	kept    int               // bytes of first
}

// several is what has more than one name.
type several struct {
	path string // that came first
	left uint64 // how many are still to come
}

type inode struct{ dev, ino uint64 }

func inodeOf(st *unix.Stat_t) inode { return inode{st.Dev, st.Ino} }

func newWalk(o *output) *walk {
	return &walk{out: o, sum: newDigester(), first: map[inode]several{}, seek: seek, zeros: make([]byte, 64<<10), looked: fnv.New64a()}
}

func (w *walk) all() error {
	defer w.sum.close()
	root, err := openDir(unix.AT_FDCWD, ".")
	if err != nil {
		return failed("open", ".", err)
	}
	return w.folder(root, 0)
}

// lookAgain goes through the folder once more, when all has been read: what has changed
// since it was first looked at, before its own turn, in it or after it, is found by its
// ctime. What is as it was comes in the same order, so nothing is remembered but a sum.
func (w *walk) lookAgain() error {
	if w.touched {
		return nil
	}
	before := w.looked.Sum64()
	w.looked.Reset()
	w.again, w.n = true, 0
	if err := w.all(); err != nil {
		return err
	}
	if w.looked.Sum64() != before && !w.touched {
		w.changed("something in it changed as we read it")
	}
	return nil
}

// note takes in what changes with anything that becomes of an entry.
func (w *walk) note(st *unix.Stat_t) {
	if !w.archive {
		return
	}
	var b [48]byte
	for i, n := range []uint64{st.Dev, st.Ino, uint64(st.Size), uint64(st.Ctim.Sec), uint64(st.Ctim.Nsec), uint64(st.Nlink)} {
		binary.NativeEndian.PutUint64(b[8*i:], n)
	}
	_, _ = w.looked.Write(b[:])
	_, _ = w.looked.Write(append(w.path, 0))
}

// shown is path as tar calls it.
func (w *walk) shown() string { return "./" + string(w.path) }

// changed notes that an archive is not of one moment.
func (w *walk) changed(what string) {
	w.touched = true
	if w.warn != nil {
		_, _ = io.WriteString(w.warn, w.shown()+": "+what+"\n")
	}
}

// folder takes in an open folder, whose path is set, and closes it.
func (w *walk) folder(fd, depth int) error {
	var st unix.Stat_t
	if err := stat(fd, &st); err != nil {
		_ = unix.Close(fd)
		return failed("look at", w.shown(), err)
	}
	if err := w.entry(&st, "", ""); err != nil {
		_ = unix.Close(fd)
		return err
	}
	names, err := readNames(fd)
	if err != nil {
		_ = unix.Close(fd)
		return failed("list", w.shown(), err)
	}
	if fd, err = w.each(fd, depth, &st, names); fd >= 0 {
		_ = unix.Close(fd)
	}
	return err
}

// each takes in a folder's entries. It gives the folder, or -1 where it was closed.
func (w *walk) each(fd, depth int, st *unix.Stat_t, names []name) (int, error) {
	w.push(fd, depth)
	defer w.pop(depth)
	n := len(w.path)
	for _, name := range names {
		if n+len(name.text) > maxPath-len("./") {
			return fd, failed("read", w.shown()+name.text, errDeep)
		}
		var err error
		if fd, err = w.reopen(fd, depth, st); err != nil {
			return fd, failed("open again", w.shown(), err)
		}
		w.path = append(w.path, name.text...)
		if fd, err = w.child(fd, depth, name.text); err != nil {
			return fd, err
		}
		w.path = w.path[:n]
	}
	return fd, nil
}

// push and pop note folders that stay open.
func (w *walk) push(fd, depth int) {
	if depth < held {
		w.open = append(w.open[:depth], fd)
	}
}

func (w *walk) pop(depth int) {
	if depth < held {
		w.open = w.open[:depth]
	}
}

// child takes in one name of an open folder, which it may close: it gives -1 then.
func (w *walk) child(dir, depth int, name string) (int, error) {
	var st unix.Stat_t
	if err := statAt(dir, name, &st); err != nil {
		return dir, w.vanished("look at", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		fd, err := openDir(dir, name)
		if err != nil {
			return dir, w.vanished("open", err)
		}
		w.path = append(w.path, '/')
		if depth >= held { // what is open is bounded
			_ = unix.Close(dir)
			dir = -1
		}
		return dir, w.folder(fd, depth+1)
	case unix.S_IFREG:
		if w.again {
			return dir, w.told(&st, "", "")
		}
		return dir, w.file(dir, name, &st)
	case unix.S_IFLNK:
		to, err := readLink(dir, name)
		if err != nil {
			return dir, w.vanished("read link", err)
		}
		return dir, w.entry(&st, to, "")
	}
	return dir, w.entry(&st, "", "")
}

// vanished is what becomes of a name that cannot be looked at: of an archive, one that
// has gone is left out.
func (w *walk) vanished(doing string, err error) error {
	if w.archive && errors.Is(err, unix.ENOENT) {
		w.changed("File removed before we read it")
		return nil
	}
	return failed(doing, w.shown(), err)
}

// reopen opens a deep folder again that was closed, from the nearest that is open, and
// makes sure that it is the one it was.
func (w *walk) reopen(fd, depth int, was *unix.Stat_t) (int, error) {
	if fd >= 0 {
		return fd, nil
	}
	fd = w.open[held-1]
	rest, skip := w.path[:len(w.path)-1], held-1
	for i := 0; i < len(rest) && skip > 0; i++ {
		if rest[i] == '/' {
			skip--
			if skip == 0 {
				rest = rest[i+1:]
			}
		}
	}
	for own := false; len(rest) > 0; own = true {
		part, more := cutSlash(rest)
		next, err := openDir(fd, string(part))
		if own {
			_ = unix.Close(fd)
		}
		if err != nil {
			return -1, err
		}
		fd, rest = next, more
	}
	var st unix.Stat_t
	if err := stat(fd, &st); err != nil || inodeOf(&st) != inodeOf(was) {
		_ = unix.Close(fd)
		return -1, errors.Join(err, errMoved)
	}
	return fd, nil
}

func cutSlash(p []byte) (part, rest []byte) {
	if i := slices.Index(p, '/'); i >= 0 {
		return p[:i], p[i+1:]
	}
	return p, nil
}

func readLink(dir int, name string) (string, error) {
	buf := make([]byte, 256)
	for {
		n, err := unix.Readlinkat(dir, name, buf)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return "", err
		case n < len(buf):
			return string(buf[:n]), nil
		default:
			buf = make([]byte, 4*len(buf))
		}
	}
}
