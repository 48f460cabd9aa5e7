package helper

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"
)

// errNoHole: some file systems have called data that was not on the disk yet a hole.
var errNoHole = errors.New("its file system says that there is nothing where there is something; try again")

// extent is a part of a file in which there is something.
type extent struct{ off, len int64 }

// maxExtents bounds those of a file: readers bound the list of them too, and small
// holes are worth little.
const maxExtents = 8192

// block is tar's. In the form 1.0 each part begins with one, so only the last part of a
// file may end within one.
const block = 512

// dataOf finds a file's parts, by what seek tells. One that has no holes, and one of
// which the file system does not tell, is one part.
func dataOf(fd int, st *unix.Stat_t, seek seeker) []extent {
	if st.Size == 0 {
		return nil
	}
	whole := []extent{{0, st.Size}}
	if st.Blocks >= (st.Size+block-1)/block {
		return whole
	}
	var data []extent
	gap := int64(8 << 10)
	for pos := int64(0); pos < st.Size; {
		from, err := seek(fd, pos, unix.SEEK_DATA)
		if err == unix.ENXIO { // nothing but a hole
			break
		}
		if err != nil || from < pos {
			return whole
		}
		to, err := seek(fd, from, unix.SEEK_HOLE)
		if err != nil || to <= from {
			return whole
		}
		pos = to
		if from, to = min(from, st.Size)&^(block-1), min((to+block-1)&^(block-1), st.Size); from < to {
			data = append(data, extent{from, to - from})
		}
		for ; len(data) > 2*maxExtents; gap *= 2 {
			data = joined(data, gap)
		}
	}
	if len(data) > 0 {
		data = joined(data, 1) // that were rounded up to each other
	}
	for ; len(data) > maxExtents; gap *= 2 {
		data = joined(data, gap)
	}
	return data
}

// seeker is lseek(2).
type seeker func(fd int, off int64, whence int) (int64, error)

func seek(fd int, off int64, whence int) (at int64, err error) {
	err = again(func() (err error) {
		at, err = unix.Seek(fd, off, whence)
		return err
	})
	return at, err
}

// joined takes smaller holes than gap for content.
func joined(data []extent, gap int64) []extent {
	some := data[:1]
	for _, d := range data[1:] {
		last := &some[len(some)-1]
		if d.off-(last.off+last.len) < gap {
			last.len = d.off + d.len - last.off
		} else {
			some = append(some, d)
		}
	}
	return some
}

// hole takes in a part of a file that is said to be a hole. Nobody would miss what is
// left out of both archive and digest, so it is read.
func (w *walk) hole(fd int, d extent) error {
	for off, end := d.off, d.off+d.len; off < end; {
		p := w.zeros[:min(int64(len(w.zeros)), end-off)]
		n, err := unix.Pread(fd, p, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			w.changed("file shrank while it was read; padding with zeros")
			n = len(p)
			clear(p)
		}
		if !allZeros(p[:n]) {
			return errNoHole
		}
		w.sum.zeros(int64(n))
		off += int64(n)
	}
	return nil
}

func allZeros(p []byte) bool {
	for len(p) > 0 {
		n := min(len(p), len(noBytes))
		if !bytes.Equal(p[:n], noBytes[:n]) {
			return false
		}
		p = p[n:]
	}
	return true
}

// isSparse reports whether a file's parts are not the whole file.
func isSparse(data []extent, size int64) bool {
	return size > 0 && (len(data) != 1 || data[0] != extent{0, size})
}
