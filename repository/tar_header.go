package repository

import (
	"archive/tar"
	"fmt"
	"strings"

	"lockstep"
)

// entryOf is a tar member as an entry, without its content.
func entryOf(h *tar.Header) (lockstep.Entry, error) {
	e := lockstep.Entry{
		Path: MemberPath(h), Mode: uint32(h.Mode) & 0o7777,
		UID: h.Uid, GID: h.Gid, MTime: lockstep.EntryTime(h.ModTime),
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		e.Type = lockstep.EntryFile
	case tar.TypeDir:
		e.Type = lockstep.EntryDir
	case tar.TypeSymlink:
		e.Type, e.Link = lockstep.EntrySymlink, h.Linkname
	case tar.TypeLink:
		e.Type, e.Link = lockstep.EntryHardlink, memberPath(h.Linkname)
	default:
		return e, refused(fmt.Sprintf("read artifact entry %q", e.Path), fmt.Errorf("it is %s, which an artifact cannot hold", memberType(h.Typeflag)))
	}
	return e, nil
}

// ambiguous reports whether GNU tar would unpack a member under another name or
// of another size than the tar package says: it believes a pax header before a
// GNU long name, and marks of a sparse file even without all that belong to one.
func ambiguous(h *tar.Header) bool {
	marks := 0
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, sparseMark) {
			marks++
		}
	}
	named := "path"
	if marks > 0 {
		if named = sparseForm(h, marks); named == "" {
			return true
		}
	}
	name, link := h.PAXRecords[named], h.PAXRecords["linkpath"]
	return name != "" && name != h.Name || link != "" && link != h.Linkname
}

// headerScan looks at the blocks of 512 bytes that headers are read from, as they
// go by, for those that the tar package and GNU tar take differently: under GNU's
// own magic the package may take a prefix for part of the name, where GNU tar sees
// two times.
type headerScan struct {
	block [512]byte
	odd   bool // there was one
}

// see takes bytes of the stream that begin at that place in it.
func (s *headerScan) see(at int64, p []byte) {
	for len(p) > 0 {
		begin := int(at % int64(len(s.block)))
		n := copy(s.block[begin:], p)
		p, at = p[n:], at+int64(n)
		if begin+n == len(s.block) {
			s.odd = s.odd || prefixed(&s.block)
		}
	}
}

func prefixed(block *[512]byte) bool {
	if string(block[257:265]) != "ustar  \x00" {
		return false
	}
	for _, times := range [][]byte{block[345:357], block[357:369]} {
		if times[0]&0x80 != 0 {
			continue // a number in binary
		}
		if strings.Trim(string(times), "01234567 \x00") != "" {
			return true
		}
	}
	return false
}

const sparseMark = "GNU.sparse."

// sparseForm looks in which of GNU tar's ways a member of so many marks is a
// sparse file: the record that has its name; "" is none of them.
func sparseForm(h *tar.Header, marks int) (named string) {
	forms := []struct {
		version, named string
		keys           []string
	}{
		{"0.0", "path", []string{"size", "numblocks", "map"}},
		{"0.1", sparseMark + "name", []string{"size", "numblocks", "map", "name"}},
		{"1.0", sparseMark + "name", []string{"major", "minor", "realsize", "name"}},
	}
	if h.Typeflag != tar.TypeReg {
		return ""
	}
	for _, f := range forms {
		whole := len(f.keys) == marks
		for _, key := range f.keys {
			whole = whole && h.PAXRecords[sparseMark+key] != ""
		}
		if whole && (f.version != "1.0" || h.PAXRecords[sparseMark+"major"] == "1" && h.PAXRecords[sparseMark+"minor"] == "0") {
			return f.named
		}
	}
	return ""
}

// memberPath is a member's name as an entry's path. Whether it is a good one
// is for NewEntryList to say.
func memberPath(name string) string {
	if name == "./" {
		return "."
	}
	return strings.TrimPrefix(name, "./")
}

func memberType(flag byte) string {
	switch flag {
	case tar.TypeChar:
		return "a character device"
	case tar.TypeBlock:
		return "a block device"
	case tar.TypeFifo:
		return "a FIFO"
	}
	return fmt.Sprintf("a tar member of type %q", flag)
}

func refused(op string, err error) error {
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: op, Err: err,
		Hint: "an artifact holds files, folders, symbolic and hard links below its own folder; change the job's backup script",
	}
}
