package format

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep/repository"
)

// Types of nodes that we write. There are others, of foreign snapshots.
const (
	NodeFile    = "file"
	NodeDir     = "dir"
	NodeSymlink = "symlink"
)

// Node is one file, folder or link of a tree.
type Node struct {
	Name Name   `json:"name"`
	Type string `json:"type"`
	// Mode is as the fs package numbers its bits.
	Mode       fs.FileMode `json:"mode,omitempty"`
	ModTime    time.Time   `json:"mtime"`
	AccessTime time.Time   `json:"atime"`
	ChangeTime time.Time   `json:"ctime"`
	UID        uint32      `json:"uid"`
	GID        uint32      `json:"gid"`
	User       string      `json:"user,omitempty"`
	Group      string      `json:"group,omitempty"`
	Inode      uint64      `json:"inode,omitempty"`
	Device     uint64      `json:"device_id,omitempty"`
	Size       uint64      `json:"size,omitempty"`
	// Links above 1: nodes of one Inode and Device are one file.
	Links      uint64 `json:"links,omitempty"`
	LinkTarget string `json:"linktarget,omitempty"`
	// RawTarget is the target where it is not UTF-8, which JSON would alter.
	RawTarget []byte `json:"linktarget_raw,omitempty"`
	// Content are the blobs of a file, in order; nil for everything else.
	Content []ID `json:"content"`
	Subtree *ID  `json:"subtree,omitempty"`
}

// Name is a node's: any bytes but a slash.
type Name string

// MarshalJSON writes it as Go writes a string with escapes, so that any bytes
// survive JSON.
func (n Name) MarshalJSON() ([]byte, error) {
	quoted := strconv.Quote(string(n))
	return json.Marshal(quoted[1 : len(quoted)-1])
}

// UnmarshalJSON reads what MarshalJSON writes, and refuses what is not a name of
// something in a folder.
func (n *Name) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	name, err := strconv.Unquote(`"` + s + `"`)
	if err != nil || name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q is not a name", s)
	}
	*n = Name(name)
	return nil
}

// SetTarget sets a symbolic link's target, any bytes.
func (n *Node) SetTarget(target string) {
	n.LinkTarget = target
	if !utf8.ValidString(target) {
		n.RawTarget = []byte(target)
	}
}

// Target is a symbolic link's.
func (n *Node) Target() string {
	if n.RawTarget != nil {
		return string(n.RawTarget)
	}
	return n.LinkTarget
}

// treeJSON is a tree blob.
type treeJSON struct {
	Nodes []Node `json:"nodes"`
}

// TreeWriter makes a tree blob node by node. The zero value is ready.
type TreeWriter struct {
	b     []byte
	begun bool
}

const treeStart = `{"nodes":[`

// Add adds a node, whose name comes behind the one before it.
func (w *TreeWriter) Add(n Node) error {
	b, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("encode tree: %w", err)
	}
	if w.begun {
		w.b = append(w.b, ',')
	}
	w.begin()
	w.b = append(w.b, b...)
	return nil
}

func (w *TreeWriter) begin() {
	if !w.begun {
		w.b, w.begun = append(w.b, treeStart...), true
	}
}

// Size is how many bytes there are by now, without those that were cut off.
func (w *TreeWriter) Size() int { return len(w.b) }

// Cut gives what there is of the blob, until the next Add, and forgets it.
func (w *TreeWriter) Cut() []byte {
	b := w.b
	w.b = w.b[:0]
	return b
}

// Bytes ends the adding and gives the blob, without what was cut off.
func (w *TreeWriter) Bytes() []byte {
	w.begin()
	return append(w.b, "]}\n"...)
}

// EncodeTree is the blob of those nodes, which are sorted by name.
func EncodeTree(nodes []Node) ([]byte, error) {
	var w TreeWriter
	for _, n := range nodes {
		if err := w.Add(n); err != nil {
			return nil, err
		}
	}
	return w.Bytes(), nil
}

// ParseTree reads a tree blob. Of a node the keys that are not known here are
// lost: a tree of another program is read, never written again.
func ParseTree(b []byte) ([]Node, error) {
	var t treeJSON
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("%w: tree: %w", repository.ErrCorrupt, err)
	}
	return t.Nodes, nil
}
