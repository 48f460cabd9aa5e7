package demo

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// tree is everything below a folder, and the folder itself as ".", by path. It
// is the demo's own view of data: it shares nothing with how backups are made.
type tree map[string]treeNode

// treeNode is one entry of a tree. Two of them are equal when nobody could
// tell the entries apart.
type treeNode struct {
	kind     byte // f, d or l
	mode     uint32
	uid, gid int
	mtime    int64 // nanoseconds; 0 for symbolic links
	size     int64 // of files
	sum      [sha256.Size]byte
	target   string // of symbolic links
	// names are all paths of the file in the tree, when it has several.
	names string
}

// treeOf reads a folder. What changes meanwhile makes it fail or lie.
func treeOf(root string) (tree, error) {
	t := tree{}
	names := map[uint64][]string{}
	err := filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		info, err := os.Lstat(file)
		if err != nil {
			return err
		}
		node, err := nodeOf(file, info)
		if err != nil {
			return err
		}
		if st := info.Sys().(*syscall.Stat_t); node.kind == 'f' && st.Nlink > 1 {
			names[st.Ino] = append(names[st.Ino], rel)
		}
		t[rel] = node
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", root, err)
	}
	for _, paths := range names {
		t.name(paths)
	}
	return t, nil
}

func nodeOf(file string, info fs.FileInfo) (treeNode, error) {
	st := info.Sys().(*syscall.Stat_t)
	n := treeNode{mode: st.Mode & 0o7777, uid: int(st.Uid), gid: int(st.Gid), mtime: info.ModTime().UnixNano()}
	var err error
	switch {
	case info.IsDir():
		n.kind = 'd'
	case info.Mode().IsRegular():
		n.kind, n.size = 'f', info.Size()
		n.sum, err = sumOfFile(file)
	case info.Mode()&fs.ModeSymlink != 0:
		n.kind, n.mode, n.mtime = 'l', 0, 0
		n.target, err = os.Readlink(file)
	default:
		err = fmt.Errorf("%s is a %s", file, info.Mode().Type())
	}
	return n, err
}

func sumOfFile(file string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	return sumOf(f)
}

func sumOf(r io.Reader) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	_, err = io.Copy(h, r)
	return [sha256.Size]byte(h.Sum(nil)), err
}

// name notes that these paths are names of one file.
func (t tree) name(paths []string) {
	if len(paths) < 2 {
		return
	}
	slices.Sort(paths)
	all := strings.Join(paths, "\x00")
	for _, p := range paths {
		n := t[p]
		n.names = all
		t[p] = n
	}
}

// treeOfTar reads the folder that a tar has under that name.
func treeOfTar(r io.Reader, folder string) (tree, error) {
	t := tree{}
	names := map[string][]string{} // by the name that came as the file
	home := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read tar: %w", err)
		}
		rel, ok := below(folder, h.Name)
		if !ok {
			continue
		}
		if h.Typeflag == tar.TypeLink {
			first, _ := below(folder, h.Linkname)
			home[rel] = home[first]
			t[rel] = t[home[first]]
		} else if t[rel], err = nodeOfTar(tr, h); err != nil {
			return nil, fmt.Errorf("read %q from tar: %w", h.Name, err)
		} else {
			home[rel] = rel
		}
		if t[rel].kind == 'f' {
			names[home[rel]] = append(names[home[rel]], rel)
		}
	}
	for _, paths := range names {
		t.name(paths)
	}
	return t, nil
}

// below is a path of a tar, relative to a folder of it.
func below(folder, name string) (string, bool) {
	name = path.Clean(name)
	if name == folder {
		return ".", true
	}
	return strings.CutPrefix(name, folder+"/")
}

func nodeOfTar(content io.Reader, h *tar.Header) (treeNode, error) {
	n := treeNode{mode: uint32(h.Mode) & 0o7777, uid: h.Uid, gid: h.Gid, mtime: h.ModTime.UnixNano()}
	var err error
	switch h.Typeflag {
	case tar.TypeDir:
		n.kind = 'd'
	case tar.TypeReg:
		n.kind, n.size = 'f', h.Size
		n.sum, err = sumOf(content)
	case tar.TypeSymlink:
		n.kind, n.mode, n.mtime, n.target = 'l', 0, 0, h.Linkname
	default:
		err = fmt.Errorf("an entry of type %q", h.Typeflag)
	}
	return n, err
}

// differences name what is not the same in two trees, a line each.
func (t tree) differences(other tree) []string {
	all := maps.Clone(t)
	maps.Copy(all, other)
	var out []string
	for _, p := range slices.Sorted(maps.Keys(all)) {
		was, had := t[p]
		is, has := other[p]
		switch {
		case !has:
			out = append(out, fmt.Sprintf("%q is missing", p))
		case !had:
			out = append(out, fmt.Sprintf("%q should not be there", p))
		default:
			if d := was.difference(is); d != "" {
				out = append(out, fmt.Sprintf("%q: %s", p, d))
			}
		}
	}
	return out
}

// difference says what is not the same, "" if nothing.
func (n treeNode) difference(is treeNode) string {
	switch {
	case n == is:
		return ""
	case n.kind != is.kind:
		return fmt.Sprintf("was of kind %c, is of kind %c", n.kind, is.kind)
	case n.size != is.size || n.sum != is.sum:
		return fmt.Sprintf("another content: had %d bytes, has %d", n.size, is.size)
	case n.mode != is.mode:
		return fmt.Sprintf("had mode %04o, has %04o", n.mode, is.mode)
	case n.uid != is.uid || n.gid != is.gid:
		return fmt.Sprintf("belonged to %d:%d, belongs to %d:%d", n.uid, n.gid, is.uid, is.gid)
	case n.mtime != is.mtime:
		return fmt.Sprintf("modification time differs by %d ns", is.mtime-n.mtime)
	case n.target != is.target:
		return fmt.Sprintf("led to %q, leads to %q", n.target, is.target)
	}
	return fmt.Sprintf("had the names %q, has %q", n.names, is.names)
}
