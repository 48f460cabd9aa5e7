package vault

import (
	"encoding/binary"
	"iter"

	"lockstep/repository/restic/format"
)

// place is where one blob is.
type place struct{ pack, offset, length, plain uint32 }

// entry is a blob and the first of its places: 48 bytes, for there may be many millions.
type entry struct {
	id format.ID
	place
}

// table has the blobs of one kind, numbered as they came. Beside an entry it takes six
// bytes or so for each, where a map of Go's takes as much as the entry again; and what
// else is known of a blob can be kept by its number.
type table struct {
	chunks [][]entry // each of chunkEntries but the last, so that none is ever copied
	n      uint32
	slots  []uint32 // numbers and one, 0 where there is none; their count is a power of two
}

const chunkEntries = 4096

func (t *table) at(n uint32) *entry { return &t.chunks[n/chunkEntries][n%chunkEntries] }

// slot is where the search for an ID begins. IDs are hashes, of which any part will do.
func (t *table) slot(id format.ID) uint32 {
	return binary.LittleEndian.Uint32(id[:]) & uint32(len(t.slots)-1)
}

// find gives the number of a blob.
func (t *table) find(id format.ID) (n uint32, ok bool) {
	if t.n == 0 {
		return 0, false
	}
	for i := t.slot(id); ; i = (i + 1) & uint32(len(t.slots)-1) {
		switch n := t.slots[i]; {
		case n == 0:
			return 0, false
		case t.at(n-1).id == id:
			return n - 1, true
		}
	}
}

// add takes in a blob that is not there.
func (t *table) add(id format.ID, at place) {
	if t.n%chunkEntries == 0 {
		t.chunks = append(t.chunks, make([]entry, 0, chunkEntries))
	}
	last := &t.chunks[len(t.chunks)-1]
	*last = append(*last, entry{id, at})
	t.n++
	if uint64(t.n)*4 > uint64(len(t.slots))*3 {
		t.grow()
		return
	}
	t.fill(t.n - 1)
}

// grow makes room for twice as many.
func (t *table) grow() {
	t.slots = make([]uint32, max(64, 2*len(t.slots)))
	for n := range t.n {
		t.fill(n)
	}
}

// fill notes where the entry of that number is found.
func (t *table) fill(n uint32) {
	i := t.slot(t.at(n).id)
	for t.slots[i] != 0 {
		i = (i + 1) & uint32(len(t.slots)-1)
	}
	t.slots[i] = n + 1
}

// all are the entries by their numbers. Nothing may be added meanwhile.
func (t *table) all() iter.Seq2[uint32, *entry] {
	return func(yield func(uint32, *entry) bool) {
		for n := range t.n {
			if !yield(n, t.at(n)) {
				return
			}
		}
	}
}
