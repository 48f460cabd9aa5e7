package vault

import (
	"cmp"
	"slices"

	"lockstep/repository/restic/format"
)

// contents says what is in each pack of an index as it was when it was asked: four bytes
// for each blob, beside what the index has.
type contents struct {
	vault *Vault
	of    *index
	// blob are the numbers of blobs, shifted by one bit for their kind, by the pack of their
	// first place: those of pack n are from first[n] to first[n+1].
	blob  []uint32
	first []uint32
	moved map[uint32][]format.Blob // of packs: blobs whose first place is elsewhere
}

// contents is called with mu held.
func (x *index) contents(v *Vault) *contents {
	c := &contents{vault: v, of: x, first: make([]uint32, len(x.packs)+1), moved: map[uint32][]format.Blob{}}
	for kind := range x.blobs {
		for _, e := range x.blobs[kind].all() {
			c.first[e.pack+1]++
		}
	}
	for n := range x.packs {
		c.first[n+1] += c.first[n]
	}
	c.blob = make([]uint32, c.first[len(x.packs)])
	next := slices.Clone(c.first)
	for kind := range x.blobs {
		for n, e := range x.blobs[kind].all() {
			c.blob[next[e.pack]] = n<<1 | uint32(kind)
			next[e.pack]++
		}
	}
	for h, others := range x.others {
		for _, at := range others {
			c.moved[at.pack] = append(c.moved[at.pack], at.of(h))
		}
	}
	return c
}

// blobs are those of a pack that is not leaving, or of which none was stored again yet, in
// the order in which they lie.
func (c *contents) blobs(pack uint32) []format.Blob {
	c.vault.mu.Lock()
	defer c.vault.mu.Unlock()
	blobs := slices.Clone(c.moved[pack])
	for _, ref := range c.blob[c.first[pack]:c.first[pack+1]] {
		kind := format.Kind(ref & 1)
		if e := c.of.blobs[kind].at(ref >> 1); e.pack == pack {
			blobs = append(blobs, e.of(format.Handle{ID: e.id, Kind: kind}))
		}
	}
	slices.SortFunc(blobs, func(a, b format.Blob) int { return cmp.Compare(a.Offset, b.Offset) })
	return blobs
}
