package helper

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// letterOf is find's letter for a mode.
func letterOf(mode uint32) byte {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 'f'
	case unix.S_IFDIR:
		return 'd'
	case unix.S_IFLNK:
		return 'l'
	case unix.S_IFIFO:
		return 'p'
	case unix.S_IFSOCK:
		return 's'
	case unix.S_IFBLK:
		return 'b'
	case unix.S_IFCHR:
		return 'c'
	}
	return '?'
}

// appendEntry writes an entry of the list; see Version.
func appendEntry(b []byte, st *unix.Stat_t, path, link, sum string) []byte {
	b = append(b, letterOf(st.Mode), ' ')
	b = strconv.AppendUint(b, uint64(st.Mode&0o7777), 8)
	for _, n := range []uint64{uint64(st.Uid), uint64(st.Gid)} {
		b = strconv.AppendUint(append(b, ' '), n, 10)
	}
	b = appendTime(append(b, ' '), int64(st.Mtim.Sec), int64(st.Mtim.Nsec))
	b = strconv.AppendInt(append(b, ' '), st.Size, 10)
	for _, n := range []uint64{st.Dev, st.Ino, uint64(st.Nlink)} {
		b = strconv.AppendUint(append(b, ' '), n, 10)
	}
	for _, s := range []string{path, link, sum} {
		b = append(append(b, 0), s...)
	}
	return append(b, 0)
}

// appendTime writes seconds, which may be below zero, and a fraction that never is.
func appendTime(b []byte, sec, nsec int64) []byte {
	b = append(strconv.AppendInt(b, sec, 10), '.')
	digits := strconv.FormatInt(1e9+nsec, 10)
	return append(b, digits[1:]...)
}
