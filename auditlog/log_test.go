package auditlog

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var ctx = context.Background()

// shipped is where the program's log goes.
type shipped struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *shipped) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func open(t *testing.T, dir string) (*Log, *shipped) {
	t.Helper()
	out := &shipped{}
	clock := time.Date(2026, 11, 28, 3, 0, 0, 0, time.UTC)
	l, err := Open(dir, Options{
		Now: func() time.Time { clock = clock.Add(time.Second); return clock },
		Log: slog.New(slog.NewTextHandler(out, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l, out
}

func fill(t *testing.T, l *Log, n int) {
	t.Helper()
	for i := range n {
		if err := l.Record(ctx, Entry{By: "token:ann", Action: "runs:backup", Result: Allowed, Deployment: "shop", Object: fmt.Sprint("run", i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func verify(t *testing.T, dir string, trust Trust) Report {
	t.Helper()
	r, err := Verify(ctx, dir, trust)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func records(dir string) string { return filepath.Join(dir, recordsFile) }

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLog_GoesOnWhereItEnded(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		l, _ := open(t, dir)
		fill(t, l, 5)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, dir, Trust{}); !r.OK || r.Records != 15 || r.Heads != 3 || r.Signed != 15 {
		t.Errorf("%+v; want 15 records, all signed", r)
	}
	for _, f := range []string{recordsFile, headsFile, keyFile} {
		if info, err := os.Stat(filepath.Join(dir, f)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want it readable by its owner alone", f, info.Mode(), err)
		}
	}
}

// A process that dies while it writes leaves a part of a line.
func TestLog_ATornTailIsCutOffAndTold(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir)
	fill(t, l, 3)
	_ = l.Close()
	whole := read(t, records(dir))
	for _, torn := range []string{`{`, `{"n":4,"prev":"00`, strings.Repeat("x", 100)} {
		write(t, records(dir), append(bytes.Clone(whole), torn...))
		if r := verify(t, dir, Trust{}); !r.OK || r.Torn != int64(len(torn)) {
			t.Errorf("before it is opened: %+v", r)
		}
		l, _ := open(t, dir)
		fill(t, l, 1)
		_ = l.Close()
		if r := verify(t, dir, Trust{}); !r.OK || r.Records != 5 || r.Torn != 0 {
			t.Errorf("after %q: %+v; want 3 records, one that tells, one more", torn, r)
		}
		if err := os.Remove(filepath.Join(dir, headsFile)); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing but a part of the first record.
	write(t, records(dir), []byte("{"))
	l, _ = open(t, dir)
	fill(t, l, 1)
	if r := verify(t, dir, Trust{}); !r.OK || r.Records != 2 {
		t.Errorf("a torn first record: %+v", r)
	}
}

func TestLog_TornHeadsSpoilNoOther(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir)
	fill(t, l, 3)
	_ = l.Close()
	heads := filepath.Join(dir, headsFile)
	b := read(t, heads)
	for cut := 0; cut < len(b); cut += 11 {
		write(t, heads, append(bytes.Clone(b), b[:cut]...))
		l, _ := open(t, dir)
		fill(t, l, 1)
		_ = l.Close()
		if r := verify(t, dir, Trust{}); !r.OK || r.Heads < 2 || r.Signed != r.Records {
			t.Fatalf("a head cut at %d: %+v", cut, r)
		}
	}
}

func TestLog_TellsWhenRecordsWereRemovedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir)
	fill(t, l, 3)
	l.Sign(ctx)
	b := read(t, records(dir))
	write(t, records(dir), b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1])
	if err := l.Record(ctx, Entry{By: "x"}); err == nil {
		t.Error("a log that got shorter was written on")
	}
	// After a new start it goes on, tells, and verifying finds it.
	again, out := open(t, dir)
	fill(t, again, 1)
	if !strings.Contains(out.buf.String(), "records were removed") {
		t.Errorf("the program's log does not tell: %s", out.buf.String())
	}
	if r := verify(t, dir, Trust{}); r.OK {
		t.Errorf("%+v; want it found", r)
	}
}

func TestLog_ANewKeyIsTold(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir)
	fill(t, l, 3)
	_ = l.Close()
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	l, out := open(t, dir)
	fill(t, l, 1)
	_ = l.Close()
	if !strings.Contains(out.buf.String(), "made anew") {
		t.Error("the program's log does not tell of the new key")
	}
	if r := verify(t, dir, Trust{}); r.OK || r.Records != 5 {
		t.Errorf("%+v; heads of the lost key cannot be verified", r)
	}
}

// Several processes write one log: here, several values on one folder.
func TestLog_SeveralWriters(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		l, _ := open(t, dir)
		all.Go(func() {
			for range 25 {
				if err := l.Record(ctx, Entry{By: "x", Action: "y", Result: Done}); err != nil {
					t.Error(err)
				}
			}
			l.Sign(ctx)
		})
	}
	all.Wait()
	if r := verify(t, dir, Trust{}); !r.OK || r.Records != 100 || r.Signed != 100 {
		t.Errorf("%+v; want 100 records in one chain", r)
	}
}

// While another process holds the file, nothing is written; then it goes on
// behind what that one wrote.
func TestLog_WaitsForAnotherWriter(t *testing.T) {
	dir := t.TempDir()
	mine, _ := open(t, dir)
	fill(t, mine, 1)
	other, _ := open(t, dir)
	unlock, err := other.lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.catchUp(); err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() { written <- mine.Record(ctx, Entry{By: "x"}) }()
	time.Sleep(100 * time.Millisecond) // time enough to do it wrong
	if err := other.write(Entry{By: "y"}); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if r := verify(t, dir, Trust{}); !r.OK || r.Records != 3 {
		t.Errorf("%+v; want one chain of 3", r)
	}
}

func TestLog_SignsAlongTheWay(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir)
	fill(t, l, headEvery)
	if r := verify(t, dir, Trust{}); r.Signed != headEvery {
		t.Errorf("after %d records %d are signed", headEvery, r.Signed)
	}
}

func TestLog_AWriteThatFailsIsNoRecord(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir)
	fill(t, l, 2)
	good := l.file
	readonly, err := os.Open(records(dir))
	if err != nil {
		t.Fatal(err)
	}
	l.file = readonly
	if err := l.Record(ctx, Entry{By: "x"}); err == nil {
		t.Error("a record that could not be written: no error")
	}
	_ = readonly.Close()
	l.file, l.broken = good, nil
	fill(t, l, 1)
	if r := verify(t, dir, Trust{}); !r.OK || r.Records != 3 {
		t.Errorf("after a failed write: %+v", r)
	}
	if _ = l.Close(); l.Record(ctx, Entry{}) == nil {
		t.Error("a closed log was written")
	}
}

func TestRecord_FieldsAreBounded(t *testing.T) {
	dir := t.TempDir()
	l, _ := open(t, dir)
	long := strings.Repeat("\x01é\xff", 100_000)
	detail := map[string]string{}
	for i := range 1000 {
		detail[fmt.Sprint(i, long)] = long
	}
	if err := l.Record(ctx, Entry{By: long, Action: long, Object: long, Detail: detail}); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 1)
	if r := verify(t, dir, Trust{}); !r.OK || r.Records != 2 {
		t.Errorf("%+v", r)
	}
	if n := len(read(t, records(dir))); n > 2*maxLine {
		t.Errorf("it wrote %d bytes", n)
	}
}
