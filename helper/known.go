package helper

import (
	"cmp"
	"encoding/hex"
	"slices"

	"golang.org/x/sys/unix"
)

// maxKnown bounds what is remembered of what was placed; what is beyond is read again
// when all is there.
const maxKnown = 1 << 18

// digests are those of files as they were written, each with what changes when
// anything else is done to it.
type digests struct {
	all    []known
	sorted bool
}

type known struct {
	inode
	ctime unix.Timespec
	size  int64
	sum   [32]byte
}

func newDigests() *digests { return &digests{} }

func (d *digests) add(st *unix.Stat_t, sum [32]byte) {
	if len(d.all) < maxKnown {
		d.all = append(d.all, known{inodeOf(st), st.Ctim, st.Size, sum})
	}
}

// of is the digest of a file, in hex, if it is as it was left. One that has got another
// name since is not: nobody knows what else was done to it before.
func (d *digests) of(st *unix.Stat_t) (string, bool) {
	if d == nil {
		return "", false
	}
	order := func(a, b known) int { return cmp.Or(cmp.Compare(a.ino, b.ino), cmp.Compare(a.dev, b.dev)) }
	if !d.sorted {
		slices.SortStableFunc(d.all, order)
		d.sorted = true
	}
	i, ok := slices.BinarySearchFunc(d.all, known{inode: inodeOf(st)}, order)
	if !ok {
		return "", false
	}
	for i+1 < len(d.all) && d.all[i+1].inode == d.all[i].inode {
		i++ // the last one: a file that was replaced may leave its number to another
	}
	k := d.all[i]
	if k.size != st.Size || k.ctime != st.Ctim {
		return "", false
	}
	return hex.EncodeToString(k.sum[:]), true
}
