package spill

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"lockstep"
)

// TestNothingIsLeftOfAListThatIsGivenUp: neither a file nor memory.
//
//fault:list-canceled a transfer is stopped while its list is in a temporary file | the file is gone; it never has a name
func TestNothingIsLeftOfAListThatIsGivenUp(t *testing.T) { // not parallel: it counts open files
	p := tiny(t)
	open := files(t, p)
	ctx, cancel := context.WithCancelCause(t.Context())
	b := NewBuilder(ctx, p)
	if err := many(b, 10_000, 200); err != nil {
		t.Fatal(err)
	}
	if n := files(t, p); n <= open {
		t.Fatalf("nothing was spilled: %d files", n)
	}
	if names, err := os.ReadDir(p.dir); err != nil || len(names) > 0 {
		t.Errorf("%v have names, %v", names, err)
	}
	why := errors.New("the run was canceled")
	cancel(why)
	if _, err := b.List(); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	b.Close()
	if n := files(t, p); n != open || p.used.Load() != 0 {
		t.Errorf("%d files are open, %d before; %d bytes are taken", n, open, p.used.Load())
	}
}

// files counts what is open in the pool's folder.
func files(t *testing.T, p *Pool) (n int) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc: that files are closed was not tested")
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, p.dir) {
			n++
		}
	}
	return n
}

// TestAListThatCannotBeWrittenIsAnError that names the folder, and says what to do.
//
//fault:list-no-room the folder for temporary files is full, missing or not to be written | the transfer fails, and names the folder; the repository's data counts as what it was
func TestAListThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	p := tiny(t)
	p.dir += "/none"
	_, err := build(t.Context(), p, []lockstep.Entry{{Path: "a", Type: lockstep.EntryFile}}, true)
	if !errors.Is(err, ErrSpill) || !strings.Contains(err.Error(), p.dir) || !strings.Contains(lockstep.HintOf(err), p.dir) {
		t.Errorf("%v; hint %q", err, lockstep.HintOf(err))
	}
	for _, at := range []string{"a run", "a merged run", "the list"} {
		p := tiny(t)
		s := NewSorter(t.Context(), p)
		full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
		if err != nil {
			t.Skip("no /dev/full: a full disk was not tested")
		}
		switch at {
		case "a run":
			s.file = full
			err = s.Add([]byte("a"), make([]byte, 3*runBuffer))
			if err == nil {
				err = s.write()
			}
		case "a merged run":
			if err = s.Add([]byte("a"), make([]byte, 3*runBuffer)); err == nil {
				err = s.write()
			}
			if err != nil {
				t.Fatal(err)
			}
			w := &writer{pool: p, to: bufioOf(full)}
			if err = s.copyMerged(w, s.runs); err == nil {
				_, err = w.end()
			}
		case "the list":
			var w *listWriter
			if w, err = newListWriter(p); err != nil {
				t.Fatal(err)
			}
			w.out.to = bufioOf(full)
			for i := 0; err == nil && i < 1000; i++ {
				err = w.add(lockstep.Entry{Path: fmt.Sprint(i), Type: lockstep.EntryFile})
			}
			if err == nil {
				_, err = w.end()
			}
			w.close()
		}
		if !errors.Is(err, ErrSpill) || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%s: %v", at, err)
		}
		s.Close()
		full.Close()
	}
}

// TestAFileThatGivesBackSomethingElse is an error, never another list.
//
//fault:list-rotten a temporary file gives back other bytes than were written | the transfer fails; nothing is kept of the list
func TestAFileThatGivesBackSomethingElse(t *testing.T) {
	t.Parallel()
	p := tiny(t)
	var entries []lockstep.Entry
	for i := range 25 {
		entries = append(entries, lockstep.Entry{Path: fmt.Sprintf("%03d", i), Type: lockstep.EntryFile, Size: int64(i)})
	}
	l, err := build(t.Context(), p, entries, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for at := range l.size {
		b := make([]byte, 1)
		if _, err := l.file.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		flip := func() {
			b[0] ^= 1 << (at % 8)
			if _, err := l.file.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
		}
		flip()
		var failed error
		for _, err := range l.All() {
			failed = err
		}
		if !errors.Is(failed, ErrSpill) {
			t.Fatalf("byte %d: %v", at, failed)
		}
		l.block, l.tops = block{}, nil
		for i := range entries { // no matter what, but no panic
			_, _, err1 := l.Find(entries[i].Path)
			_, err2 := l.at(i)
			for _, err := range []error{err1, err2} {
				if err != nil && !errors.Is(err, ErrSpill) {
					t.Fatalf("byte %d: searched, it says of the data: %v", at, err)
				}
			}
		}
		flip()
	}
	l.block, l.tops = block{}, nil
	if got := all(t, l); len(got) != len(entries) {
		t.Errorf("%d entries", len(got))
	}
}

// TestARunThatGivesBackSomethingElse says nothing of the data either.
func TestARunThatGivesBackSomethingElse(t *testing.T) {
	t.Parallel()
	p := tiny(t)
	b := NewBuilder(t.Context(), p)
	defer b.Close()
	b.sorter = NewSorter(t.Context(), p)
	if err := errors.Join(b.sorter.Add([]byte("a"), []byte{byte(lockstep.EntryFile), 0xff}), b.sorter.write()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.List(); !errors.Is(err, ErrSpill) {
		t.Error(err)
	}
}

func bufioOf(f *os.File) *bufio.Writer { return bufio.NewWriterSize(f, 512) }
