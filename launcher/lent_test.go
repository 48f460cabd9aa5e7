package launcher

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"lockstep/helper/helpertest"
)

// bothWays runs a test by the shell and with a helper, in each of the shells.
func bothWays(t *testing.T, test func(t *testing.T, i *instance)) {
	shells(t, func(t *testing.T, sh string) { eachWay(t, sh, test) })
}

// eitherWay runs a test without a helper and with one, for run r1.
func eitherWay(t *testing.T, test func(t *testing.T, i *instance)) { eachWay(t, "sh", test) }

func eachWay(t *testing.T, sh string, test func(t *testing.T, i *instance)) {
	t.Run("shell", func(t *testing.T) {
		i := newInstance(t, sh)
		i.claim("r1")
		test(t, i)
	})
	t.Run("helper", func(t *testing.T) {
		i := newInstance(t, sh)
		i.lend()
		test(t, i)
	})
}

// lend claims for run r1 and has the instance lent a helper.
func (i *instance) lend() {
	i.t.Helper()
	i.claim("r1")
	i.Client.cfg.Programs = Programs{helpertest.Machine(i.t): helpertest.Packed(i.t)}
	if first, err := i.Lend(i.ctx()); err != nil || !first || !i.Lent() {
		i.t.Fatalf("lend: %v, %v", first, err)
	}
}

// read is Pack by the helper where there is one, else TarOut and Inventory.
func (i *instance) read(dir string) (map[string]Item, []byte, error) {
	items, add := sameness()
	var b buffer
	if i.Lent() {
		err := i.Pack(i.ctx(), dir, 0, add, &b)
		return items, b, err
	}
	if err := i.TarOut(i.ctx(), dir, 0, &b); err != nil {
		return nil, b, err
	}
	err := i.Inventory(i.ctx(), dir, add)
	return items, b, err
}

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// TestReadEitherWay: what a helper lists and archives is what the shell does.
func TestReadEitherWay(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		tree(t, i.dir+"/d")
		large(t, i.dir+"/d/large")
		want, archive, err := i.read("d")
		i.ok(err)
		i.lend()
		got, helped, err := i.read("d")
		i.ok(err)
		sameItems(t, want, got)
		wantMembers, gotMembers := members(t, archive), members(t, helped)
		if len(wantMembers) != len(gotMembers) || len(want) < 40 {
			t.Errorf("%d and %d members", len(wantMembers), len(gotMembers))
		}
		for name, m := range wantMembers {
			if name == "./plain" || name == "./sub/hard\nlink" {
				continue // which of them is the link may differ
			}
			if gotMembers[name] != m {
				t.Errorf("member %q is\n%s, with a helper\n%s", name, m, gotMembers[name])
			}
		}
		sameItems(t, want, i.list("d"))
	})
}

func sameItems(t *testing.T, want, got map[string]Item) {
	t.Helper()
	if len(want) == 0 || len(want) != len(got) {
		t.Errorf("%d and %d entries", len(want), len(got))
	}
	for path, it := range want {
		it.Link = link(it)
		other := got[path]
		other.Link = link(other)
		if it != other {
			t.Errorf("%q is\n%+v, with a helper\n%+v", path, it, other)
		}
	}
}

// link is a symbolic link's target: which of a file's names came first may differ.
func link(it Item) string {
	if it.Type == 'l' {
		return it.Link
	}
	return ""
}

// TestPlacedEitherWay: what the one way archives, the other places.
func TestPlacedEitherWay(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		tree(t, i.dir+"/d")
		large(t, i.dir+"/d/large")
		want, archive, err := i.read("d")
		i.ok(err)
		i.drop()
		i.lend()
		_, helped, err := i.read("d")
		i.ok(err)
		for name, b := range map[string][]byte{"shell": archive, "helper": helped} {
			got, err := i.placed("by/helper/"+name, bytesOf(b))
			i.ok(err)
			sameItems(t, want, got)
			sameItems(t, want, i.list("by/helper/"+name))
		}
		i.Client.lending.lost(nil)
		for name, b := range map[string][]byte{"shell": archive, "helper": helped} {
			got, err := i.placed("by/shell/"+name, bytesOf(b))
			i.ok(err)
			sameItems(t, want, got)
		}
		sameItems(t, want, i.list("by/helper/shell"))
		i.sameBlocks("by/shell/shell/large/z/-v", "by/helper/shell/large/z/-v", "by/helper/helper/large/z/-v", "by/shell/helper/large/z/-v")
	})
}

func bytesOf(b []byte) io.Reader { return bytes.NewReader(b) }

// sameBlocks: files take about as much of a disk as the first of them.
func (i *instance) sameBlocks(names ...string) {
	i.t.Helper()
	blocks := func(name string) int64 {
		var st unix.Stat_t
		i.ok(unix.Stat(filepath.Join(i.dir, name), &st))
		return st.Blocks
	}
	want := blocks(names[0])
	for _, name := range names {
		if n := blocks(name); n > want+64 || n < want-64 {
			i.t.Errorf("%s takes %d blocks, %s %d", name, n, names[0], want)
		}
	}
}
