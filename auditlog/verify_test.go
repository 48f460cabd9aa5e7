package auditlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every way to change what is signed is found.
func TestVerify_FindsEveryChange(t *testing.T) {
	dir := t.TempDir()
	l, out := open(t, dir)
	fill(t, l, 12)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole := read(t, records(dir))
	heads := read(t, filepath.Join(dir, headsFile))
	lines := bytes.SplitAfter(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
	lines[11] = append(lines[11], '\n')
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	check := func(what string, b []byte) {
		t.Helper()
		write(t, records(dir), b)
		if r := verify(t, dir, Trust{}); r.OK || len(r.Problems) == 0 {
			t.Errorf("%s was not found: %+v", what, r)
		}
	}
	for i := range lines {
		before, after := join(lines[:i]...), join(lines[i+1:]...)
		check(fmt.Sprintf("removing record %d", i+1), join(before, after))
		check(fmt.Sprintf("cutting off from record %d", i+1), before)
		check(fmt.Sprintf("doubling record %d", i+1), join(before, lines[i], lines[i], after))
		check(fmt.Sprintf("changing who did record %d", i+1), join(before, bytes.Replace(lines[i], []byte("ann"), []byte("bob"), 1), after))
		check(fmt.Sprintf("a blank in record %d", i+1), join(before, bytes.Replace(lines[i], []byte(`,"by"`), []byte(`, "by"`), 1), after))
		if i > 0 {
			check(fmt.Sprintf("swapping records %d and %d", i, i+1), join(join(lines[:i-1]...), lines[i], lines[i-1], after))
		}
	}
	write(t, records(dir), whole)
	if r := verify(t, dir, Trust{}); !r.OK {
		t.Fatalf("the whole log: %+v", r)
	}

	// Whoever writes all anew, with the key of the folder, is found by a head
	// that was kept elsewhere, as the program's log has it.
	if !strings.Contains(out.buf.String(), "audit log head") {
		t.Fatalf("no head went to the program's log: %s", out.buf.String())
	}
	for _, f := range []string{recordsFile, headsFile} {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			t.Fatal(err)
		}
	}
	forged, _ := open(t, dir)
	fill(t, forged, 11)
	if err := forged.Record(ctx, Entry{By: "token:bob", Action: "runs:backup", Result: Allowed}); err != nil {
		t.Fatal(err)
	}
	if err := forged.Close(); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir, Trust{}); !r.OK {
		t.Errorf("a log forged with its own key: %+v; nothing in the folder can tell", r)
	}
	if r := verify(t, dir, Trust{Heads: append([]byte("kept on another host:\n"), heads...)}); r.OK {
		t.Errorf("a forged log and a head that was kept elsewhere: %+v; want it found", r)
	}
}

func TestVerify_TellsOfForeignHeads(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		l, _ := open(t, d)
		fill(t, l, 3)
		_ = l.Close()
	}
	foreign := read(t, filepath.Join(other, headsFile))
	if r := verify(t, dir, Trust{Heads: foreign}); r.OK {
		t.Errorf("a head of another log: %+v", r)
	}
	if r := verify(t, dir, Trust{Key: string(read(t, filepath.Join(other, pubFile)))}); r.OK {
		t.Errorf("another log's key: %+v", r)
	}
	if _, err := Verify(ctx, dir, Trust{Heads: []byte("hello")}); err == nil {
		t.Error("heads that hold none: no error")
	}
	if _, err := Verify(ctx, dir, Trust{Key: "hello"}); err == nil {
		t.Error("a key that is none: no error")
	}
}

func TestRead_Pages(t *testing.T) {
	dir := t.TempDir()
	if p, err := Read(ctx, dir, Query{}); err != nil || len(p.Records) != 0 || p.Next != "" {
		t.Errorf("no log: %+v, %v", p, err)
	}
	l, _ := open(t, dir)
	for i := range 2000 {
		e := Entry{By: "token:ann", Action: "runs:backup", Deployment: []string{"shop", "bank"}[i%2]}
		if err := l.write(e); err != nil {
			t.Fatal(err)
		}
	}
	write(t, records(dir), append(read(t, records(dir)), "{torn"...))
	for _, limit := range []int{1, 7, 500} {
		for _, deployment := range []string{"", "shop"} {
			got, cursor, pages := []int64{}, "", 0
			for {
				p, err := Read(ctx, dir, Query{Limit: limit, Deployment: deployment, Cursor: cursor})
				if err != nil {
					t.Fatal(err)
				}
				if len(p.Records) > limit {
					t.Fatalf("%d records on a page of %d", len(p.Records), limit)
				}
				for _, r := range p.Records {
					got = append(got, r.N)
				}
				if pages++; p.Next == "" || pages > 3000 {
					break
				}
				cursor = p.Next
			}
			want := []int64{}
			for n := int64(2000); n > 0; n-- {
				if deployment == "" || n%2 == 1 {
					want = append(want, n)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("pages of %d of %q: %d records, want %d, newest first", limit, deployment, len(got), len(want))
			}
		}
	}
	for _, cursor := range []string{"x", "-1", "0", "999999999"} {
		if _, err := Read(ctx, dir, Query{Cursor: cursor}); err == nil {
			t.Errorf("cursor %q: no error", cursor)
		}
	}
	if p, err := Read(ctx, dir, Query{Cursor: "333"}); err != nil || len(p.Records) > 2 {
		t.Errorf("a cursor in the middle of a line: %+v, %v", p, err)
	}
}

// Whatever a log's file holds: what verifies begins with all that was signed.
func FuzzVerify(f *testing.F) {
	dir := f.TempDir()
	l, err := Open(dir, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 4 {
		if err := l.Record(ctx, Entry{By: "token:ann", Action: "x", Object: fmt.Sprint(i)}); err != nil {
			f.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(records(dir))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, []byte(nil))
	f.Add(whole[:len(whole)-1], []byte(headTitle+"\n1\nx\n\n— lockstep-audit AAAA\n"))
	f.Add(bytes.ToUpper(whole), []byte("— "))
	heads, err := os.ReadFile(filepath.Join(dir, headsFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b, more []byte) {
		r := Report{}
		own, err := r.heads(dir, Trust{Heads: append(bytes.Clone(heads), more...)})
		if err != nil {
			return // what was added made the heads unreadable, and that is told
		}
		if err := r.chain(ctx, bytes.NewReader(b), own); err != nil {
			t.Fatal(err)
		}
		if len(r.Problems) == 0 && !bytes.HasPrefix(b, whole) {
			t.Errorf("it verified: %q", b)
		}
		_, _ = readTail(bytes.NewReader(b), int64(len(b))) // it does not panic
		var p Page
		if err := p.fill(ctx, &backwards{r: bytes.NewReader(b), begin: int64(len(b))}, Query{Limit: 10}); err != nil && len(b) < maxLine {
			t.Error(err)
		}
	})
}

// TestVerify_TellsOfWhatIsNoHead: a head whose beginning was changed is not passed
// over in silence. It may also be what a process left that died as it signed, so
// by itself it is not a problem.
func TestVerify_TellsOfWhatIsNoHead(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir)
	for range 3 {
		fill(t, l, 1)
		l.Sign(ctx)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, headsFile)
	heads := read(t, path)
	if r := verify(t, dir, Trust{}); !r.OK || r.Heads != 3 || r.NoHead != 0 {
		t.Errorf("the whole log: %+v", r)
	}
	write(t, path, append([]byte("x"), heads[1:]...))
	if r := verify(t, dir, Trust{}); r.Heads != 2 || r.NoHead != len(heads)/3 {
		t.Errorf("the first of three heads in %d bytes was changed: %+v", len(heads), r)
	}
}
