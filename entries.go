package lockstep

import (
	"cmp"
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

// NewEntryList brings entries into canonical form. It takes its argument over, which
// is not to be used any more. Hard links may point at any name of their file, in any order; one to
// a symbolic link becomes that symbolic link, and what has no meaning for a
// type (a folder's size, a symbolic link's mode) is set to its one value. It
// refuses what an artifact cannot hold: absolute paths, "..", two entries of
// one path, links to nothing, entries below what is not a folder, and more than
// MaxEntries, MaxNameBytes or MaxDepth.
func NewEntryList(entries []Entry) (EntryList, error) {
	list := EntryList(entries)
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	for i, e := range list {
		if i > 0 && list[i-1].Path == e.Path {
			return nil, fmt.Errorf("artifact entry %q: appears twice", e.Path)
		}
		var err error
		if list[i], err = e.Canonical(); err != nil {
			return nil, err
		}
	}
	if err := list.rehomeHardlinks(); err != nil {
		return nil, err
	}
	if err := list.checkParents(); err != nil {
		return nil, err
	}
	return list, list.checkBounds()
}

// Canonical is the entry as a list has it, but for hard links, whose form depends
// on other entries; see NewEntryList for what it refuses.
func (e Entry) Canonical() (Entry, error) {
	if err := checkEntryPath(e.Path); err != nil {
		return e, err
	}
	return e, e.normalize()
}

func checkEntryPath(path string) error {
	if path == "." {
		return nil
	}
	if path == "" || strings.HasPrefix(path, "/") || strings.ContainsRune(path, 0) {
		return fmt.Errorf("artifact entry %q: not a relative path", path)
	}
	if strings.Count(path, "/") >= MaxDepth {
		return fmt.Errorf("artifact entry %.100q: its path has more than %d names, one below the other", path, MaxDepth)
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
	if err := e.checkNumbers(); err != nil {
		return err
	}
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

// Finder gives the entry of a path, if there is one.
type Finder func(path string) (e Entry, ok bool, err error)

// Expects returns an error unless there is an entry like e, as far as the header
// of an archive's member can tell: all but size and content. Which of a file's
// names comes as the file does not matter.
func (find Finder) Expects(e Entry) error {
	if err := e.normalize(); err != nil {
		return err
	}
	want, ok, err := find.named(e.Path)
	switch {
	case err != nil:
		return err
	case !ok:
		return fmt.Errorf("artifact entry %q: it is not recorded", e.Path)
	case e.Type == EntryHardlink:
		to, ok, err := find.named(e.Link)
		if err != nil {
			return err
		}
		if !ok || to.Type == EntryDir || to != want {
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
func (find Finder) named(path string) (Entry, bool, error) {
	e, ok, err := find(path)
	if err == nil && ok && e.Type == EntryHardlink {
		e, ok, err = find(e.Link)
	}
	if err != nil || !ok {
		return Entry{}, false, err
	}
	if e.Type == EntrySymlink {
		e.Path = "" // each name of one is recorded as one of its own
	}
	return e, true, nil
}

// find is the index of the entry of that path.
func (l EntryList) find(path string) (int, bool) {
	return slices.BinarySearchFunc(l, path, func(e Entry, p string) int { return strings.Compare(e.Path, p) })
}

// rehomeHardlinks makes the first path of each group of hard links the file
// and the others links to it, whichever of them came as the file.
func (l EntryList) rehomeHardlinks() error {
	links := Hardlinks{}
	for i, e := range l {
		if e.Type != EntryHardlink {
			continue
		}
		if to, ok := l.find(e.Link); !ok || l[to].Type == EntryDir || !links.Add(len(l), i, to) {
			return e.Dangling()
		}
	}
	if loop := links.Resolve(); loop >= 0 {
		return l[loop].Dangling()
	}
	names := map[int]Entry{} // of groups of which a name was rewritten, by their first one
	for i := range l {
		home, first, ok := links.Group(i)
		if !ok {
			continue
		}
		file, seen := names[first]
		if !seen {
			file = l[home]
			names[first] = file
		}
		l[i] = file.Named(l[i].Path, l[first].Path)
	}
	return nil
}

// Dangling is the error of a hard link to nothing.
func (e Entry) Dangling() error {
	return fmt.Errorf("artifact entry %q: hard link to %q, which is not a file of the artifact", e.Path, e.Link)
}

// Named is the entry of one of the names of what e is, of which first is the first.
func (e Entry) Named(path, first string) Entry {
	if path != first && e.Type == EntryFile {
		return Entry{Path: path, Type: EntryHardlink, Mode: e.Mode, UID: e.UID, GID: e.GID, Link: first}
	}
	e.Path = path
	return e
}

// Hardlinks finds out which entries of a sorted list are names of one file. The zero
// value is ready; it takes 8 bytes for each entry of the list once there is a link.
type Hardlinks struct {
	// to is the entry that each is a link to, plus 1; after Resolve the one that
	// came as the file itself. firsts are the first names, plus 1, by that one.
	to, firsts []int32
}

// Add notes that entry i, of n, is a link to another. It refuses a link to itself.
func (h *Hardlinks) Add(n, i, to int) bool {
	if h.to == nil {
		h.to, h.firsts = make([]int32, n), make([]int32, n)
	}
	h.to[i] = int32(to) + 1
	return i != to
}

// Resolve follows all links, each once. It returns an entry from which one comes to
// no file, or -1.
func (h *Hardlinks) Resolve() (loop int) {
	for i := range h.to {
		home := int32(i)
		for steps := 0; h.to[home] != 0; steps++ {
			if steps > len(h.to) {
				return i
			}
			home = h.to[home] - 1
		}
		for at := int32(i); at != home; {
			at, h.to[at] = h.to[at]-1, home+1
		}
	}
	for i, to := range h.to {
		if home := to - 1; to != 0 && h.firsts[home] == 0 {
			h.firsts[home] = min(int32(i), home) + 1
		}
	}
	return -1
}

// Group gives, of an entry whose file has several names, the one that came as the
// file and the first one.
func (h *Hardlinks) Group(i int) (home, first int, ok bool) {
	if h.to == nil {
		return 0, 0, false
	}
	home = i
	if h.to[i] != 0 {
		home = int(h.to[i]) - 1
	}
	if h.firsts[home] == 0 {
		return 0, 0, false
	}
	return home, int(h.firsts[home]) - 1, true
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

func (l EntryList) checkBounds() error {
	var names NameBytes
	var places Places
	for _, e := range l {
		if err := cmp.Or(names.Add(e, MaxNameBytes), places.Add(e, MaxEntries)); err != nil {
			return err
		}
	}
	return nil
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
		buf = e.AppendCanonical(buf[:0])
		h.Write(buf)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// AppendCanonical appends the entry's part of the canonical encoding.
func (e Entry) AppendCanonical(b []byte) []byte {
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
