package spill

import (
	"bytes"
	stdcmp "cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

// tiny is a pool that has nothing to give: every list that asks is spilled, and
// every sorter writes when it has least.
func tiny(t testing.TB) *Pool {
	p := NewPool(MinBudget, t.TempDir())
	p.lists, p.share = 0, 0
	return p
}

// build makes a list; with spilled it is in a file however short it is.
func build(ctx context.Context, p *Pool, entries []lockstep.Entry, spilled bool) (*List, error) {
	b := NewBuilder(ctx, p)
	defer b.Close()
	if spilled {
		b.sorter = NewSorter(ctx, p)
		b.sorter.arena, b.sorter.at = make([]byte, 0, 512), make([]uint32, 0, 4) // a run is a few records
	}
	for _, e := range entries {
		if err := b.Add(e); err != nil {
			return nil, err
		}
		if spilled && len(b.sorter.at) == cap(b.sorter.at) {
			if err := b.sorter.write(); err != nil {
				return nil, err
			}
		}
	}
	return b.List()
}

func all(t testing.TB, l *List) lockstep.EntryList {
	t.Helper()
	list := lockstep.EntryList{}
	for e, err := range l.All() {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// names are few, so that entries meet: as folders, files, links, twice; with bytes
// that sort before and after a slash.
func name(rng *rand.Rand) string {
	parts := []string{"a", "b", "a-", "a!", "a\xff", "a0", "\n", "ü", "\xfe\xff", "x y", strings.Repeat("n", 300)}
	path := parts[rng.IntN(len(parts))]
	for rng.IntN(3) > 0 {
		path += "/" + parts[rng.IntN(len(parts))]
	}
	switch rng.IntN(200) {
	case 0:
		return "../" + path
	case 1:
		return "/" + path
	case 2:
		return path + "/"
	case 3:
		return path + "\x00"
	case 4:
		return ""
	}
	return path
}

// tree is a list as a hostile instance may send it, mostly one that can be.
func tree(rng *rand.Rand) []lockstep.Entry {
	entries := []lockstep.Entry{{Path: ".", Type: lockstep.EntryDir, Mode: 0o755}}
	var files []string
	seen := map[string]bool{}
	for range rng.IntN(60) {
		e := lockstep.Entry{
			Path: name(rng), Type: []lockstep.EntryType{'f', 'f', 'f', 'd', 'd', 'd', 'l', 'h', 'h'}[rng.IntN(9)], Mode: rng.Uint32N(0o10000),
			UID: rng.IntN(3), GID: rng.IntN(1 << 31), MTime: rng.Int64() - rng.Int64(), Size: rng.Int64N(9), Link: name(rng),
		}
		e.Sum[rng.IntN(32)] = byte(rng.Uint32())
		if seen[e.Path] && rng.IntN(50) > 0 {
			continue
		}
		if strings.Contains(e.Path, "/") && rng.IntN(20) > 0 { // else its parent may be none
			e.Path = strings.ReplaceAll(e.Path, "/", "-")
		}
		if e.Type == lockstep.EntryHardlink && len(files) > 0 && rng.IntN(20) > 0 {
			e.Link = files[rng.IntN(len(files))]
		}
		if e.Type != lockstep.EntryDir {
			files = append(files, e.Path)
		}
		seen[e.Path] = true
		entries = append(entries, e)
	}
	rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	return entries
}

// TestASpilledListIsTheOneInMemory: whatever it is made of, a list in a file answers
// as lockstep.EntryList does, and is refused where that is.
//
//fault:list-spilled an artifact with very many entries, or with hostile names | its list is sorted in a temporary file, and says what it would say in memory
func TestASpilledListIsTheOneInMemory(t *testing.T) {
	t.Parallel()
	p := tiny(t)
	rng := rand.New(rand.NewPCG(1, 2))
	good := 0
	for range 800 {
		entries := tree(rng)
		want, wantErr := lockstep.NewEntryList(slices.Clone(entries))
		got, err := build(t.Context(), p, entries, true)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("%+v\nin memory: %v\nspilled: %v", entries, wantErr, err)
		}
		if err != nil {
			continue
		}
		good++
		if diff := cmp.Diff(want, all(t, got)); diff != "" || got.file == nil {
			t.Fatalf("(-in memory +spilled)\n%s", diff)
		}
		if got.Digest() != want.Digest() || got.Count() != want.Count() || got.Len() != len(want) {
			t.Fatalf("%d entries, %s; in memory %d, %s", got.Count(), got.Digest(), want.Count(), want.Digest())
		}
		sameAnswers(t, rng, want, got)
		got.Close()
	}
	if good < 150 {
		t.Errorf("only %d of the lists were good ones", good)
	}
	if p.used.Load() != 0 {
		t.Errorf("%d bytes are still taken", p.used.Load())
	}
}

func sameAnswers(t *testing.T, rng *rand.Rand, want lockstep.EntryList, got *List) {
	t.Helper()
	paths := []string{name(rng), name(rng), "", "\xff\xff", "."}
	for _, e := range want {
		paths = append(paths, e.Path, e.Path+"/", e.Path[1:])
	}
	rng.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	inMemory := &List{small: want, pool: got.pool}
	for _, path := range paths {
		e, ok, err := got.Find(path)
		f, is, _ := inMemory.Find(path)
		if err != nil || ok != is || ok && e != f {
			t.Fatalf("%q: found %+v %t, %v; in memory %+v %t", path, e, ok, err, f, is)
		}
	}
	for i, e := range want {
		if f, err := got.at(i); err != nil || f != e {
			t.Fatalf("entry %d is %+v, %v; not %+v", i, f, err, e)
		}
		header := e
		if rng.IntN(3) == 0 {
			header.Mode ^= 1
		}
		if rng.IntN(9) == 0 {
			header.Path = name(rng)
		}
		header.Size, header.Sum = 0, [32]byte{}
		if a, b := got.Expects(header), inMemory.Expects(header); (a != nil) != (b != nil) {
			t.Fatalf("%+v: %v; in memory %v", header, a, b)
		}
	}
	folders := slices.Clone(want)
	slices.SortFunc(folders, func(a, b lockstep.Entry) int {
		return stdcmp.Or(
			strings.Count(b.Path, "/")-strings.Count(a.Path, "/"),
			strings.Compare(strings.ReplaceAll(a.Path, "/", "\x00"), strings.ReplaceAll(b.Path, "/", "\x00")),
		)
	})
	i := 0
	for e, err := range got.ByDepth(t.Context()) {
		if err != nil || e != folders[i] {
			t.Fatalf("by depth, %d: %+v, %v; not %+v", i, e, err, folders[i])
		}
		i++
	}
	if i != len(folders) {
		t.Fatalf("by depth there are %d of %d", i, len(folders))
	}
}

// TestListsAreComparedEntryByEntry, wherever each of them is.
func TestListsAreComparedEntryByEntry(t *testing.T) {
	t.Parallel()
	p := tiny(t)
	file := func(path string, change ...func(*lockstep.Entry)) lockstep.Entry {
		e := lockstep.Entry{Path: path, Type: lockstep.EntryFile, Mode: 0o644, UID: 1, Size: 2, Sum: [32]byte{3}}
		for _, c := range change {
			c(&e)
		}
		return e
	}
	want := []lockstep.Entry{file("a"), file("b"), file("c"), file("o"), {Path: "s", Type: lockstep.EntrySymlink, Link: "1"}, file("z")}
	got := []lockstep.Entry{
		file("b"), file("c", func(e *lockstep.Entry) { e.Sum[31] = 1 }), file("d"), file("o", func(e *lockstep.Entry) { e.UID = 9 }),
		{Path: "s", Type: lockstep.EntrySymlink, Link: "2"}, file("z"),
	}
	for i := range 4 {
		w, err1 := build(t.Context(), p, want, i&1 > 0)
		g, err2 := build(t.Context(), p, got, i&2 > 0)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		first := []lockstep.Difference{{Path: "a", What: "missing"}, {Path: "c", What: "content"}, {Path: "d", What: "unexpected"}}
		d, err := Compare(w, g, false)
		if diff := cmp.Diff(Differences{first, 5}, d); err != nil || diff != "" {
			t.Errorf("%v (-want +got)\n%s", err, diff)
		}
		if d, err := Compare(w, g, true); err != nil || d.Count != 4 {
			t.Errorf("without owners %+v, %v", d, err)
		}
		if d, err := Compare(w, w, false); err != nil || d.Count != 0 {
			t.Errorf("a list and itself: %+v, %v", d, err)
		}
	}
}

// TestSorter: any records come back in order, each as often as it was added, over
// however many runs and passes.
func TestSorter(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	p := tiny(t)
	for _, size := range []int{0, 1, 1000, 3 * least, 40 * least} {
		s := NewSorter(t.Context(), p)
		var want [][]byte
		for have := 0; have < size; {
			key := make([]byte, rng.IntN(12))
			if rng.IntN(100) == 0 {
				key = make([]byte, rng.IntN(least/4))
			}
			for i := range key {
				key[i] = byte(rng.UintN(3)) - 1
			}
			value := fmt.Appendf(nil, "%d", rng.IntN(50))
			if err := s.Add(key, value); err != nil {
				t.Fatal(err)
			}
			want = append(want, append(append(bytes.Clone(key), 0), value...))
			have += len(key) + len(value)
		}
		runs := len(s.runs)
		c, err := s.Sorted()
		if err != nil {
			t.Fatal(err)
		}
		var got [][]byte
		var before [2][]byte
		for {
			ok, err := c.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if len(got) > 0 && compare(before[0], before[1], c.Key, c.Value) > 0 {
				t.Fatal("out of order")
			}
			before = [2][]byte{bytes.Clone(c.Key), bytes.Clone(c.Value)}
			got = append(got, append(append(bytes.Clone(c.Key), 0), c.Value...))
		}
		s.Close()
		slices.SortFunc(want, bytes.Compare)
		slices.SortFunc(got, bytes.Compare)
		if !slices.EqualFunc(want, got, bytes.Equal) {
			t.Errorf("of %d records %d came back, or others", len(want), len(got))
		}
		if (size > least) != (runs > 0) || size == 40*least && runs <= least/runBuffer {
			t.Errorf("%d bytes made %d runs", size, runs)
		}
	}
	s := NewSorter(t.Context(), p)
	defer s.Close()
	if err := s.Add(make([]byte, MaxRecord), []byte{1}); err == nil {
		t.Error("a record that no sorter holds is taken")
	}
	if err := s.Add(make([]byte, MaxRecord), nil); err != nil {
		t.Error(err)
	}
}

// TestTheSpillBoundary: lists of all sizes around it are whole.
func TestTheSpillBoundary(t *testing.T) {
	t.Parallel()
	p := NewPool(MinBudget, t.TempDir())
	for _, length := range []int{8, 200, 60_000} {
		first := largest/(256+length) + 1
		for n := first - 1; n <= first; n++ {
			b := NewBuilder(t.Context(), p)
			err := many(b, n, length)
			if err != nil {
				t.Fatal(err)
			}
			l, err := b.List()
			b.Close()
			if err != nil || l.Len() != n || len(all(t, l)) != n {
				t.Fatalf("%d names of %d: %v", n, length, err)
			}
			if (l.file != nil) != (n >= first) {
				t.Errorf("%d names of %d: spilled %t", n, length, l.file != nil)
			}
			l.Close()
		}
	}
	if used := p.used.Load(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}
