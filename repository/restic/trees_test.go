package restic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"testing"
	"time"

	"lockstep/repository"
	"lockstep/repository/repositorytest"
	"lockstep/repository/restic/format"
	"lockstep/repository/restic/store"
	"lockstep/spill"
)

// TestTreesAreComparedInFull: what stock restic would restore is what the entry list
// says, in content and in all that a tree has of an entry.
//
//fault:restic-other-tree a tree, which stock restic restores by, has another content of the same length, or another owner, mode, time or target | verify says that the backup is damaged, and names the file
func TestTreesAreComparedInFull(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	large := func() string {
		b := make([]byte, 9<<20)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return string(b)
	}
	r := open(t)
	id := repositorytest.Begin(t, r, shop)
	repositorytest.Commit(t, r, repositorytest.Manifest(id, repositorytest.Put(t, r, id, "a", repositorytest.Tar(t,
		repositorytest.Member{Name: ""}, repositorytest.Member{Name: "large", Content: large()},
		repositorytest.Member{Name: "z", Content: large()}, repositorytest.Member{Name: "b", HardLink: "z"}, // in the list b is the file
		repositorytest.Member{Name: "small", Content: "x"}, repositorytest.Member{Name: "link", SymLink: "small"}, repositorytest.Member{Name: "d/"},
	))))
	if err := r.CheckForOthers(t.Context(), id, "a"); err != nil {
		t.Fatal(err)
	}
	v, f, err := r.find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openArtifact(t.Context(), v, f, "a")
	if err != nil {
		t.Fatal(err)
	}
	list, err := a.entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	files, err := child(t.Context(), v, *f.Tree, "a")
	if err != nil {
		t.Fatal(err)
	}
	release, err := v.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	contents, err := a.contents(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	defer contents.Close()
	if _, ok, err := contents.Find("b"); !ok || err != nil {
		t.Errorf("the recipe's content of a file with several names is not found: %v", err)
	}
	nodes, err := v.LoadTree(t.Context(), *files.Subtree)
	if err != nil {
		t.Fatal(err)
	}
	link, _ := named(nodes, "link")
	turn := func(n *format.Node) { n.Content = slices.Clone(n.Content); slices.Reverse(n.Content) }
	for name, c := range map[string]struct {
		of     string
		change func(*format.Node)
	}{
		"as it was":                  {"large", func(*format.Node) {}},
		"pieces in another order":    {"large", turn},
		"of one with several names":  {"b", turn},
		"and by its further name":    {"z", turn},
		"another's content":          {"small", func(n *format.Node) { n.Content = []format.ID{format.Sum([]byte("y"))} }},
		"another mode":               {"small", func(n *format.Node) { n.Mode |= fs.ModeSetuid }},
		"another owner":              {"d", func(n *format.Node) { n.UID = 0 }},
		"another group":              {"link", func(n *format.Node) { n.GID = 0 }},
		"another time":               {"d", func(n *format.Node) { n.ModTime = n.ModTime.Add(time.Nanosecond) }},
		"another target":             {"link", func(n *format.Node) { n.SetTarget("/etc/passwd") }},
		"a link in place of a file":  {"small", func(n *format.Node) { n.Type, n.Content = format.NodeSymlink, nil }},
		"another size in its record": {"small", func(n *format.Node) { n.Size++ }},
		"a file of its own":          {"z", func(n *format.Node) { n.Links, n.Inode = 1, 0 }},
		"the same as another file":   {"z", func(n *format.Node) { n.Inode++ }},
		"a second name":              {"small", func(n *format.Node) { n.Links++ }},
		"twice":                      {"small", func(n *format.Node) { *n = link }},
		"in another order":           {"d", func(n *format.Node) { n.Name = "zz" }},
		"a folder without a tree":    {"d", func(n *format.Node) { n.Subtree = nil }},
		"a file with a tree":         {"small", func(n *format.Node) { n.Subtree = files.Subtree }},
		"an empty folder too many":   {"", nil},
	} {
		nodes, err := v.LoadTree(t.Context(), *files.Subtree)
		if err != nil {
			t.Fatal(err)
		}
		for i := range nodes {
			if string(nodes[i].Name) == c.of {
				c.change(&nodes[i])
			}
		}
		if c.of == "" {
			nodes = append(nodes, folderNode("zz", format.Sum([]byte("{\"nodes\":[]}\n"))))
		}
		s := v.Session()
		_, err = s.Save(t.Context(), format.Data, []byte("y"))
		tree, err2 := s.SaveTree(t.Context(), nodes)
		if err := errors.Join(err, err2, s.Flush(t.Context())); err != nil {
			t.Fatal(err)
		}
		changed := files
		changed.Subtree = &tree
		err = a.checkTree(t.Context(), changed, list)
		if good := name == "as it was"; good != (err == nil) || !good && !errors.Is(err, repository.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTheFolderOfAnArtifactIsCompared, which is an entry too, or has no owner.
func TestTheFolderOfAnArtifactIsCompared(t *testing.T) {
	t.Parallel()
	for _, members := range [][]repositorytest.Member{{{Name: ""}, {Name: "d/f"}}, {{Name: "d/f"}}} {
		a, files, list := stored(t, open(t), members...)
		if err := a.checkTree(t.Context(), files, list); err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func(*format.Node){
			"mode":  func(n *format.Node) { n.Mode ^= 0o077 },
			"owner": func(n *format.Node) { n.UID++ },
			"time":  func(n *format.Node) { n.ModTime = n.ModTime.Add(1) },
			"type":  func(n *format.Node) { n.Type, n.Subtree = format.NodeFile, nil },
		} {
			n := files
			change(&n)
			if err := a.checkTree(t.Context(), n, list); !errors.Is(err, repository.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// stored is an artifact of those members in a backup, the node of its files and its
// list.
func stored(t *testing.T, r *Repository, members ...repositorytest.Member) (artifact, format.Node, *spill.List) {
	t.Helper()
	id := repositorytest.Begin(t, r, shop)
	repositorytest.Commit(t, r, repositorytest.Manifest(id, repositorytest.Put(t, r, id, "a", repositorytest.Tar(t, members...))))
	v, f, err := r.find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openArtifact(t.Context(), v, f, "a")
	if err != nil {
		t.Fatal(err)
	}
	list, err := a.entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(list.Close)
	files, err := child(t.Context(), v, *f.Tree, "a")
	if err != nil {
		t.Fatal(err)
	}
	return a, files, list
}

// watched calls each before a part of a file is read.
type watched struct {
	store.Store
	each func(name string)
	save func() // called before a file is saved
}

// Save implements store.Store.
func (w *watched) Save(ctx context.Context, name string, data []byte) error {
	w.save()
	return w.Store.Save(ctx, name, data)
}

// LoadRange implements store.Store.
func (w *watched) LoadRange(ctx context.Context, dst []byte, name string, offset, length int64) ([]byte, error) {
	w.each(path.Base(name))
	return w.Store.LoadRange(ctx, dst, name, offset, length)
}

// TestContentIsReadOnceAndHoldsNothing: a file with several names, of which no recipe
// has the content, is read once, and meanwhile others may hold all memory that there
// is for what is in memory as a whole.
//
//fault:restic-verify-holds a verify reads content from a slow store, however many folders there are | what other transfers have in memory as a whole does not wait for it
func TestContentIsReadOnceAndHoldsNothing(t *testing.T) { // not parallel: it holds all that the process has
	content := make([]byte, 9<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	r := at(t, t.TempDir(), "secret")
	w := &watched{Store: r.o.Store, each: func(string) {}, save: func() {}}
	r.o.Store = w
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	a, files, list := stored(t, r, repositorytest.Member{Name: ""}, repositorytest.Member{Name: "d/a", Content: string(content)},
		repositorytest.Member{Name: "d/b", HardLink: "d/a"}, repositorytest.Member{Name: "d/c", HardLink: "d/a"})
	nodes, err := a.vault.LoadTree(t.Context(), *files.Subtree)
	if err != nil {
		t.Fatal(err)
	}
	d, err := a.vault.LoadTree(t.Context(), *nodes[0].Subtree)
	if err != nil {
		t.Fatal(err)
	}
	reads := map[string]int{}
	first, _, ok := a.vault.Where(format.Handle{ID: d[0].Content[0]})
	var mu sync.Mutex
	w.each = func(name string) {
		mu.Lock()
		defer mu.Unlock()
		reads[name]++
		if name != first.String() {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		release, err := spill.Shared().Hold(ctx, 1<<50)
		if err != nil {
			t.Errorf("while content is read something is held: %v", err)
			return
		}
		release()
	}
	none := spill.NewBuilder(t.Context(), spill.Shared())
	defer none.Close()
	contents, err := none.List()
	if err != nil {
		t.Fatal(err)
	}
	linked, err := linkedFiles(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	defer linked.Close()
	c := treeCheck{ctx: t.Context(), vault: a.vault, artifact: a.Name, list: list, contents: contents, linked: linked}
	if err := c.root(files); err != nil || c.n != list.Count() {
		t.Error(err, c.n)
	}
	if n := reads[first.String()]; !ok || n == 0 || n > len(d[0].Content) {
		t.Errorf("the %d pieces of one file with three names were read with %d reads", len(d[0].Content), n)
	}
}

// TestTreesOfAnyShape are what their list is, with folders that are entries or are
// not, empty or not, and with names that sort before and after a slash.
func TestTreesOfAnyShape(t *testing.T) {
	t.Parallel()
	r := open(t)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 40 {
		var members []repositorytest.Member
		seen := map[string]bool{}
		for range rng.IntN(25) {
			name := ""
			for range rng.IntN(5) {
				name += []string{"a", "a-", "a0", "b", "\n"}[rng.IntN(5)] + "/"
			}
			if rng.IntN(2) == 0 && name != "" {
				name += "f" + string(rune('0'+rng.IntN(4)))
			}
			if !seen[name] {
				members = append(members, repositorytest.Member{Name: name})
			}
			seen[name] = true
		}
		a, files, list := stored(t, r, members...)
		if err := a.checkTree(t.Context(), files, list); err != nil {
			t.Fatalf("%v: %v", members, err)
		}
	}
}

// TestTreesAreSavedAndHoldNothing: small folders, however many, ask for no memory of
// what is in memory as a whole; while others are uploaded it may be held by anybody.
//
//fault:restic-put-holds an artifact with very many folders is put into a slow store | what other transfers have in memory as a whole does not wait for it
func TestTreesAreSavedAndHoldNothing(t *testing.T) { // not parallel: it holds all that the process has
	r := at(t, t.TempDir(), "secret")
	uploads := 0
	w := &watched{Store: r.o.Store, each: func(string) {}, save: func() {}}
	r.o.Store = w
	if _, err := r.Identify(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold := func() (release func()) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		release, err := spill.Shared().Hold(ctx, 1<<50)
		if err != nil {
			t.Errorf("while a tree is uploaded something is held: %v", err)
			return func() {}
		}
		return release
	}
	var small, large []repositorytest.Member
	rng := rand.New(rand.NewPCG(7, 8))
	for i := range 3000 {
		small = append(small, repositorytest.Member{Name: fmt.Sprintf("%d/%d", i%100, i)})
	}
	for i := range 24_000 {
		large = append(large, repositorytest.Member{Name: fmt.Sprintf("%d/%d-%064x-%064x", i%10, i, rng.Uint64(), rng.Uint64())})
	}
	release := sync.OnceFunc(hold())
	late := time.AfterFunc(30*time.Second, func() {
		t.Error("small folders wait for memory")
		release()
	})
	stored(t, r, small...)
	late.Stop()
	release()
	var mu sync.Mutex
	w.save = func() {
		mu.Lock()
		defer mu.Unlock()
		uploads++
		hold()()
	}
	a, files, list := stored(t, r, large...)
	w.save = func() {}
	if err := a.checkTree(t.Context(), files, list); err != nil {
		t.Error(err)
	}
	if uploads == 0 {
		t.Error("nothing was uploaded")
	}
}

// TestAHoleIsLeftWhenAVerifyIsGivenUp, however long it is.
func TestAHoleIsLeftWhenAVerifyIsGivenUp(t *testing.T) {
	t.Parallel()
	var member, recipe bytes.Buffer
	// A sparse file of GNU tar that is one hole of an exabyte.
	h := make([]byte, 512)
	copy(h, "hole")
	copy(h[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00")
	h[156] = 'S'
	copy(h[386:], "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"+"\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	copy(h[483:], "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00")
	copy(h[257:], "ustar  \x00")
	copy(h[148:], "        ")
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	member.Write(h)
	member.Write(make([]byte, 1024))
	w, err := newRecipe(&recipe)
	if err == nil {
		err = w.literal(member.Bytes())
	}
	if err != nil {
		t.Fatal(err)
	}
	in, err := readRecipe(&recipe)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("given up")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	done := make(chan error, 1)
	go func() {
		_, err := contentsOf(ctx, in, nil)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it is still reading the hole")
	}
}

// TestTreeWriter writes what encoding all nodes at once would.
func TestTreeWriter(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		var w format.TreeWriter
		var nodes []format.Node
		for i := range n {
			node := format.Node{Name: format.Name("a<\xff" + string(rune('0'+i))), Type: format.NodeFile, Content: []format.ID{}}
			nodes = append(nodes, node)
			if err := w.Add(node); err != nil {
				t.Fatal(err)
			}
		}
		b := w.Bytes()
		back, err := format.ParseTree(b)
		if err != nil || len(back) != n || !bytes.HasSuffix(b, []byte("}\n")) {
			t.Errorf("%s: %v", b, err)
		}
		for i := range nodes {
			if back[i].Name != nodes[i].Name {
				t.Errorf("%q is %q", nodes[i].Name, back[i].Name)
			}
		}
	}
}

func named(nodes []format.Node, name string) (format.Node, bool) {
	for _, n := range nodes {
		if string(n.Name) == name {
			return n, true
		}
	}
	return format.Node{}, false
}
