package browse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"lockstep"
)

// lists are entry lists by BACKUP/ARTIFACT, with how often each was read.
type lists struct {
	of   map[string]lockstep.EntryList
	read map[string]int
	fail error
}

func (l *lists) Entries(_ context.Context, id lockstep.BackupID, name string) iter.Seq2[lockstep.Entry, error] {
	return func(yield func(lockstep.Entry, error) bool) {
		key := string(id) + "/" + name
		l.read[key]++
		for _, e := range l.of[key] {
			if !yield(e, nil) {
				return
			}
		}
		if l.fail != nil {
			yield(lockstep.Entry{}, l.fail)
		}
	}
}

// file is an entry that is written "PATH=CONTENT", or "PATH/" for a folder; "@n"
// behind it is its time.
func file(t *testing.T, s string) lockstep.Entry {
	t.Helper()
	e := lockstep.Entry{Type: lockstep.EntryFile, Mode: 0o644}
	s, at, _ := strings.Cut(s, "@")
	if at != "" {
		if _, err := fmt.Sscan(at, &e.MTime); err != nil {
			t.Fatal(err)
		}
	}
	var content string
	e.Path, content, _ = strings.Cut(s, "=")
	if path, is := strings.CutSuffix(e.Path, "/"); is {
		e.Path, e.Type, e.Mode = path, lockstep.EntryDir, 0o755
		return e
	}
	e.Size = int64(len(content))
	copy(e.Sum[:], content)
	return e
}

// world is backups b1, b2 … of artifacts that are written "ARTIFACT: FILE FILE …".
func world(t *testing.T, backups ...[]string) (*lists, []lockstep.Backup) {
	t.Helper()
	l := &lists{of: map[string]lockstep.EntryList{}, read: map[string]int{}}
	var out []lockstep.Backup
	for i, artifacts := range backups {
		b := lockstep.Backup{ID: lockstep.BackupID(fmt.Sprintf("b%d", i+1))}
		for _, a := range artifacts {
			name, files, _ := strings.Cut(a, ": ")
			var entries []lockstep.Entry
			for _, f := range strings.Fields(files) {
				entries = append(entries, file(t, f))
			}
			list, err := lockstep.NewEntryList(entries)
			if err != nil {
				t.Fatal(err)
			}
			l.of[string(b.ID)+"/"+name] = list
			b.Artifacts = append(b.Artifacts, lockstep.Artifact{Name: name, Digest: list.Digest()})
		}
		out = append(out, b)
	}
	return l, out
}

func TestChanges(t *testing.T) {
	t.Parallel()
	l, b := world(t,
		[]string{"db: ./ conf/ conf/a=1 conf/b=2@1 gone=xx same=1", "web: index=1", "old: f=1"},
		[]string{"db: ./ conf/ conf/a=3 conf/b=2@2 same=1 new=yyyy", "web: index=1", "fresh: g=1"})
	for name, test := range map[string]struct {
		at       string
		metadata bool
		want     []string
	}{
		"all":            {"", false, []string{"changed db/conf/a content", "removed db/gone ", "added db/new ", "added fresh/g ", "removed old/f "}},
		"with metadata":  {"db/conf", true, []string{"changed db/conf/a content", "changed db/conf/b mtime"}},
		"one artifact":   {"fresh", false, []string{"added fresh/g "}},
		"one file":       {"db/gone", false, []string{"removed db/gone "}},
		"nothing there":  {"db/none", false, nil},
		"no prefix of a": {"db/co", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := Comparison{From: l, A: b[0], B: b[1], Metadata: test.metadata}
			if test.at != "" {
				c.At = ParsePlace(test.at)
			}
			var got []string
			for change, err := range c.Changes(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprintf("%s %s %s", change.Kind, change.Place(), change.What))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
	if n := l.read["b1/web"] + l.read["b2/web"]; n != 0 {
		t.Errorf("lists of one digest were read %d times", n)
	}
	for _, err := range (Comparison{From: l, A: b[0], B: b[1], At: Place{"none", ""}}).Changes(t.Context()) {
		if lockstep.KindOf(err) != lockstep.KindNotFound {
			t.Errorf("an artifact that neither has: %v", err)
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	l, b := world(t, []string{"a: x=123 y=1 z=1@1"}, []string{"a: x=12345 w=22 z=1@2"})
	var s Summary
	for change, err := range (Comparison{From: l, A: b[0], B: b[1], Metadata: true}).Changes(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		s.Add(change)
	}
	if want := (Summary{Added: 1, Removed: 1, Changed: 2, AddedBytes: 7, RemovedBytes: 4}); s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

// TestAListThatBreaksOff is an error, never an end: what is behind it is not removed.
func TestAListThatBreaksOff(t *testing.T) {
	t.Parallel()
	l, b := world(t, []string{"a: x=1"}, []string{"a: y=1"})
	l.fail = errors.New("cut")
	var last error
	for _, err := range (Comparison{From: l, A: b[0], B: b[1]}).Changes(t.Context()) {
		last = err
	}
	if !errors.Is(last, l.fail) {
		t.Errorf("compare ended with %v", last)
	}
	p, err := ParsePattern("x", false)
	if err != nil {
		t.Fatal(err)
	}
	if found, err := Find(t.Context(), l, b, p); !errors.Is(err, l.fail) {
		t.Errorf("found %v, %v", found, err)
	}
	if _, _, err := Folder(l.Entries(t.Context(), "b1", "a"), ""); !errors.Is(err, l.fail) {
		t.Errorf("folder: %v", err)
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	l, b := world(t,
		[]string{"db: dumps/ dumps/Orders.sql=33 conf=1", "web: x=1"},
		[]string{"db: dumps/ dumps/Orders.sql=33@7 conf=2", "web: x=1"},
		[]string{"db: dumps/ dumps/Orders.sql=1 conf=1", "web: x=1"})
	b = append(b, lockstep.Backup{ID: "foreign", Artifacts: []lockstep.Artifact{{Name: "db"}, {Name: "web"}}})
	for pattern, want := range map[string][]string{
		"Orders.sql":       {"db/dumps/Orders.sql b1 b2", "db/dumps/Orders.sql b3"},
		"*.sql":            {"db/dumps/Orders.sql b1 b2", "db/dumps/Orders.sql b3"},
		"orders":           nil,
		"dumps/*":          {"db/dumps/Orders.sql b1 b2", "db/dumps/Orders.sql b3"},
		"db/dumps/*":       {"db/dumps/Orders.sql b1 b2", "db/dumps/Orders.sql b3"},
		"/db/dumps/*.sql/": {"db/dumps/Orders.sql b1 b2", "db/dumps/Orders.sql b3"},
		"conf":             {"db/conf b1 b3", "db/conf b2"},
		"x":                {"web/x b1 b2 b3"},
		"dumps":            {"db/dumps b1 b2 b3"},
		"*/*/*":            {"db/dumps/Orders.sql b1 b2", "db/dumps/Orders.sql b3"},
	} {
		p, err := ParsePattern(pattern, false)
		if err != nil {
			t.Fatal(err)
		}
		found, err := Find(t.Context(), l, b, p)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range found.Versions {
			line := v.Place().String()
			for _, id := range v.Backups {
				line += " " + string(id)
			}
			got = append(got, line)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", pattern, got, want)
		}
		if !slices.Equal(found.NotSearched, []lockstep.BackupID{"foreign"}) {
			t.Errorf("not searched: %q", found.NotSearched)
		}
	}
	if n := l.read["b1/web"]; n != 10 || l.read["b2/web"] != 0 || l.read["b3/web"] != 0 {
		t.Errorf("lists of one digest were read again: %v", l.read)
	}
	folded, err := ParsePattern("ORDERS.*", true)
	if err != nil || !folded.Matches(Place{"db", "dumps/Orders.sql"}) {
		t.Errorf("case is not ignored, %v", err)
	}
	if _, err := ParsePattern("[", false); lockstep.KindOf(err) != lockstep.KindUsage {
		t.Errorf("a bad pattern: %v", err)
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	l, _ := world(t, []string{"a: ./ b=1 a-b=22 a/ a/x=1 a/y/ a/y/z=333 sub/deep/er=4444"})
	for path, want := range map[string]string{
		"":         "a/ 2 4, sub/ 1 4, a-b 1 2, b 1 1",
		"a":        "y/ 1 3, x 1 1",
		"a/y":      "z 1 3",
		"sub":      "deep/ 1 4",
		"sub/deep": "er 1 4",
		"a-b":      "",
	} {
		at, children, err := Folder(l.Entries(t.Context(), "b1", "a"), path)
		if err != nil || at == nil {
			t.Fatalf("%q: %v, %v", path, at, err)
		}
		var got []string
		for _, c := range children {
			name := c.Name
			if c.Dir() {
				name += "/"
			}
			got = append(got, fmt.Sprint(name, " ", c.Files, " ", c.Bytes))
			if p := strings.TrimPrefix(path+"/"+c.Name, "/"); c.Entry.Path != p {
				t.Errorf("the path of %q is %q", p, c.Entry.Path)
			}
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%q: got %q, want %q", path, s, want)
		}
	}
	if at, _, err := Folder(l.Entries(t.Context(), "b1", "a"), "none"); at != nil || err != nil {
		t.Errorf("a path that is not there: %v, %v", at, err)
	}
}
