package restic

import (
	"context"
	"iter"
	"strings"

	"lockstep"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
	"lockstep/spill"
)

// saveFiles saves the artifact's files as trees and gives its folder's node.
func (a *artifactTree) saveFiles(ctx context.Context) (format.Node, error) {
	b, err := newTreeBuilder(ctx, a)
	if err != nil {
		return format.Node{}, err
	}
	defer b.linked.Close()
	node := folderNode(a.name, format.ID{})
	root, ok, err := a.entries.Find(".")
	if err == nil && ok {
		node, err = b.node(a.name, root)
	}
	if err != nil {
		return node, err
	}
	id, err := b.save(ctx)
	node.Subtree = &id
	return node, err
}

// treeBuilder makes trees of an entry list, the deepest first: a tree has the IDs of
// those in it, so all of one depth are saved before those above. Of the others only
// their IDs are kept, sorted in little memory.
type treeBuilder struct {
	artifact *artifactTree
	list     *spill.List
	linked   *spill.List            // see linkedFiles
	blobs    map[string][]format.ID // by path of a file that has several

	pull func() (lockstep.Entry, error, bool) // by depth
	now  lockstep.Entry                       // the next one
	more bool                                 // there is one

	// The folders of this depth that something is in, in the order of pull.
	folders *spill.Cursor
	path    string // of the next one
	id      format.ID
	left    bool // there is one

	depth  int
	hollow bool // there is an empty folder, whose tree is to be saved
}

func newTreeBuilder(ctx context.Context, a *artifactTree) (*treeBuilder, error) {
	b := &treeBuilder{artifact: a, list: a.entries, blobs: map[string][]format.ID{}}
	for path, ids := range a.files.several {
		path, err := home(b.list, path)
		if err != nil {
			return nil, err
		}
		b.blobs[path] = ids
	}
	var err error
	b.linked, err = linkedFiles(ctx, a.entries)
	return b, err
}

// advance goes to the next entry that is not the root.
func (b *treeBuilder) advance() (err error) {
	for {
		b.now, err, b.more = b.pull()
		if err != nil || !b.more || b.now.Path != "." {
			return err
		}
	}
}

func (b *treeBuilder) advanceFolder() (err error) {
	if b.left, err = b.folders.Next(); b.left {
		b.path, b.id = strings.ReplaceAll(string(b.folders.Key), "\x00", "/"), format.ID(b.folders.Value)
	}
	return err
}

// save saves all trees and gives the uppermost.
func (b *treeBuilder) save(ctx context.Context) (format.ID, error) {
	var stop func()
	b.pull, stop = iter.Pull2(b.list.ByDepth(ctx))
	defer stop()
	if err := b.advance(); err != nil {
		return format.ID{}, err
	}
	if !b.more {
		return b.artifact.session.SaveTree(ctx, nil)
	}
	done := spill.NewSorter(ctx, spill.Shared())
	defer func() { done.Close() }()
	for b.depth = strings.Count(b.now.Path, "/"); ; b.depth-- {
		next := spill.NewSorter(ctx, spill.Shared())
		id, err := b.level(ctx, done, next)
		done.Close()
		done = next
		if err != nil || b.depth == 0 {
			return id, err
		}
	}
}

// level saves the folders whose content has this depth: what done has and what the
// list has are in them. It gives the last one.
func (b *treeBuilder) level(ctx context.Context, done, next *spill.Sorter) (id format.ID, err error) {
	if b.folders, err = done.Sorted(); err == nil {
		err = b.advanceFolder()
	}
	for err == nil {
		path, ok := b.next()
		if !ok {
			break
		}
		if id, err = b.folder(ctx); err == nil {
			err = next.Add([]byte(ordered(above(path))), id[:])
		}
	}
	return id, err
}

// ordered is a path that sorts as spill.List.ByDepth gives paths of one depth.
func ordered(path string) string { return strings.ReplaceAll(path, "/", "\x00") }

// above is the path of the folder that a path is in.
func above(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

// next is the next path of this depth.
func (b *treeBuilder) next() (path string, ok bool) {
	listed := b.more && strings.Count(b.now.Path, "/") == b.depth
	switch {
	case !listed:
		return b.path, b.left
	case b.left && ordered(b.path) < ordered(b.now.Path):
		return b.path, true
	}
	return b.now.Path, true
}

// folder saves the folder that the next path is in.
func (b *treeBuilder) folder(ctx context.Context) (format.ID, error) {
	t := &folderTree{ctx: ctx, list: b.list, session: b.artifact.session}
	defer t.end()
	path, ok := b.next()
	for of := above(path); ok && above(path) == of; path, ok = b.next() {
		node, err := b.take(path)
		if err == nil {
			err = t.add(node)
		}
		if err != nil {
			return format.ID{}, err
		}
	}
	if b.hollow {
		if _, err := b.artifact.session.SaveTree(ctx, nil); err != nil {
			return format.ID{}, err
		}
		b.hollow = false
	}
	return t.save()
}

// folderTree is the tree of one folder while it is made: a small one in memory, of a
// large one only a piece at a time.
type folderTree struct {
	ctx     context.Context
	list    *spill.List
	session *vault.Session
	nodes   format.TreeWriter

	release func() // gives back the memory that a large one has
	scratch *spill.Scratch
	large   *vault.Stream
}

// unheld is how large a tree may become that is made without asking for memory.
const unheld = 256 << 10

// add adds a node. Of a large tree it waits for memory; nothing else is waited for until
// all are added.
func (t *folderTree) add(n format.Node) (err error) {
	if err := t.nodes.Add(n); err != nil {
		return err
	}
	if t.release == nil && t.nodes.Size() > unheld {
		if t.release, err = holdTrees(t.ctx, t.list); err != nil {
			return err
		}
	}
	if t.nodes.Size() <= vault.LargeTree {
		return nil
	}
	if t.large == nil {
		if t.scratch, err = spill.Shared().Scratch(); err == nil {
			t.large, err = t.session.NewStream(format.Tree, t.scratch)
		}
		if err != nil {
			return err
		}
	}
	_, err = t.large.Write(t.nodes.Cut())
	return err
}

// save saves the tree. Its memory is given back before: who saves may wait for others, and
// they for it.
func (t *folderTree) save() (format.ID, error) {
	last := t.nodes.Bytes()
	if t.large == nil {
		t.giveBack()
		return t.session.Save(t.ctx, format.Tree, last)
	}
	if _, err := t.large.Write(last); err != nil {
		return format.ID{}, err
	}
	t.nodes = format.TreeWriter{}
	return t.large.Save(t.ctx, t.giveBack)
}

func (t *folderTree) giveBack() {
	if t.release != nil {
		t.release()
		t.release = nil
	}
}

func (t *folderTree) end() {
	t.giveBack()
	t.scratch.Close()
}

// holdTrees waits for the memory that a large tree of those entries may take: as it is,
// or sealed, which is never more than the entries, with what compresses it.
func holdTrees(ctx context.Context, entries *spill.List) (release func(), err error) {
	return spill.Shared().Hold(ctx, min(8*entries.Size(), entries.Size()+8*vault.LargeTree))
}

// emptyTree is the ID of a tree that has nothing.
var emptyTree = format.Sum((&format.TreeWriter{}).Bytes())

// take makes the node of the next path, and goes on.
func (b *treeBuilder) take(path string) (format.Node, error) {
	name := path[len(above(path)):]
	name = strings.TrimPrefix(name, "/")
	node := folderNode(name, emptyTree) // of one that other paths only name
	var err error
	if b.more && b.now.Path == path {
		if node, err = b.node(name, b.now); err == nil {
			err = b.advance()
		}
	}
	if err != nil || node.Type != format.NodeDir {
		return node, err
	}
	if b.left && b.path == path {
		id := b.id
		node.Subtree = &id
		return node, b.advanceFolder()
	}
	b.hollow = true
	node.Subtree = &emptyTree
	return node, nil
}
