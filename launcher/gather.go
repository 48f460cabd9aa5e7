package launcher

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"lockstep/spill"
)

// gathering takes in what an instance tells of a folder, entries first and then
// digests, and brings the two together. It holds little of it in memory.
type gathering struct {
	items, sums *spill.Sorter // by path
	several     *spill.Sorter // files with more names, by inode
	n           int
	names       int // bytes of all names
	key, value  []byte
}

func gather(ctx context.Context) *gathering {
	p := spill.Shared()
	return &gathering{items: spill.NewSorter(ctx, p), sums: spill.NewSorter(ctx, p), several: spill.NewSorter(ctx, p)}
}

func (g *gathering) close() {
	g.items.Close()
	g.sums.Close()
	g.several.Close()
}

// take reads the launcher's listing and its digests.
func (g *gathering) take(br *bufio.Reader) error {
	for {
		item, last, err := parseItem(br)
		if err != nil {
			return err
		}
		if last {
			return g.takeSums(br)
		}
		if err := g.takeItem(item); err != nil {
			return err
		}
	}
}

func (g *gathering) takeItem(item Item) error {
	if err := g.bound(item.Path, item.Link); err != nil {
		return err
	}
	g.n++
	g.value = appendItem(g.value[:0], item)
	g.key = append(g.key[:0], item.Path...)
	return g.items.Add(g.key, g.value)
}

// bound refuses more than an artifact can hold, before it is taken in.
func (g *gathering) bound(names ...string) error {
	for _, name := range names {
		g.names += len(name)
	}
	if g.n == maxItems || g.names > maxNames {
		return fmt.Errorf("%w: more than %d entries, or %d bytes of names", errInventory, maxItems, maxNames)
	}
	return nil
}

// takeSums reads lines of sha256sum up to "done". There are no more of them than
// entries, and their names are no longer.
func (g *gathering) takeSums(br *bufio.Reader) error {
	lines, names := 0, 0
	return eachDigest(br, func(line string) error {
		path, sum, err := parseSum(line)
		if err != nil {
			return err
		}
		names += len(path)
		if lines++; lines > g.n || names > g.names {
			return fmt.Errorf("%w: digests of more than was listed", errInventory)
		}
		g.key = append(g.key[:0], path...)
		return g.sums.Add(g.key, sum[:])
	})
}

// each hands on every item: first those with one name, by path, then the files that
// have more, all names of each together. Every regular file must have a digest, by
// this or another of its names.
func (g *gathering) each(hand func(Item)) error {
	items, err := g.items.Sorted()
	if err != nil {
		return err
	}
	sums, err := g.sums.Sorted()
	if err != nil {
		return err
	}
	more, err := sums.Next()
	if err != nil {
		return err
	}
	for {
		ok, err := items.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		item := itemOf(items.Key, items.Value)
		for more && string(sums.Key) < item.Path {
			if more, err = sums.Next(); err != nil {
				return err
			}
		}
		has := more && string(sums.Key) == item.Path && item.Type == 'f'
		if has {
			copy(item.SHA256[:], sums.Value)
		}
		if err := g.joined(item, has, hand); err != nil {
			return err
		}
	}
	g.items.Close()
	g.sums.Close()
	return g.eachOfSeveral(hand)
}

// joined hands an item on, or puts it aside until all names of its file are known.
func (g *gathering) joined(item Item, has bool, hand func(Item)) error {
	switch {
	case item.Type == 'f' && item.Links > 1:
		g.key = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(g.key[:0], item.Dev), item.Inode)
		without := byte(1) // comes behind the names that have a digest
		if has {
			without = 0
		}
		g.key = append(append(g.key, without), item.Path...)
		g.value = appendItem(append(g.value[:0], item.SHA256[:]...), item)
		return g.several.Add(g.key, g.value)
	case item.Type == 'f' && !has:
		return vanished(item.Path)
	}
	hand(item)
	return nil
}

func vanished(path string) error {
	return fmt.Errorf("%q changed or vanished while it was listed", path)
}

// inodeKey is the length of a device's and an inode's number.
const inodeKey = 16

func (g *gathering) eachOfSeveral(hand func(Item)) error {
	files, err := g.several.Sorted()
	if err != nil {
		return err
	}
	var now [inodeKey]byte
	var sum [32]byte
	for {
		ok, err := files.Next()
		if err != nil || !ok {
			return err
		}
		item := itemOf(files.Key[inodeKey+1:], files.Value[len(sum):])
		switch same := string(files.Key[:inodeKey]) == string(now[:]); {
		case files.Key[inodeKey] == 0:
			copy(sum[:], files.Value)
		case !same:
			return vanished(item.Path)
		}
		copy(now[:], files.Key)
		item.SHA256 = sum
		hand(item)
	}
}

// appendItem writes an item without its path and digest.
func appendItem(b []byte, i Item) []byte {
	b = append(b, i.Type)
	for _, n := range []uint64{
		uint64(i.Mode), uint64(i.UID), uint64(i.GID), uint64(i.ModTime.Unix()), uint64(i.ModTime.Nanosecond()),
		uint64(i.Size), i.Dev, i.Inode, i.Links,
	} {
		b = binary.AppendUvarint(b, n)
	}
	return append(b, i.Link...)
}

// itemOf reads what appendItem wrote.
func itemOf(path, b []byte) Item {
	i := Item{Path: string(path), Type: b[0]}
	b = b[1:]
	var n [9]uint64
	for at := range n {
		var size int
		n[at], size = binary.Uvarint(b)
		b = b[size:]
	}
	i.Mode, i.UID, i.GID = uint32(n[0]), uint32(n[1]), uint32(n[2])
	i.ModTime = time.Unix(int64(n[3]), int64(n[4])).UTC()
	i.Size, i.Dev, i.Inode, i.Links = int64(n[5]), n[6], n[7], n[8]
	i.Link = string(b)
	return i
}
