package helper

import (
	"archive/tar"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// member is the head of one in an archive.
type member struct {
	name, link string
	flag       byte
	st         *unix.Stat_t
	size       int64  // of what follows the head
	sparse     []byte // the map of a sparse file, with its padding; it is in size
	records    []byte // pax
}

// memberOf is the head of what path names.
func (w *walk) memberOf(st *unix.Stat_t, link string, data []extent) *member {
	m := &member{name: w.shown(), link: link, st: st}
	if first, ok := w.first[inodeOf(st)]; ok && st.Nlink > 1 {
		m.flag, m.link = tar.TypeLink, "./"+first.path
		return m
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		m.flag = tar.TypeDir
	case unix.S_IFLNK:
		m.flag = tar.TypeSymlink
	case unix.S_IFIFO:
		m.flag = tar.TypeFifo
	case unix.S_IFCHR:
		m.flag = tar.TypeChar
	case unix.S_IFBLK:
		m.flag = tar.TypeBlock
	default:
		m.flag, m.size = tar.TypeReg, st.Size
		if isSparse(data, st.Size) {
			m.beSparse(data)
		}
	}
	return m
}

// beSparse makes it a sparse file in the form 1.0 of GNU tar: a map of what is there,
// in front of it, in decimal numbers, each on a line, filled up to a block.
func (m *member) beSparse(data []extent) {
	if n := len(data); n == 0 || data[n-1].off+data[n-1].len < m.st.Size {
		data = append(data[:n:n], extent{m.st.Size, 0}) // how tar says that a hole ends the file
	}
	number := func(n int64) { m.sparse = append(strconv.AppendInt(m.sparse, n, 10), '\n') }
	number(int64(len(data)))
	m.size = 0
	for _, d := range data {
		number(d.off)
		number(d.len)
		m.size += d.len
	}
	m.sparse = append(m.sparse, make([]byte, -len(m.sparse)&511)...)
	m.size += int64(len(m.sparse))
	m.record("GNU.sparse.major", "1")
	m.record("GNU.sparse.minor", "0")
	m.record("GNU.sparse.name", m.name)
	m.record("GNU.sparse.realsize", strconv.FormatInt(m.st.Size, 10))
	i := strings.LastIndexByte(m.name, '/') + 1
	m.name = m.name[:i] + "GNUSparseFile.0/" + m.name[i:] // for readers that know no better
}

// record adds a line "LENGTH KEY=VALUE"; the length is that of the line.
func (m *member) record(key, value string) {
	n := len(key) + len(value) + 3
	size := n + len(strconv.Itoa(n))
	if len(strconv.Itoa(size)) > len(strconv.Itoa(n)) {
		size++
	}
	m.records = append(strconv.AppendInt(m.records, int64(size), 10), ' ')
	m.records = append(append(append(append(m.records, key...), '='), value...), '\n')
}

// What a ustar header has room for.
const (
	maxUstarName = 100
	maxOctal7    = 0o7777777
	maxOctal11   = 0o77777777777
)

// putHead writes the head of a member, and the map of a sparse file.
func (o *output) putHead(m *member) {
	if len(m.name) > maxUstarName && m.sparse == nil {
		m.record("path", m.name)
	}
	if len(m.link) > maxUstarName {
		m.record("linkpath", m.link)
	}
	sec, nsec := int64(m.st.Mtim.Sec), int64(m.st.Mtim.Nsec)
	if nsec != 0 || sec < 0 || sec > maxOctal11 {
		m.record("mtime", paxTime(sec, nsec))
	}
	if m.st.Uid > maxOctal7 {
		m.record("uid", strconv.FormatUint(uint64(m.st.Uid), 10))
	}
	if m.st.Gid > maxOctal7 {
		m.record("gid", strconv.FormatUint(uint64(m.st.Gid), 10))
	}
	if m.size > maxOctal11 {
		m.record("size", strconv.FormatInt(m.size, 10))
	}
	if len(m.records) > 0 {
		o.put(header("././@PaxHeader", "", tar.TypeXHeader, &unix.Stat_t{Mode: 0o644}, int64(len(m.records))))
		o.put(m.records)
		o.pad()
	}
	o.put(header(m.name, m.link, m.flag, m.st, m.size))
	o.put(m.sparse)
}

// paxTime is a decimal number without needless zeros.
func paxTime(sec, nsec int64) string {
	sign := ""
	if sec < 0 && nsec > 0 {
		sec, nsec = sec+1, 1e9-nsec
		if sec == 0 {
			sign = "-"
		}
	}
	b := appendTime([]byte(sign), sec, nsec)
	return strings.TrimRight(strings.TrimRight(string(b), "0"), ".")
}

// header is a block of ustar. Numbers that it has no room for are in records, and 0
// in it.
func header(name, link string, flag byte, st *unix.Stat_t, size int64) []byte {
	b := make([]byte, 512)
	copy(b[:100], name)
	octal(b[100:108], int64(st.Mode&0o7777))
	octal(b[108:116], int64(st.Uid))
	octal(b[116:124], int64(st.Gid))
	octal(b[124:136], size)
	octal(b[136:148], int64(st.Mtim.Sec))
	b[156] = flag
	copy(b[157:257], link)
	copy(b[257:265], "ustar\x0000")
	if flag == tar.TypeChar || flag == tar.TypeBlock {
		octal(b[329:337], int64(unix.Major(st.Rdev)))
		octal(b[337:345], int64(unix.Minor(st.Rdev)))
	}
	copy(b[148:156], "        ")
	sum := int64(0)
	for _, c := range b {
		sum += int64(c)
	}
	octal(b[148:155], sum)
	b[155] = ' '
	return b
}

// octal fills all but the last byte, which stays NUL.
func octal(b []byte, n int64) {
	if n < 0 || n>>(3*(len(b)-1)) != 0 {
		n = 0
	}
	for i := len(b) - 2; i >= 0; i-- {
		b[i] = '0' + byte(n&7)
		n >>= 3
	}
}
