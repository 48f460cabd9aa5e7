package vault

import (
	"context"
	"errors"
	"fmt"

	"lockstep/repository"
	"lockstep/repository/restic/format"
)

// ContentSize is how long the content of a file is, by what its blobs have. It
// says nothing of whether they can be read.
func (v *Vault) ContentSize(ctx context.Context, n format.Node) (uint64, error) {
	var size uint64
	for _, id := range n.Content {
		_, b, err := v.find(ctx, format.Handle{ID: id})
		if err != nil {
			return 0, err
		}
		size += uint64(b.Size())
	}
	return size, nil
}

// Used is every blob that a tree of the snapshots needs. One that no index
// knows, or a tree that cannot be read, is an error: then nobody knows what is
// used.
func (v *Vault) Used(ctx context.Context, snapshots map[format.ID]format.Snapshot) (*Set, error) {
	used := v.NewSet()
	for id, s := range snapshots {
		if err := v.use(ctx, *s.Tree, used); err != nil {
			return nil, fmt.Errorf("snapshot %s: %w", id.Short(), err)
		}
	}
	return used, nil
}

func (v *Vault) use(ctx context.Context, tree format.ID, used *Set) error {
	if added, err := v.need(ctx, format.Handle{ID: tree, Kind: format.Tree}, used); err != nil || !added {
		return err
	}
	var below []format.ID // while they are looked at, no tree is in memory that is above
	err := v.EachNode(ctx, tree, func(n format.Node) error {
		if n.Subtree != nil {
			below = append(below, *n.Subtree)
		} else if n.Type == format.NodeDir {
			return fmt.Errorf("%w: folder %q has no tree", repository.ErrCorrupt, n.Name)
		}
		return v.useContent(ctx, n, used)
	})
	for _, id := range below {
		if err == nil {
			err = v.use(ctx, id, used)
		}
	}
	return err
}

func (v *Vault) useContent(ctx context.Context, n format.Node, used *Set) error {
	for _, id := range n.Content {
		if _, err := v.need(ctx, format.Handle{ID: id}, used); err != nil {
			return fmt.Errorf("%q: %w", n.Name, err)
		}
	}
	return nil
}

// need adds a blob to those that are used, and reports whether it was not one before. If
// nobody knows it, the index files are read again.
func (v *Vault) need(ctx context.Context, h format.Handle, used *Set) (added bool, err error) {
	added, err = used.Add(h)
	if errors.Is(err, ErrUnknown) {
		if _, _, err = v.find(ctx, h); err == nil {
			added, err = used.Add(h)
		}
	}
	return added, err
}
