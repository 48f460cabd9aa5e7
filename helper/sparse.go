package helper

import "golang.org/x/sys/unix"

// extent is a part of a file in which there is something.
type extent struct{ off, len int64 }

// maxExtents bounds those of a file: readers bound the list of them too, and small
// holes are worth little.
const maxExtents = 8192

// dataOf finds a file's parts. One that has no holes, and one of which the file system
// does not tell, is one part.
func dataOf(fd int, st *unix.Stat_t) []extent {
	if st.Size == 0 {
		return nil
	}
	whole := []extent{{0, st.Size}}
	if st.Blocks >= (st.Size+511)/512 {
		return whole
	}
	var data []extent
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
		if from, to = min(from, st.Size), min(to, st.Size); from < to {
			data = append(data, extent{from, to - from})
		}
		pos = to
	}
	for gap := int64(8 << 10); len(data) > maxExtents; gap *= 2 {
		data = joined(data, gap)
	}
	return data
}

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

// isSparse reports whether a file's parts are not the whole file.
func isSparse(data []extent, size int64) bool {
	return size > 0 && (len(data) != 1 || data[0] != extent{0, size})
}
