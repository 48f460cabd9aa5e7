package restic

import (
	"context"
	"errors"
	"fmt"
	"io"

	chunkers "github.com/PlakarKorp/go-cdc-chunkers"
	"github.com/PlakarKorp/go-cdc-chunkers/chunkers/fastcdc"

	"lockstep/repository"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/vault"
)

// Sizes of the pieces that content is cut into. Where it is cut depends on the
// content around the cut and on a secret of the repository. Most pieces have
// between minPiece and twice normalPiece.
const (
	minPiece    = 512 << 10
	normalPiece = 1 << 20
	maxPiece    = 4 << 20
)

// cutter says where content is cut. It may be used concurrently.
type cutter struct {
	cdc     fastcdc.FastCDC
	options chunkers.ChunkerOpts
}

func newCutter(key []byte) (*cutter, error) {
	c := &cutter{options: chunkers.ChunkerOpts{MinSize: minPiece, NormalSize: normalPiece, MaxSize: maxPiece, Key: key}}
	if err := errors.Join(c.cdc.Setup(&c.options), c.cdc.Validate(&c.options)); err != nil {
		return nil, fmt.Errorf("set up the cutter: %w", err)
	}
	return c, nil
}

// cut is the length of the first piece of b. It is final if it is shorter than
// b, or b has maxPiece bytes or is all that there is.
func (c *cutter) cut(b []byte) int {
	options := c.options
	return c.cdc.Algorithm(&options, b, len(b))
}

// contentWriter saves what is written as the content of a file. It serves one
// caller.
type contentWriter struct {
	ctx     context.Context
	session *vault.Session
	cutter  *cutter
	buf     []byte
	size    int64
	ids     []format.ID
}

// Write implements io.Writer.
func (w *contentWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	w.size += int64(len(p))
	for len(w.buf) >= maxPiece {
		if err := w.piece(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (w *contentWriter) piece() error {
	n := w.cutter.cut(w.buf)
	id, err := w.session.Save(w.ctx, format.Data, w.buf[:n])
	if err != nil {
		return err
	}
	w.ids = append(w.ids, id)
	w.buf = w.buf[:copy(w.buf, w.buf[n:])]
	return nil
}

// node ends the file and gives its node.
func (w *contentWriter) node(name string) (format.Node, error) {
	for len(w.buf) > 0 {
		if err := w.piece(); err != nil {
			return format.Node{}, err
		}
	}
	if w.ids == nil {
		w.ids = []format.ID{}
	}
	return format.Node{Name: format.Name(name), Type: format.NodeFile, Mode: 0o600, Size: uint64(w.size), Content: w.ids}, nil
}

// contentReader reads the content of a file of the repository. It reads ahead
// so many pieces.
type contentReader struct {
	ctx   context.Context
	vault *vault.Vault
	ids   []format.ID
	have  [][]byte
}

const readAhead = 4

// Read implements io.Reader.
func (c *contentReader) Read(p []byte) (int, error) {
	for len(c.have) == 0 || len(c.have[0]) == 0 {
		if len(c.have) > 0 {
			c.have = c.have[1:]
			continue
		}
		if len(c.ids) == 0 {
			return 0, io.EOF
		}
		n := min(readAhead, len(c.ids))
		var handles []format.Handle
		for _, id := range c.ids[:n] {
			handles = append(handles, format.Handle{ID: id})
		}
		var err error
		if c.have, err = c.vault.LoadAll(c.ctx, handles); err != nil {
			return 0, err
		}
		c.ids = c.ids[n:]
	}
	n := copy(p, c.have[0])
	c.have[0] = c.have[0][n:]
	return n, nil
}

// small reads a small file of the repository whole.
func small(ctx context.Context, v *vault.Vault, node format.Node) ([]byte, error) {
	const limit = 64 << 20
	if node.Size > limit {
		return nil, fmt.Errorf("%w: %q has %d bytes", repository.ErrCorrupt, node.Name, node.Size)
	}
	b, err := io.ReadAll(io.LimitReader(&contentReader{ctx: ctx, vault: v, ids: node.Content}, limit))
	if err == nil && uint64(len(b)) != node.Size {
		err = fmt.Errorf("%w: %q has %d bytes instead of %d", repository.ErrCorrupt, node.Name, len(b), node.Size)
	}
	return b, err
}

// child finds what a path names below a tree.
func child(ctx context.Context, v *vault.Vault, tree format.ID, path ...string) (format.Node, error) {
	var node format.Node
	for i, name := range path {
		if i > 0 {
			if node.Subtree == nil {
				return node, fmt.Errorf("%w: %q is not a folder", repository.ErrCorrupt, path[i-1])
			}
			tree = *node.Subtree
		}
		var ok bool
		err := v.EachNode(ctx, tree, func(n format.Node) error {
			if !ok && string(n.Name) == name {
				node, ok = n, true
			}
			return nil
		})
		if err != nil {
			return node, err
		}
		if !ok {
			return node, fmt.Errorf("%w: %q is missing", errMissing, name)
		}
	}
	return node, nil
}

// errMissing: a path names nothing.
var errMissing = errors.New("no such file")
