package lockstep

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// EntryType is the kind of one entry of an artifact.
type EntryType byte

// The types of entries that an artifact may hold. Devices, FIFOs and sockets
// are refused by name where they are met.
const (
	EntryFile     EntryType = 'f'
	EntryDir      EntryType = 'd'
	EntrySymlink  EntryType = 'l'
	EntryHardlink EntryType = 'h'
)

// Entry is one file, folder or link of an artifact. Path and Link are raw
// bytes, in any encoding or none.
type Entry struct {
	// Path is relative to the artifact's root, without a leading "./" or a
	// trailing slash. The root itself is "." .
	Path string    `json:"path"`
	Type EntryType `json:"type"`
	// Mode is the permission bits with setuid, setgid and sticky (07777). That
	// of a symbolic link means nothing and is always 0777.
	Mode uint32 `json:"mode"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
	// MTime is in nanoseconds since the epoch; 0 for links, which take no time
	// of their own along everywhere.
	MTime int64 `json:"mtime"`
	// Size and Sum are those of a file's content.
	Size int64    `json:"size"`
	Sum  [32]byte `json:"sum"`
	// Link is a symbolic link's target as written, or the path of the entry
	// that a hard link shares its content with.
	Link string `json:"link,omitempty"`
}

// EntryList is every entry of an artifact in canonical form: sorted by raw
// path, each once, and of several hard links to one file the first path is
// the file. Make one with NewEntryList.
type EntryList []Entry

// NewEntryList brings entries into canonical form; what it is given stays as
// it is. Hard links may point at any name of their file, in any order; one to
// a symbolic link becomes that symbolic link, and what has no meaning for a
// type (a folder's size, a symbolic link's mode) is set to its one value. It
// refuses what an artifact cannot hold: absolute paths, "..", two entries of
// one path, links to nothing, and entries below what is not a folder.
func NewEntryList(entries []Entry) (EntryList, error) {
	list := EntryList(slices.Clone(entries))
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	for i, e := range list {
		if err := checkEntryPath(e.Path); err != nil {
			return nil, err
		}
		if i > 0 && list[i-1].Path == e.Path {
			return nil, fmt.Errorf("artifact entry %q: appears twice", e.Path)
		}
		if err := list[i].normalize(); err != nil {
			return nil, err
		}
	}
	if err := list.rehomeHardlinks(); err != nil {
		return nil, err
	}
	if err := list.checkParents(); err != nil {
		return nil, err
	}
	return list, nil
}

func checkEntryPath(path string) error {
	if path == "." {
		return nil
	}
	if path == "" || strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
		return fmt.Errorf("artifact entry %q: not a relative path", path)
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("artifact entry %q: not a clean relative path", path)
		}
	}
	return nil
}

// normalize gives the fields that mean nothing for the entry's type their one
// value, so that equal trees have equal lists whoever described them.
func (e *Entry) normalize() error {
	e.Mode &= 0o7777
	switch e.Type {
	case EntryFile:
		e.Link = ""
	case EntryDir:
		e.Size, e.Sum, e.Link = 0, [32]byte{}, ""
	case EntrySymlink:
		e.Size, e.Sum, e.MTime, e.Mode = 0, [32]byte{}, 0, 0o777
	case EntryHardlink:
		e.Size, e.Sum, e.MTime = 0, [32]byte{}, 0
	default:
		return fmt.Errorf("artifact entry %q: unknown type %q", e.Path, byte(e.Type))
	}
	if e.Path == "." && e.Type != EntryDir {
		return fmt.Errorf("artifact entry %q: the root is not a folder", e.Path)
	}
	return nil
}

// Expects returns an error unless the list has an entry like e, as far as the
// header of an archive's member can tell: all but size and content. Which of a
// file's names comes as the file does not matter.
func (l EntryList) Expects(e Entry) error {
	if err := e.normalize(); err != nil {
		return err
	}
	want, ok := l.named(e.Path)
	switch {
	case !ok:
		return fmt.Errorf("artifact entry %q: it is not recorded", e.Path)
	case e.Type == EntryHardlink:
		if to, ok := l.named(e.Link); !ok || to.Type == EntryDir || to != want {
			return fmt.Errorf("artifact entry %q: it is not recorded as another name of %q", e.Path, e.Link)
		}
		return nil
	}
	e.Path, e.Size, e.Sum = want.Path, want.Size, want.Sum
	if e != want {
		return fmt.Errorf("artifact entry %q: its type, owner, mode, time or target is not the recorded one", e.Path)
	}
	return nil
}

// named is the entry of that path; of a file's further names, that
// of the file.
func (l EntryList) named(path string) (Entry, bool) {
	i, ok := l.find(path)
	if ok && l[i].Type == EntryHardlink {
		i, ok = l.find(l[i].Link)
	}
	if !ok {
		return Entry{}, false
	}
	e := l[i]
	if e.Type == EntrySymlink {
		e.Path = "" // each name of one is recorded as one of its own
	}
	return e, true
}

// find is the index of the entry of that path.
func (l EntryList) find(path string) (int, bool) {
	return slices.BinarySearchFunc(l, path, func(e Entry, p string) int { return strings.Compare(e.Path, p) })
}

// rehomeHardlinks makes the first path of each group of hard links the file
// and the others links to it, whichever of them came as the file.
func (l EntryList) rehomeHardlinks() error {
	groups := map[int][]int{} // index of the file as it came -> indexes of its links
	for i, e := range l {
		if e.Type != EntryHardlink {
			continue
		}
		home, err := l.home(i)
		if err != nil {
			return err
		}
		groups[home] = append(groups[home], i)
	}
	for home, links := range groups {
		file, members := l[home], append(links, home)
		first := slices.Min(members)
		for _, i := range members {
			l.setLinked(i, first, file)
		}
	}
	return nil
}

// home follows hard link i, through other names of its file, to the entry that
// came as the file or symbolic link itself.
func (l EntryList) home(i int) (int, error) {
	at := i
	for range len(l) {
		next, ok := l.find(l[at].Link)
		if !ok || l[next].Type == EntryDir {
			break
		}
		if l[next].Type != EntryHardlink {
			return next, nil
		}
		at = next
	}
	return 0, fmt.Errorf("artifact entry %q: hard link to %q, which is not a file of the artifact", l[i].Path, l[i].Link)
}

// checkParents refuses an entry whose path leads through something that is
// not a folder: unpacked, it would land where a link points.
func (l EntryList) checkParents() error {
	last := ""
	for _, e := range l {
		dir := e.Path
		for {
			slash := strings.LastIndexByte(dir, '/')
			if slash < 0 || dir[:slash] == last {
				break
			}
			dir = dir[:slash]
			if i, ok := l.find(dir); ok && l[i].Type != EntryDir {
				return fmt.Errorf("artifact entry %q: %q is not a folder", e.Path, dir)
			}
		}
		if slash := strings.LastIndexByte(e.Path, '/'); slash >= 0 {
			last = e.Path[:slash]
		}
	}
	return nil
}

// setLinked rewrites entry i of the group whose file is at index first.
func (l EntryList) setLinked(i, first int, file Entry) {
	path := l[i].Path
	l[i] = file
	l[i].Path = path
	if i != first && file.Type == EntryFile {
		l[i] = Entry{Path: path, Type: EntryHardlink, Mode: file.Mode, UID: file.UID, GID: file.GID, Link: l[first].Path}
	}
}

// Count is the number of entries, the root folder not counted.
func (l EntryList) Count() int {
	n := len(l)
	if _, ok := l.find("."); ok {
		n--
	}
	return n
}

// Digest is the SHA-256, as "sha256:<hex>", of the canonical encoding: for
// each entry in order its type, mode, uid, gid, mtime and size as big-endian
// 64-bit numbers (the type as one byte), its sum, and path and link each
// preceded by their length. It is the same whatever repository holds the
// bytes and however they lie in the tar.
func (l EntryList) Digest() string {
	h := sha256.New()
	var buf []byte
	for _, e := range l {
		buf = e.appendCanonical(buf[:0])
		h.Write(buf)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

func (e Entry) appendCanonical(b []byte) []byte {
	b = append(b, byte(e.Type))
	for _, n := range []int64{int64(e.Mode), int64(e.UID), int64(e.GID), e.MTime, e.Size} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	b = append(b, e.Sum[:]...)
	for _, s := range []string{e.Path, e.Link} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// Find returns the entry at a path, which may begin with "./".
func (l EntryList) Find(path string) (Entry, bool) {
	path = strings.TrimPrefix(path, "./")
	i, ok := slices.BinarySearchFunc(l, path, func(e Entry, p string) int { return strings.Compare(e.Path, p) })
	if !ok {
		return Entry{}, false
	}
	return l[i], true
}
