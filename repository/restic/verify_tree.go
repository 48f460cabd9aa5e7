package restic

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
	"lockstep/spill"
)

// checkTree holds the tree of an artifact's files, which is below that node, against
// its list.
func (a artifact) checkTree(ctx context.Context, files format.Node, list *spill.List) error {
	contents, err := a.contents(ctx, list)
	if err != nil {
		return err
	}
	defer contents.Close()
	linked, err := linkedFiles(ctx, list)
	if err != nil {
		return err
	}
	defer linked.Close()
	c := treeCheck{ctx: ctx, vault: a.vault, artifact: a.Name, list: list, contents: contents, linked: linked}
	if err := c.root(files); err != nil {
		return err
	}
	if c.n != list.Count() {
		return fmt.Errorf("%w: the tree of artifact %q has %d entries, its list %d", repository.ErrCorrupt, a.Name, c.n, list.Count())
	}
	return nil
}

// treeCheck holds a tree against an entry list.
type treeCheck struct {
	ctx      context.Context
	vault    *vault.Vault
	artifact string
	list     *spill.List
	contents *spill.List // see artifact.contents
	linked   *spill.List // see linkedFiles
	n        int
	implied  int
	proven   map[[sha256.Size]byte][sha256.Size]byte // content by the digest of its IDs, of files with several names
	below    *spill.Sorter                           // folders that are still to be held against the list
}

// root begins with the node of the artifact's own folder, and goes on by depth: what
// is yet to come is sorted in little memory, however many folders there are.
func (c *treeCheck) root(n format.Node) error {
	e, ok, err := c.list.Find(".")
	if err != nil {
		return err
	}
	if err := c.same(".", n, e, ok); err != nil {
		return err
	}
	now := spill.NewSorter(c.ctx, spill.Shared())
	defer func() { now.Close() }()
	if err := now.Add(nil, n.Subtree[:]); err != nil {
		return err
	}
	for {
		c.below = spill.NewSorter(c.ctx, spill.Shared())
		more, err := c.level(now)
		now.Close()
		now = c.below
		if err != nil || !more {
			return err
		}
	}
}

// level checks folders of one depth, if there are any.
func (c *treeCheck) level(folders *spill.Sorter) (more bool, err error) {
	all, err := folders.Sorted()
	for err == nil {
		var ok bool
		if ok, err = all.Next(); err != nil || !ok {
			break
		}
		more = true
		err = c.folder(string(all.Key), format.ID(all.Value))
	}
	return more, err
}

// unproven is a file whose content must be read.
type unproven struct {
	path string
	node format.Node
	file lockstep.Entry
}

// folder checks what is in a folder. Nothing is held while content is read.
func (c *treeCheck) folder(path string, tree format.ID) error {
	left, err := c.nodes(path, tree)
	for _, f := range left {
		if err == nil {
			err = c.read(f)
		}
	}
	return err
}

// nodes checks all of a folder's tree that needs nothing else of the repository.
func (c *treeCheck) nodes(path string, tree format.ID) (left []unproven, err error) {
	release, err := holdTree(c.ctx, c.vault, tree)
	if err != nil {
		return nil, err
	}
	defer release()
	last, empty := format.Name(""), true
	err = c.vault.EachNode(c.ctx, tree, func(n format.Node) error {
		at := string(n.Name)
		if path != "" {
			at = path + "/" + at
		}
		if n.Name <= last {
			return fmt.Errorf("%w: the tree has %q twice, or not in the order of names", repository.ErrCorrupt, at)
		}
		last, empty = n.Name, false
		f, err := c.visit(at, n)
		if f != nil {
			left = append(left, *f)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if empty && path != "" {
		if _, ok, err := c.list.Find(path); err != nil {
			return nil, err
		} else if !ok { // only what is in a folder implies it
			return nil, notListed(path)
		}
	}
	return left, nil
}

// holdTree waits for the memory that a tree takes while it is checked: what is sealed,
// what was sealed, and its nodes; of a large one only what is sealed, and a piece.
func holdTree(ctx context.Context, v *vault.Vault, tree format.ID) (release func(), err error) {
	_, b, _ := v.Where(format.Handle{ID: tree, Kind: format.Tree})
	return spill.Shared().Hold(ctx, min(4*int64(b.Size()), int64(b.Length)+8*vault.LargeTree))
}

func notListed(path string) error {
	return fmt.Errorf("%w: the tree has %.1000q, the entry list has not", repository.ErrCorrupt, path)
}

// visit checks a node. What it gives must be read.
func (c *treeCheck) visit(path string, n format.Node) (*unproven, error) {
	e, ok, err := c.list.Find(path)
	if err != nil {
		return nil, err
	}
	if ok {
		c.n++
	} else if c.implied++; n.Type != format.NodeDir || c.implied > repository.MaxEntries || len(path) > repository.MaxName {
		return nil, notListed(path)
	}
	if ok && e.Type == lockstep.EntryHardlink {
		if e, _, err = c.list.Find(e.Link); err != nil {
			return nil, err
		}
	}
	if err := c.same(path, n, e, ok); err != nil {
		return nil, err
	}
	if n.Subtree != nil {
		return nil, c.below.Add([]byte(path), n.Subtree[:])
	}
	if e.Type != lockstep.EntryFile {
		return nil, nil
	}
	return c.content(path, n, e)
}

// same compares a node with what the list makes of the entry, or, where the list has
// none, of a folder that is only implied.
func (c *treeCheck) same(path string, n format.Node, e lockstep.Entry, listed bool) error {
	want := folderNode("", format.ID{})
	if listed {
		want = nodeOf(e)
		if err := tie(&want, c.linked, c.artifact, e); err != nil {
			return err
		}
	}
	if n.Type != want.Type || n.Mode != want.Mode || n.UID != want.UID || n.GID != want.GID || n.Size != want.Size || n.Target() != want.Target() ||
		n.Links != want.Links || n.Inode != want.Inode || n.Device != 0 || (n.Subtree != nil) != (n.Type == format.NodeDir) ||
		e.Type != lockstep.EntrySymlink && !n.ModTime.Equal(want.ModTime) {
		return fmt.Errorf("%w: the tree has %q with another type, size, owner, mode, time, target or other names than the entry list", repository.ErrCorrupt, path)
	}
	return nil
}

// content compares a file's blobs with those of the recipe, which give what the entry
// list says; where it has none for the file, the blobs must be read.
func (c *treeCheck) content(path string, n format.Node, e lockstep.Entry) (*unproven, error) {
	size, err := c.vault.ContentSize(c.ctx, n)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	same := size == uint64(e.Size)
	if same && len(n.Content) == 1 {
		same = n.Content[0] == format.ID(e.Sum)
	} else if same && len(n.Content) > 1 {
		known, ok, err := c.contents.Find(e.Path)
		if err != nil || !ok {
			return &unproven{path, n, e}, err
		}
		same = known.Sum == sumOf(n.Content)
	}
	if !same {
		return nil, otherContent(path)
	}
	return nil, nil
}

func otherContent(path string) error {
	return fmt.Errorf("%w: the tree has another content for %q than the entry list", repository.ErrCorrupt, path)
}

// read reads the content of a file: of one with several names once.
func (c *treeCheck) read(f unproven) error {
	ids := sumOf(f.node.Content)
	sum, ok := c.proven[ids]
	if !ok {
		var err error
		if sum, err = c.sum(f.node); err != nil {
			return fmt.Errorf("%q: %w", f.path, err)
		}
		if f.node.Links > 1 {
			if c.proven == nil {
				c.proven = map[[sha256.Size]byte][sha256.Size]byte{}
			}
			c.proven[ids] = sum
		}
	}
	if sum != f.file.Sum {
		return otherContent(f.path)
	}
	return nil
}

func (c *treeCheck) sum(n format.Node) ([sha256.Size]byte, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, &contentReader{ctx: c.ctx, vault: c.vault, ids: n.Content})
	return [sha256.Size]byte(sum.Sum(nil)), err
}
