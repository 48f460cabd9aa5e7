package spill

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"lockstep"
)

// many adds n entries with names of that length to a builder, in no order.
func many(b *Builder, n, length int) error {
	pad := strings.Repeat("n", length-8)
	for i := range n {
		e := lockstep.Entry{Path: fmt.Sprintf("%08d", i*7919%n) + pad, Type: lockstep.EntryFile, Size: int64(i)}
		e.Sum[0] = byte(i)
		if err := b.Add(e); err != nil {
			return err
		}
	}
	return nil
}

// TestManyListsAtOnceStayWithinTheBudget: many long lists, all at once, take the
// pool's memory and the little that each has of its own, not what their names take.
//
//fault:57 sixteen lists of very many long names at once | they are sorted in temporary files, within one budget of memory for the process
func TestManyListsAtOnceStayWithinTheBudget(t *testing.T) { // not parallel: it counts the heap
	const lists, entries, length = 16, 12_000, 1000
	p := NewPool(MinBudget, t.TempDir())
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	var builders []*Builder
	for range lists {
		b := NewBuilder(t.Context(), p)
		defer b.Close()
		builders = append(builders, b)
		if err := many(b, entries, length); err != nil {
			t.Fatal(err)
		}
		if used := p.used.Load(); used > p.lists {
			t.Fatalf("%d bytes of %d are taken", used, p.lists)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&m)
	names, took := int64(lists*entries*length), int64(m.HeapAlloc)-int64(before.HeapAlloc)
	if bound := p.lists + lists*2*least; took > bound || bound > names/8 {
		t.Errorf("lists with %d MiB of names take %d KiB, may take %d", names>>20, took>>10, bound>>10)
	}
	for _, b := range builders {
		l, err := b.List()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if l.Len() != entries {
			t.Errorf("%d entries", l.Len())
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&m)
	if took := int64(m.HeapAlloc) - int64(before.HeapAlloc); took > lists*2*least {
		t.Errorf("ready lists take %d KiB", took>>10)
	}
	if used := p.used.Load(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}

// TestAFewEntriesTouchNoDisk, and a list that is forgotten gives its memory back.
func TestAFewEntriesTouchNoDisk(t *testing.T) {
	t.Parallel()
	p := NewPool(MinBudget, "/nonexistent")
	b := NewBuilder(t.Context(), p)
	if err := many(b, 5000, 60); err != nil {
		t.Fatal(err)
	}
	l, err := b.List()
	b.Close()
	if err != nil || l.file != nil || p.used.Load() == 0 {
		t.Fatalf("%v, %d bytes taken", err, p.used.Load())
	}
	runtime.KeepAlive(l)
	for range 100 {
		runtime.GC()
		runtime.Gosched()
		if p.used.Load() == 0 {
			return
		}
	}
	t.Errorf("%d bytes are still taken", p.used.Load())
}

// TestShortListsThatWait are counted in full, and are not many.
func TestShortListsThatWait(t *testing.T) {
	t.Parallel()
	p := NewPool(MinBudget, t.TempDir())
	var waiting []*List
	for len(waiting) < 1000 {
		b := NewBuilder(t.Context(), p)
		if err := many(b, 400, 200); err != nil {
			t.Fatal(err)
		}
		l, err := b.List()
		b.Close()
		if err != nil || l.file != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if !l.Wait() {
			break
		}
		waiting = append(waiting, l)
	}
	if n := int64(len(waiting)); n*400*200 > p.lists || n < p.lists/400/200/3 {
		t.Errorf("%d lists wait within %d bytes", n, p.lists)
	}
	for _, l := range waiting {
		l.Close()
	}
	if used := p.used.Load(); used != 0 {
		t.Errorf("%d bytes are still taken", used)
	}
}

// TestALongChainOfHardLinks: each is followed once, in memory and not.
//
//fault:links-chained a million hard links, each to the next | they are followed once each, not all from each
func TestALongChainOfHardLinks(t *testing.T) {
	t.Parallel()
	const n = 3_000
	entries := []lockstep.Entry{{Path: fmt.Sprintf("%06d", n), Type: lockstep.EntryFile, Size: 5}}
	for i := range n {
		entries = append(entries, lockstep.Entry{Path: fmt.Sprintf("%06d", i), Type: lockstep.EntryHardlink, Link: fmt.Sprintf("%06d", i+1)})
	}
	want, err := lockstep.NewEntryList(slices.Clone(entries))
	if err != nil {
		t.Fatal(err)
	}
	got, err := build(t.Context(), tiny(t), entries, true)
	if err != nil || got.Digest() != want.Digest() || want[0].Size != 5 || want[n].Link != "000000" {
		t.Fatal(err, want[0], want[n])
	}
	got.Close()
	entries[0] = lockstep.Entry{Path: entries[0].Path, Type: lockstep.EntryHardlink, Link: "000000"}
	if _, err := build(t.Context(), tiny(t), entries, true); err == nil {
		t.Error("a ring of links is a list")
	}
	if _, err := lockstep.NewEntryList(slices.Clone(entries)); err == nil {
		t.Error("a ring of links is a list in memory")
	}
}

// TestFewNamesOfManyLinksAreBounded: a long name of which there are very many hard
// links is in the list with each of them.
//
//fault:links-long-name hard links without number to a file with a very long name, each with a short one | the list has the long name once for each: what it takes is bounded, not only what was sent
func TestFewNamesOfManyLinksAreBounded(t *testing.T) {
	t.Parallel()
	p := tiny(t)
	p.names = 1 << 20
	long := strings.Repeat("a", 60<<10)
	for name, entries := range map[string][]lockstep.Entry{
		"as the instance says": {{Path: long, Type: lockstep.EntryFile}, {Path: "b", Type: lockstep.EntryHardlink, Link: long}},
		"as the list has it":   {{Path: "b", Type: lockstep.EntryFile}, {Path: long, Type: lockstep.EntryHardlink, Link: "b"}},
	} {
		for i := range 16 {
			entries = append(entries, lockstep.Entry{Path: fmt.Sprintf("c%d", i), Type: lockstep.EntryHardlink, Link: entries[1].Link})
		}
		b := NewBuilder(t.Context(), p)
		b.sorter = NewSorter(t.Context(), p) // as one of a long list
		var err error
		for _, e := range entries {
			if err == nil {
				err = b.Add(e)
			}
		}
		if refused := err != nil; refused != (entries[0].Path == long) {
			t.Errorf("%s: refused while it is added to: %t", name, refused)
		}
		if err == nil {
			_, err = b.List()
		}
		b.Close()
		if lockstep.KindOf(err) != lockstep.KindRefused {
			t.Errorf("%s: %.1000v", name, err)
		}
		l, err := build(t.Context(), p, entries[:15], true)
		if err != nil {
			t.Errorf("%s: %.1000v", name, err)
		}
		l.Close()
	}
}

// TestFoldersOfALongListAreBounded, also those that only paths of others name.
//
//fault:57 paths without number of thousands of folders each, of which none is an entry | each folder counts as an entry: more than a million are refused, as is a path of more than 2048
func TestFoldersOfALongListAreBounded(t *testing.T) {
	t.Parallel()
	p := tiny(t)
	p.places = 50
	for n, good := range map[int]bool{10: true, 11: false} {
		var entries []lockstep.Entry
		for i := range n {
			entries = append(entries, lockstep.Entry{Path: fmt.Sprintf("%d/a/b/c/f", i), Type: lockstep.EntryFile})
		}
		l, err := build(t.Context(), p, entries, true)
		if good != (err == nil) || !good && lockstep.KindOf(err) != lockstep.KindRefused {
			t.Errorf("%d: %v", n, err)
		}
		l.Close()
	}
	_, err := build(t.Context(), p, []lockstep.Entry{{Path: strings.Repeat("a/", lockstep.MaxDepth) + "a", Type: lockstep.EntryFile}}, true)
	if err == nil {
		t.Error("a path of any depth is taken")
	}
}

// TestHoldIsOneAtATimeWhereItIsLarge, and ends with its context.
func TestHoldIsOneAtATimeWhereItIsLarge(t *testing.T) {
	t.Parallel()
	p := NewPool(MinBudget, t.TempDir())
	release, err := p.Hold(t.Context(), 1<<50)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := p.Hold(ctx, 1); !errors.Is(err, why) {
		t.Errorf("beside one that has all: %v", err)
	}
	if p.held.TryAcquire(1) {
		t.Error("something else is held beside one that has all")
	}
	if !p.take(p.lists) {
		t.Error("lists wait for what is held")
	}
	p.give(p.lists)
	release()
	for range 2 {
		release, err := p.Hold(t.Context(), p.wholes/2)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
	}
}
