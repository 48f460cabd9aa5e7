package helper

import (
	"encoding/hex"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

// errOther: a name was given to something else than a file just before that was opened.
var errOther = errors.New("it is not the file that it was a moment ago")

// file takes in a regular file.
func (w *walk) file(dir int, name string, seen *unix.Stat_t) error {
	if seen.Nlink > 1 {
		if _, ok := w.first[inodeOf(seen)]; ok {
			return w.entry(seen, "", "")
		}
	}
	if sum, ok := w.known.of(seen); ok {
		return w.entry(seen, "", sum)
	}
	var st unix.Stat_t
	fd, err := openFile(dir, name, &st)
	if err != nil {
		return w.vanished("open", err)
	}
	defer unix.Close(fd)
	if inodeOf(&st) != inodeOf(seen) {
		w.changed("file changed as we read it")
		if _, ok := w.first[inodeOf(&st)]; ok && st.Nlink > 1 {
			return w.entry(&st, "", "")
		}
	}
	return w.content(fd, &st)
}

// openFile opens what is a regular file, and nothing else, not even for a moment: to open
// a device may do something. st is what it is.
func openFile(dir int, name string, st *unix.Stat_t) (int, error) {
	at, err := openAt(dir, name, unix.O_PATH, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(at)
	if err := stat(at, st); err != nil {
		return -1, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, errOther
	}
	fd := -1
	err = again(func() (err error) {
		fd, err = unix.Open("/proc/self/fd/"+strconv.Itoa(at), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		return err
	})
	return fd, err
}

// content reads an open file, once.
func (w *walk) content(fd int, st *unix.Stat_t) error {
	data := []extent{{0, st.Size}}
	if w.archive {
		data = dataOf(fd, st, w.seek)
		w.out.putHead(w.memberOf(st, "", data))
	}
	w.sum.begin(st.Size)
	pos := int64(0)
	for _, d := range data {
		err := w.hole(fd, extent{pos, d.off - pos})
		if err == nil {
			err = w.read(fd, d)
		}
		if err != nil {
			return failed("read", w.shown(), err)
		}
		pos = d.off + d.len
	}
	if err := w.hole(fd, extent{pos, st.Size - pos}); err != nil {
		return failed("read", w.shown(), err)
	}
	if w.archive {
		w.out.pad()
	}
	sum := w.sum.end()
	return w.told(st, "", hex.EncodeToString(sum[:]))
}

// read takes in a part of a file. What is not there any more is zeros.
func (w *walk) read(fd int, d extent) error {
	for off, end := d.off, d.off+d.len; off < end; {
		p := w.out.room()
		p = p[:min(int64(len(p)), end-off)]
		n, err := unix.Pread(fd, p, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			w.changed("file shrank while it was read; padding with zeros")
			clear(p)
			n = len(p)
		}
		w.sum.write(p[:n], w.out.filling())
		w.out.used(n)
		off += int64(n)
		if w.out.err != nil {
			return w.out.err
		}
	}
	return nil
}

// entry takes in what has no content, or whose digest is known: path is set.
func (w *walk) entry(st *unix.Stat_t, link, sum string) error {
	if w.archive && !w.again && st.Mode&unix.S_IFMT != unix.S_IFSOCK { // no archive has a socket
		w.out.putHead(w.memberOf(st, link, nil))
	}
	return w.told(st, link, sum)
}

// told puts an entry into the list. In a second look at what was archived, it only notes
// what it is.
func (w *walk) told(st *unix.Stat_t, link, sum string) error {
	if w.n++; w.n > maxEntries {
		return errMany
	}
	w.note(st)
	if w.again {
		return nil
	}
	path := string(w.path)
	if n := len(path); n > 0 && path[n-1] == '/' {
		path = path[:n-1]
	}
	if st.Nlink > 1 && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		if err := w.met(st, path); err != nil {
			return failed("read", w.shown(), err)
		}
	}
	w.out.list = appendEntry(w.out.list, st, path, link, sum)
	w.out.listed(false)
	return w.out.err
}

// met notes one name of what has several.
func (w *walk) met(st *unix.Stat_t, path string) error {
	it, ok := w.first[inodeOf(st)]
	switch {
	case !ok:
		it = several{path, uint64(st.Nlink) - 1}
		if w.kept += len(path); w.kept > maxNames {
			return errMany
		}
	case it.left > 1:
		it.left--
	default:
		w.kept -= len(it.path)
		delete(w.first, inodeOf(st))
		return nil
	}
	w.first[inodeOf(st)] = it
	return nil
}
