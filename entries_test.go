package lockstep

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func file(path, content string) Entry {
	return Entry{
		Path: path, Type: EntryFile, Mode: 0o644, UID: 1, GID: 2, MTime: 1_700_000_000_123_456_789,
		Size: int64(len(content)), Sum: sha256.Sum256([]byte(content)),
	}
}

func hardlink(path, to string) Entry {
	return Entry{Path: path, Type: EntryHardlink, Mode: 0o644, UID: 1, GID: 2, Link: to}
}

func dir(path string) Entry { return Entry{Path: path, Type: EntryDir, Mode: 0o755, MTime: 5} }

func symlink(path, to string) Entry {
	return Entry{Path: path, Type: EntrySymlink, Mode: 0o777, Link: to}
}

func mustList(t *testing.T, entries ...Entry) EntryList {
	t.Helper()
	list, err := NewEntryList(slices.Clone(entries))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEntryListDoesNotDependOnOrderOrOnWhichHardLinkCameAsTheFile(t *testing.T) {
	t.Parallel()
	want := mustList(t, dir("."), file("a", "x"), hardlink("b", "a"), hardlink("c", "a"), symlink("s", "/etc"))
	same := [][]Entry{
		{symlink("s", "/etc"), hardlink("a", "c"), hardlink("b", "c"), file("c", "x"), dir(".")},
		{dir("."), file("b", "x"), hardlink("a", "b"), hardlink("c", "a"), symlink("s", "/etc")}, // a link to a link
		{dir("."), hardlink("c", "b"), hardlink("b", "a"), file("a", "x"), symlink("s", "/etc")},
	}
	for i, entries := range same {
		got := mustList(t, entries...)
		if diff := cmp.Diff(want, got); diff != "" || got.Digest() != want.Digest() {
			t.Errorf("case %d: (-want +got)\n%s", i, diff)
		}
	}
	if want.Count() != 4 {
		t.Errorf("Count = %d, want 4: the root does not count", want.Count())
	}
}

func TestEntryListGivesMeaninglessFieldsOneValue(t *testing.T) {
	t.Parallel()
	messyDir, messyLink := dir("d"), symlink("l", "d")
	messyDir.Size, messyDir.Sum[3], messyDir.Link = 4096, 1, "x"
	messyLink.Mode, messyLink.MTime, messyLink.Size = 0o700, 99, 1
	got := mustList(t, messyDir, messyLink, hardlink("l2", "l"))
	if diff := cmp.Diff(mustList(t, dir("d"), symlink("l", "d"), symlink("l2", "d")), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestEntryListRefusesWhatAnArtifactCannotHold(t *testing.T) {
	t.Parallel()
	cases := map[string][]Entry{
		"not a relative path":       {file("/etc/passwd", "")},
		"not a clean relative path": {file("a/../../b", "")},
		"appears twice":             {file("a", "1"), dir("a")},
		"hard link to \"zz\"":       {hardlink("a", "zz")},
		"hard link to \"d\"":        {hardlink("a", "d"), dir("d")},
		"hard link to \"b\"":        {hardlink("a", "b"), hardlink("b", "a")},
		"\"a\" is not a folder":     {symlink("a", "/etc"), file("a-b", ""), file("a/x/y/passwd", "")},
		"unknown type":              {{Path: "a", Type: 'p'}},
		"the root is not a folder":  {symlink(".", "/")},
		"entry \"\"":                {file("", "")},
		"entry \"a\\x00b\"":         {file("a\x00b", "")},
		"entry \"a//b\"":            {file("a//b", "")},
		"entry \"./a\"":             {file("./a", "")},
	}
	for want, entries := range cases {
		if _, err := NewEntryList(entries); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v", want, err)
		}
	}
}

// TestNamesAreBoundedAsTheListHasThem: hard links that came with a short target have
// the first name of their file in the list, which may be long.
func TestNamesAreBoundedAsTheListHasThem(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 64<<10)
	entries := []Entry{hardlink(long, "b"), file("b", "x")}
	for i := range MaxNameBytes/len(long) - 3 {
		entries = append(entries, hardlink(fmt.Sprintf("c%05d", i), "b"))
	}
	if _, err := NewEntryList(slices.Clone(entries)); err != nil {
		t.Error(err)
	}
	entries = append(entries, hardlink("d", "b"))
	if _, err := NewEntryList(entries); KindOf(err) != KindRefused || !strings.Contains(err.Error(), `artifact entry "d"`) || HintOf(err) == "" {
		t.Errorf("%.1000v", err)
	}
}

// TestFoldersAreBounded: what is in them, and how deep they are, whether they are
// entries or other entries' paths only name them.
func TestFoldersAreBounded(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("a/", MaxDepth-1) + "a"
	if _, err := NewEntryList([]Entry{file(deep, "")}); err != nil {
		t.Errorf("as deep as may be: %.1000v", err)
	}
	if _, err := NewEntryList([]Entry{file(deep+"/a", "")}); err == nil || !strings.Contains(err.Error(), "2048 names") || len(err.Error()) > 300 {
		t.Errorf("deeper: %.1000v", err)
	}
	var implied []Entry
	for i := range MaxEntries/MaxDepth + 1 {
		implied = append(implied, file(fmt.Sprintf("%05d", i)+deep[1:], ""))
	}
	if _, err := NewEntryList(slices.Clone(implied[:len(implied)-1])); err != nil {
		t.Errorf("as many folders as may be: %.1000v", err)
	}
	if _, err := NewEntryList(implied); KindOf(err) != KindRefused || !strings.Contains(err.Error(), `"00488/a`) {
		t.Errorf("more: %.1000v", err)
	}
}

// TestPlaces: a folder is one, named by however many paths, as an entry or not.
func TestPlaces(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		want := map[string]bool{}
		all := map[string]EntryType{}
		for range rng.IntN(30) {
			path := ""
			for range 1 + rng.IntN(4) {
				path += []string{"a", "a-", "a0", "b"}[rng.IntN(4)] + "/"
			}
			all[path+"f"] = EntryFile
			if rng.IntN(2) == 0 {
				all[path[:len(path)-1]] = EntryDir
			}
			want[path+"f"] = true
			for i, c := range path {
				if c == '/' {
					want[path[:i]] = true
				}
			}
		}
		var p Places
		for _, path := range slices.Sorted(maps.Keys(all)) {
			if err := p.Add(Entry{Path: path, Type: all[path]}, len(want)); err != nil {
				t.Fatalf("%v: %v", all, err)
			}
		}
		if p.n != len(want) {
			t.Fatalf("%v: %d places, not %d", all, p.n, len(want))
		}
	}
}

// Every field of every entry counts for the digest, and so does where one
// name ends and the next begins.
func TestEntryListDigestCoversEverything(t *testing.T) {
	t.Parallel()
	base := []Entry{file("a", "x"), symlink("b", "cd")}
	seen := map[string]string{mustList(t, base...).Digest(): "base"}
	changes := map[string]func(f, l *Entry){
		"path": func(f, _ *Entry) { f.Path = "aa" }, "mode": func(f, _ *Entry) { f.Mode = 0o600 },
		"uid": func(f, _ *Entry) { f.UID = 7 }, "gid": func(f, _ *Entry) { f.GID = 7 },
		"mtime": func(f, _ *Entry) { f.MTime++ }, "size": func(f, _ *Entry) { f.Size++ },
		"sum": func(f, _ *Entry) { f.Sum[31] ^= 1 }, "link": func(_, l *Entry) { l.Link = "ce" },
		"border": func(_, l *Entry) { l.Path, l.Link = "bc", "d" }, "type": func(_, l *Entry) { *l = dir("b") },
	}
	for name, change := range changes {
		f, l := base[0], base[1]
		change(&f, &l)
		digest := mustList(t, f, l).Digest()
		if other, ok := seen[digest]; ok {
			t.Errorf("%s: same digest as %s", name, other)
		}
		seen[digest] = name
	}
}

func TestEntryJSONKeepsEveryByte(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	paths := []string{".", "plain", "blank name", "new\nline", `q"uote\`, "<&>", "ünï", "\u2028", "\xff\xfe", "a\xc3", "\ufffd"}
	for range 200 {
		raw := make([]byte, 1+rng.IntN(30))
		for i := range raw {
			raw[i] = byte(1 + rng.IntN(255))
		}
		paths = append(paths, string(raw))
	}
	for _, path := range paths {
		for _, e := range []Entry{file(path, "x"), symlink("l", path), dir(path), hardlink(path, path)} {
			e.Mode, e.MTime = uint32(rng.IntN(0o10000)), -rng.Int64()
			data, err := json.Marshal(e)
			if err != nil {
				t.Fatalf("%q: %v", path, err)
			}
			var got Entry
			if err := json.Unmarshal(data, &got); err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			if diff := cmp.Diff(e, got); diff != "" {
				t.Fatalf("%s: (-want +got)\n%s", data, diff)
			}
		}
	}
}

func TestEntryJSONIsReadStrictly(t *testing.T) {
	t.Parallel()
	good := `{"path":"a","type":"d","mode":"0755","uid":0,"gid":0,"mtime":1}`
	if err := json.Unmarshal([]byte(good), new(Entry)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"d"`, `"dir"`}, {`"0755"`, `"0988"`}, {`"0755"`, `"077777"`}, {`"a"`, `{"base64":"?"}`}, {`"a"`, `{}`}, {`"a"`, `7`},
		{`"mtime"`, `"mtimes"`}, {`"d"`, `"f"`}, {`"mtime":1`, `"mtime":1,"sum":"00"`}, {`"mtime":1`, `"mtime":1,"size":-1`},
	} {
		bad := strings.Replace(good, change[0], change[1], 1)
		if err := json.Unmarshal([]byte(bad), new(Entry)); err == nil {
			t.Errorf("%s: read without error", bad)
		}
	}
}

func TestExpects(t *testing.T) {
	t.Parallel()
	entries := mustList(t, dir("."), dir("d"), file("a", "x"), hardlink("b", "a"), file("c", "x"), symlink("s", "/etc"), symlink("t", "/etc"))
	list := Finder(func(path string) (Entry, bool, error) {
		i, ok := entries.find(path)
		if !ok {
			return Entry{}, false, nil
		}
		return entries[i], true, nil
	})
	header := func(e Entry) Entry { e.Size, e.Sum = 0, [32]byte{}; return e }
	changed := func(e Entry, change func(*Entry)) Entry { change(&e); return header(e) }
	for _, e := range []Entry{
		dir("."), dir("d"), header(file("a", "x")), header(file("b", "x")), header(file("c", "y")), symlink("s", "/etc"),
		hardlink("b", "a"), hardlink("a", "b"), hardlink("t", "s"),
	} {
		if err := list.Expects(e); err != nil {
			t.Error(err)
		}
	}
	for _, e := range []Entry{
		header(file("new", "x")), header(file("d", "x")), dir("a"), symlink("a", "/etc"), symlink("s", "/root"), header(file("s", "x")),
		hardlink("a", "c"), hardlink("a", "s"), hardlink("s", "a"), hardlink("a", "new"), hardlink("d", "a"), hardlink("a", "d"), hardlink("new", "a"),
		changed(file("a", "x"), func(e *Entry) { e.Mode = 0o4755 }),
		changed(file("b", "x"), func(e *Entry) { e.UID = 0 }),
		changed(dir("d"), func(e *Entry) { e.GID = 7 }),
		changed(file("c", "x"), func(e *Entry) { e.MTime++ }),
	} {
		if err := list.Expects(e); err == nil {
			t.Errorf("%+v is said to be recorded", e)
		}
	}
}
