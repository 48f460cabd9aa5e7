package helper

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// name is one of a folder.
type name struct {
	ino  uint64
	text string
}

// readNames gives a folder's names in the order of their inodes, in which a disk has
// them side by side.
func readNames(fd int) ([]name, error) {
	var names []name
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		if names, err = appendNames(names, buf[:n]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(names, func(a, b name) int { return cmp.Or(cmp.Compare(a.ino, b.ino), cmp.Compare(a.text, b.text)) })
	return names, nil
}

// appendNames reads what getdents64(2) gives: inode, offset, length of the record in
// two bytes, a type, and the name up to a NUL.
func appendNames(names []name, p []byte) ([]name, error) {
	const head = 8 + 8 + 2 + 1
	for len(p) > 0 {
		if len(p) < head {
			return nil, unix.EIO
		}
		size := int(binary.NativeEndian.Uint16(p[16:]))
		if size < head || size > len(p) {
			return nil, unix.EIO
		}
		text, _, _ := bytes.Cut(p[head:size], []byte{0})
		if s := string(text); s != "." && s != ".." {
			names = append(names, name{binary.NativeEndian.Uint64(p), s})
		}
		if len(names) > maxEntries {
			return nil, errMany
		}
		p = p[size:]
	}
	return names, nil
}
