package vault

import (
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"testing"

	"lockstep/repository/restic/format"
)

// numbered is an ID with that number in it; those that are equal modulo 64 are looked for
// from the same slot of a small table.
func numbered(n uint32) format.ID {
	id := format.Sum(binary.LittleEndian.AppendUint32(nil, n))
	binary.LittleEndian.PutUint32(id[:], n%64)
	return id
}

// TestATable finds what was added and nothing else, whatever its IDs have in common.
func TestATable(t *testing.T) {
	t.Parallel()
	var x table
	const many = 3*chunkEntries + 5
	for n := range uint32(many) {
		if _, ok := x.find(numbered(n)); ok {
			t.Fatalf("%d is there before it was added", n)
		}
		x.add(numbered(n), place{n, n + 1, n + 2, n + 3})
	}
	for n := range uint32(many) {
		got, ok := x.find(numbered(n))
		if !ok || got != n || *x.at(got) != (entry{numbered(n), place{n, n + 1, n + 2, n + 3}}) {
			t.Fatalf("%d is %d, %v", n, got, ok)
		}
	}
	if _, ok := x.find(numbered(many)); ok {
		t.Error("what was not added is found")
	}
	n := 0
	for number, e := range x.all() {
		if n++; e.id != numbered(number) {
			t.Fatalf("%d is another one", number)
		}
	}
	if n != many {
		t.Errorf("%d of %d", n, many)
	}
}

// TestASet has what was added, once; it does not take in what no index knows, nor anything
// after the index was replaced, by whose numbers it would have other blobs.
func TestASet(t *testing.T) {
	t.Parallel()
	v, _, handles := stored(t, 200)
	s := v.NewSet()
	for _, h := range handles[:150] {
		for again := range 2 {
			if added, err := s.Add(h); err != nil || added != (again == 0) {
				t.Fatalf("%v is added %v, %v", h, added, err)
			}
		}
	}
	if got := slices.Collect(s.All()); len(got) != 150 || slices.ContainsFunc(got, func(h format.Handle) bool { return !slices.Contains(handles[:150], h) }) {
		t.Errorf("it has %d", len(got))
	}
	if _, err := s.Add(format.Handle{ID: format.Sum(nil)}); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown one: %v", err)
	}
	v.forget()
	if _, err := s.Add(handles[199]); !errors.Is(err, ErrReplaced) {
		t.Errorf("after the index was replaced: %v", err)
	}
	if got := slices.Collect(s.All()); len(got) != 150 {
		t.Errorf("it has %d then", len(got))
	}
}

// TestWhatIsKnownOfABlobIsSmall: of each of very many blobs that are stored, and needed, the
// index and what a check knows beside it take little more than its ID and where it lies.
func TestWhatIsKnownOfABlobIsSmall(t *testing.T) { // not parallel: it counts the heap
	const blobs, inAPack = 400_000, 40_000
	v, _, _ := stored(t, 1)
	before := inUse()
	for at := 0; at < blobs; at += inAPack {
		p := format.PackBlobs{ID: format.Sum(binary.LittleEndian.AppendUint32(nil, uint32(at)))}
		for n := range uint32(inAPack) {
			p.Blobs = append(p.Blobs, format.Blob{ID: format.Sum(binary.LittleEndian.AppendUint32([]byte("blob"), uint32(at)+n)), Offset: 100 * n, Length: 100})
		}
		v.addTo(v.index, []format.PackBlobs{p})
	}
	used := v.NewSet()
	for n := range uint32(blobs) {
		if _, err := used.Add(format.Handle{ID: format.Sum(binary.LittleEndian.AppendUint32([]byte("blob"), n))}); err != nil {
			t.Fatal(err)
		}
	}
	p := &pruner{vault: v, index: v.index, used: used, packs: map[format.ID]int64{}}
	for n, id := range v.index.packs {
		p.packs[id] = v.index.sizes[n]
	}
	if err := p.place(); err != nil {
		t.Fatal(err)
	}
	each := float64(inUse()-before) / blobs
	t.Logf("%.1f bytes for each blob", each)
	if each > 64 { // 48 are its ID and its place
		t.Errorf("%.1f bytes for each of %d blobs", each, blobs)
	}
	runtime.KeepAlive(p)
}

// inUse is how much of the heap is in use.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
