package restic

import (
	"context"

	"lockstep"
	"lockstep/repository/restic/format"
	"lockstep/spill"
)

// linkedFiles are the files of a list that have several names, by the first one. The
// size of each is how many further names it has.
func linkedFiles(ctx context.Context, list *spill.List) (*spill.List, error) {
	further := spill.NewSorter(ctx, spill.Shared())
	defer further.Close()
	for e, err := range list.All() {
		if err == nil && e.Type == lockstep.EntryHardlink {
			err = further.Add([]byte(e.Link), nil)
		}
		if err != nil {
			return nil, err
		}
	}
	all, err := further.Sorted()
	if err != nil {
		return nil, err
	}
	files := spill.NewBuilder(ctx, spill.Shared())
	defer files.Close()
	var file lockstep.Entry
	for {
		ok, err := all.Next()
		if err == nil && ok && file.Path == string(all.Key) {
			file.Size++
			continue
		}
		if err == nil && file.Path != "" {
			err = files.Add(file)
		}
		if err != nil {
			return nil, err
		}
		if !ok {
			return files.List()
		}
		file = lockstep.Entry{Path: string(all.Key), Type: lockstep.EntryFile, Size: 1}
	}
}

// tie gives the node of an entry, which is not a hard link, what says of which
// other nodes it is the same file.
func tie(n *format.Node, linked *spill.List, artifact string, e lockstep.Entry) error {
	switch e.Type {
	case lockstep.EntrySymlink:
		n.Links = 1
	case lockstep.EntryFile:
		names, ok, err := linked.Find(e.Path)
		if err != nil {
			return err
		}
		n.Links = 1
		if ok {
			n.Links, n.Inode = uint64(1+names.Size), inode(artifact, e.Path)
		}
	case lockstep.EntryDir, lockstep.EntryHardlink:
	}
	return nil
}
