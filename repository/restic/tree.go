package restic

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"io/fs"

	"slices"
	"time"

	"lockstep"
	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
	"lockstep/spill"
)

// Names in the folder that says what the others are.
const (
	ownFolder    = ".lockstep"
	manifestFile = "manifest.json"
	artifactFile = "artifact.json"
	entriesFile  = "entries"
	recipeFile   = "recipe"
)

// artifactJSON is artifact.json.
type artifactJSON struct {
	Version int    `json:"lockstep_artifact"`
	Name    string `json:"name"`
	Bytes   int64  `json:"bytes"`
	// Digest is that of the entry list.
	Digest string `json:"digest"`
}

const artifactVersion = 1

// artifactTree makes the tree of a staged artifact's snapshot.
type artifactTree struct {
	name    string
	content repository.Content
	entries *spill.List
	files   fileContents
	recipe  *contentWriter
	session *vault.Session
	cutter  *cutter
}

func (a *artifactTree) save(ctx context.Context) (format.ID, error) {
	own, err := a.saveOwn(ctx)
	if err != nil {
		return format.ID{}, err
	}
	lockstepFolder, err := a.folder(ctx, ownFolder, folderNode(a.name, own))
	if err != nil {
		return format.ID{}, err
	}
	files, err := a.saveFiles(ctx)
	if err != nil {
		return format.ID{}, err
	}
	return a.session.SaveTree(ctx, sorted(lockstepFolder, files))
}

// folder saves a folder of those nodes and gives its node.
func (a *artifactTree) folder(ctx context.Context, name string, nodes ...format.Node) (format.Node, error) {
	id, err := a.session.SaveTree(ctx, sorted(nodes...))
	return folderNode(name, id), err
}

func folderNode(name string, tree format.ID) format.Node {
	return format.Node{Name: format.Name(name), Type: format.NodeDir, Mode: fs.ModeDir | 0o700, Subtree: &tree}
}

func sorted(nodes ...format.Node) []format.Node {
	slices.SortFunc(nodes, func(a, b format.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes
}

// saveOwn saves what .lockstep has of the artifact.
func (a *artifactTree) saveOwn(ctx context.Context) (format.ID, error) {
	about, err := json.Marshal(artifactJSON{artifactVersion, a.name, a.content.Bytes, a.content.Digest})
	if err != nil {
		return format.ID{}, err
	}
	aboutNode, err := saveFile(ctx, a.session, a.cutter, artifactFile, append(about, '\n'))
	if err != nil {
		return format.ID{}, err
	}
	recipe, err := a.recipe.node(recipeFile)
	if err != nil {
		return format.ID{}, err
	}
	entries, err := a.saveEntries(ctx)
	if err != nil {
		return format.ID{}, err
	}
	return a.session.SaveTree(ctx, sorted(aboutNode, recipe, entries))
}

func saveFile(ctx context.Context, s *vault.Session, c *cutter, name string, data []byte) (format.Node, error) {
	w := &contentWriter{ctx: ctx, session: s, cutter: c}
	if _, err := w.Write(data); err != nil {
		return format.Node{}, err
	}
	return w.node(name)
}

func (a *artifactTree) saveEntries(ctx context.Context) (format.Node, error) {
	w := &contentWriter{ctx: ctx, session: a.session, cutter: a.cutter}
	buffered := bufio.NewWriterSize(w, 64<<10)
	for e, err := range a.entries.All() {
		if err != nil {
			return format.Node{}, err
		}
		line, err := e.MarshalJSON()
		if err != nil {
			return format.Node{}, err
		}
		if _, err := buffered.Write(append(line, '\n')); err != nil {
			return format.Node{}, err
		}
	}
	if err := buffered.Flush(); err != nil {
		return format.Node{}, err
	}
	return w.node(entriesFile)
}

// node is an entry as a node of that name.
func (b *treeBuilder) node(name string, e lockstep.Entry) (format.Node, error) {
	home := e
	if e.Type == lockstep.EntryHardlink {
		var err error
		if home, _, err = b.list.Find(e.Link); err != nil {
			return format.Node{}, err
		}
	}
	n := nodeOf(home)
	n.Name = format.Name(name)
	n.User, n.Group = b.artifact.files.users[home.UID], b.artifact.files.groups[home.GID]
	switch home.Type {
	case lockstep.EntrySymlink:
		link, _, err := b.artifact.files.links.Find(home.Path)
		if err != nil {
			return n, err
		}
		n.ModTime = timeOf(time.Unix(0, link.MTime))
	case lockstep.EntryFile:
		n.Content = b.content(home)
	case lockstep.EntryDir, lockstep.EntryHardlink:
	}
	n.AccessTime, n.ChangeTime = n.ModTime, n.ModTime
	err := tie(&n, b.linked, b.artifact.name, home)
	return n, err
}

// nodeOf is what a node has of an entry that is not a hard link: all but its name, its
// content, and what the entry list does not have.
func nodeOf(e lockstep.Entry) format.Node {
	n := format.Node{Mode: modeOf(e.Mode), UID: uint32(e.UID), GID: uint32(e.GID), ModTime: timeOf(time.Unix(0, e.MTime))}
	switch e.Type {
	case lockstep.EntryDir:
		n.Type, n.Mode = format.NodeDir, n.Mode|fs.ModeDir
	case lockstep.EntrySymlink:
		n.Type, n.Mode = format.NodeSymlink, n.Mode|fs.ModeSymlink
		n.SetTarget(e.Link)
	case lockstep.EntryFile, lockstep.EntryHardlink:
		n.Type, n.Size = format.NodeFile, uint64(e.Size)
	}
	return n
}

// content are the blobs of a file.
func (b *treeBuilder) content(e lockstep.Entry) []format.ID {
	switch ids, ok := b.blobs[e.Path]; {
	case ok:
		return ids
	case e.Size == 0:
		return []format.ID{}
	}
	return []format.ID{format.ID(e.Sum)}
}

// inode is a number for a file that has several names: restic takes nodes of
// one number for one file. It is the same in every backup.
func inode(artifact, path string) uint64 {
	sum := sha256.Sum256([]byte(artifact + "/" + path))
	return binary.BigEndian.Uint64(sum[:])
}

// modeOf is a mode as the fs package numbers its bits.
func modeOf(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, as := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= as
		}
	}
	return m
}

// timeOf is a time as JSON can have it: in UTC, of the years 0 to 9999. The
// recipe and the entry list have it as it was.
func timeOf(t time.Time) time.Time {
	t = t.UTC()
	if first := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC); t.Before(first) {
		return first
	}
	if last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC); t.After(last) {
		return last
	}
	return t
}

// newSnapshot is one of now.
func newSnapshot(tree format.ID, path, host string, tags ...string) format.Snapshot {
	machine, user := format.Whoami()
	if host == "" {
		host = machine
	}
	return format.Snapshot{Time: time.Now(), Tree: &tree, Paths: []string{path}, Hostname: host, Username: user, Tags: tags}
}
