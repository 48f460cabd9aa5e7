// Package oplog is what a program did to its files, and what may be left of that
// after a loss of power: of what was not synced, anything.
package oplog

import (
	"math/rand/v2"
	"path"
)

// Kind is what an Op does.
type Kind string

// The kinds. An Ack does nothing to files: the program told somebody, by Note,
// that something is kept.
const (
	Create   Kind = "create"
	Write    Kind = "write"
	Truncate Kind = "truncate"
	Sync     Kind = "sync"
	Rename   Kind = "rename"
	Remove   Kind = "remove"
	Mkdir    Kind = "mkdir"
	SyncDir  Kind = "sync folder"
	Ack      Kind = "ack"
)

// Op is one thing that was done. Paths are relative, with slashes.
type Op struct {
	Kind Kind
	Path string
	To   string // of a Rename
	Off  int64  // of a Write; the new size, of a Truncate
	Data []byte
	Note string
}

// Disk is a file system of which nothing is durable but what was synced: a sync
// of a file makes its content durable, a sync of a folder the names in it. The
// zero value is empty.
type Disk struct {
	seen    map[string]*node    // names as the program sees them
	kept    map[string]*node    // names as they are durable
	pending map[string][]change // by folder: changes of names that are not
}

// node is a file or a folder.
type node struct {
	folder  bool
	content []byte // as it is durable
	pending []Op   // writes that are not
}

type change struct {
	op Op
	n  *node // of a Create or Mkdir
}

func (c change) apply(names map[string]*node) {
	switch c.op.Kind {
	case Create, Mkdir:
		names[c.op.Path] = c.n
	case Remove:
		delete(names, c.op.Path)
	case Rename:
		if n := names[c.op.Path]; n != nil {
			delete(names, c.op.Path)
			names[c.op.To] = n
		}
	}
}

// Do does an operation.
func (d *Disk) Do(op Op) {
	if d.seen == nil {
		d.seen, d.kept, d.pending = map[string]*node{}, map[string]*node{}, map[string][]change{}
	}
	switch op.Kind {
	case Create, Mkdir, Remove, Rename:
		c := change{op: op}
		if op.Kind == Create || op.Kind == Mkdir {
			c.n = &node{folder: op.Kind == Mkdir}
		}
		c.apply(d.seen)
		folder := path.Dir(op.Path)
		d.pending[folder] = append(d.pending[folder], c)
	case Write, Truncate:
		n := d.seen[op.Path]
		n.pending = append(n.pending, op)
	case Sync:
		n := d.seen[op.Path]
		n.content, n.pending = n.all(), nil
	case SyncDir:
		for _, c := range d.pending[op.Path] {
			c.apply(d.kept)
		}
		delete(d.pending, op.Path)
	case Ack:
	}
}

func (n *node) all() []byte {
	content := n.content
	for _, op := range n.pending {
		content = put(content, op.Kind, op.Off, op.Data)
	}
	return content
}

// put does a write or a truncate to a content, which stays as it is.
func put(content []byte, kind Kind, off int64, data []byte) []byte {
	size := max(int64(len(content)), off+int64(len(data)))
	if kind == Truncate {
		size = off
	}
	out := make([]byte, size)
	copy(out, content)
	if kind == Write {
		copy(out[off:], data)
	}
	return out
}

// sector is how much of a write is kept or lost at once.
const sector = 512

// Crash is what may be left after a loss of power: file contents by path, and
// nil for folders. Of the changes of names in a folder that was not synced the
// first few are kept, or any; of data that was not synced, each sector is or is
// not.
func (d *Disk) Crash(r *rand.Rand) map[string][]byte {
	names := map[string]*node{}
	for p, n := range d.kept {
		names[p] = n
	}
	odds := []float64{0, 1, r.Float64()}[r.IntN(3)] // all is lost, nothing, or some
	inOrder := r.IntN(2) == 0
	for _, folder := range sortedKeys(d.pending) {
		first := r.IntN(len(d.pending[folder]) + 1)
		for i, c := range d.pending[folder] {
			if inOrder && i < first || !inOrder && r.Float64() < odds {
				c.apply(names)
			}
		}
	}
	left := map[string][]byte{}
	for _, p := range sortedKeys(names) {
		switch n := names[p]; {
		case !reachable(names, p):
		case n.folder:
			left[p] = nil
		default:
			left[p] = n.some(r, odds)
		}
	}
	return left
}

// reachable: every folder above it is there.
func reachable(names map[string]*node, p string) bool {
	for folder := path.Dir(p); folder != "."; folder = path.Dir(folder) {
		if n := names[folder]; n == nil || !n.folder {
			return false
		}
	}
	return true
}

func (n *node) some(r *rand.Rand, odds float64) []byte {
	content := append([]byte{}, n.content...)
	for _, op := range n.pending {
		if op.Kind == Truncate {
			if r.Float64() < odds {
				content = put(content, Truncate, op.Off, nil)
			}
			continue
		}
		for at := 0; at < len(op.Data); at += sector {
			if r.Float64() < odds {
				content = put(content, Write, op.Off+int64(at), op.Data[at:min(at+sector, len(op.Data))])
			}
		}
	}
	return content
}
