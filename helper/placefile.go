package helper

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// file writes one, and digests what it writes.
func (p *placing) file(dir int, name string, h *tar.Header) error {
	var fd int
	if err := instead(dir, name, func() (err error) {
		fd, err = openAt(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL, 0o600)
		return err
	}); err != nil {
		return err
	}
	var st unix.Stat_t
	sum, err := p.fill(fd, h)
	if err == nil {
		err = p.give(fd, metaOf(h))
	}
	if err == nil {
		err = stat(fd, &st)
	}
	if bad := unix.Close(fd); err == nil && bad != unix.EINTR {
		err = bad // some file systems say only now that there is no room
	}
	if err != nil {
		return err
	}
	p.known.add(&st, sum)
	return nil
}

// fill writes a file's content.
func (p *placing) fill(fd int, h *tar.Header) (sum [32]byte, err error) {
	p.sum.begin(h.Size)
	sparse, pos := isSparseMember(h), int64(0)
	for {
		b := &p.ring[p.turn]
		b.busy.Wait()
		n, err := p.tar.Read(b.b)
		if n > 0 {
			p.sum.write(b.b[:n], b)
			p.turn = (p.turn + 1) % buffers
			if err := put(fd, b.b[:n], pos, sparse); err != nil {
				return sum, err
			}
			pos += int64(n)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return sum, err
		}
	}
	sum = p.sum.end()
	if sparse { // it may end with a hole
		err = again(func() error { return unix.Ftruncate(fd, h.Size) })
	}
	return sum, err
}

// isSparseMember: the tar package fills holes with zeros, and does not say where.
func isSparseMember(h *tar.Header) bool {
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

// hole is the size of a block that becomes one where there is nothing but zeros.
const hole = 4096

var noBytes [hole]byte

// put writes bytes at a place in a file; of a sparse one, zeros are left out.
func put(fd int, b []byte, pos int64, sparse bool) error {
	for len(b) > 0 {
		n, empty := len(b), false
		if sparse {
			n, empty = stretch(b, pos)
		}
		var err error
		if empty {
			_, err = seek(fd, int64(n), unix.SEEK_CUR)
		} else {
			err = writeAll(fd, b[:n])
		}
		if err != nil {
			return err
		}
		b, pos = b[n:], pos+int64(n)
	}
	return nil
}

// stretch is how much of b, from its beginning, which is at that place in its file, is
// zeros as far as its blocks go, or is not.
func stretch(b []byte, pos int64) (n int, empty bool) {
	for n < len(b) {
		block := b[n:min(len(b), n+hole-int((pos+int64(n))%hole))]
		is := bytes.Equal(block, noBytes[:len(block)])
		if n > 0 && is != empty {
			break
		}
		empty = is
		n += len(block)
	}
	return n, empty
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// setTime sets the times of what is open, which no name can change meanwhile.
func setTime(fd int, t unix.Timespec) error {
	times := [2]unix.Timespec{t, t}
	return again(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times[0])), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}
