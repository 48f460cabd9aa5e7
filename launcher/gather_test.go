package launcher

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep/spill"
)

// TestAnInventoryOfMany is what was listed, also where it is sorted in files: each
// entry once, names of one file together, each file with its digest.
func TestAnInventoryOfMany(t *testing.T) { // not parallel: it changes the pool of the process
	defer spill.Configure(spill.DefaultBudget, "")
	spill.Configure(spill.MinBudget, t.TempDir())
	rng := rand.New(rand.NewPCG(1, 2))
	want := map[string]Item{}
	var entries []Item
	var digests []string
	add := func(i Item) {
		i.ModTime = time.Unix(rng.Int64N(1<<33)-1<<32, rng.Int64N(1e9)).UTC()
		i.Mode, i.UID, i.GID, i.Size = 0o644, rng.Uint32(), rng.Uint32(), rng.Int64N(99)
		entries = append(entries, i)
		want[i.Path] = i
	}
	digest := func(i Item) {
		line := fmt.Sprintf("%x  ./%s\n", i.SHA256, i.Path)
		if strings.ContainsAny(i.Path, "\\\n\r") {
			line = `\` + fmt.Sprintf("%x  ./%s\n", i.SHA256, strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(i.Path))
		}
		digests = append(digests, line)
	}
	add(Item{Type: 'd', Links: 2})
	for n := range 8000 {
		path := fmt.Sprintf("%d%s\xff\n\\%s", rng.IntN(9), strings.Repeat("n", 200), fmt.Sprint(n))
		one := Item{Path: path, Type: 'f', Inode: uint64(n), Dev: 1, Links: 1, SHA256: [32]byte{byte(n), 7}}
		switch n % 20 {
		case 0:
			add(Item{Path: path, Type: 'd', Links: 9, Inode: uint64(n)})
		case 1:
			add(Item{Path: path, Type: 'l', Links: 1, Inode: uint64(n), Link: "to\xfe" + path})
		case 2: // three names, a digest by one of them
			one.Links = 3
			names := []string{path, "a" + path, "z" + path}
			by := rng.IntN(3)
			for i, name := range names {
				one.Path = name
				add(one)
				if i == by {
					digest(one)
				}
			}
		default:
			add(one)
			digest(one)
		}
	}
	var text bytes.Buffer
	rng.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	for _, i := range entries {
		sec, nsec := i.ModTime.Unix(), i.ModTime.Nanosecond()
		fmt.Fprintf(&text, "%c %o %d %d %d.%09d0 %d %d %d %d\x00%s\x00%s\x00", i.Type, i.Mode, i.UID, i.GID, sec, nsec, i.Size, i.Dev, i.Inode, i.Links, i.Path, i.Link)
	}
	text.WriteString("end\x00")
	rng.Shuffle(len(digests), func(i, j int) { digests[i], digests[j] = digests[j], digests[i] })
	text.WriteString(strings.Join(digests, "") + "done\n")
	got, seen := map[string]Item{}, map[uint64]bool{}
	last := uint64(0)
	err := parseInventory(t.Context(), &text, func(i Item) {
		if i.Type == 'f' && i.Links > 1 && i.Inode != last {
			if seen[i.Inode] {
				t.Errorf("names of inode %d are apart", i.Inode)
			}
			seen[i.Inode], last = true, i.Inode
		}
		got[i.Path] = i
	})
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%.2000s", err, diff)
	}
}

// TestDigestsAreBounded: an instance that was taken over sends no more of them than
// entries, nor longer names.
//
//fault:digests-endless digests without an end, or of endless names | refused at the bound, which is what was listed
func TestDigestsAreBounded(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	entry := "f 644 0 0 1.5 0 1 2 1\x00a\x00\x00end\x00"
	for name, digests := range map[string]string{
		"one more":      sum + "  ./a\n" + sum + "  ./a\n",
		"a longer name": sum + "  ./ab\n",
	} {
		err := parseInventory(t.Context(), strings.NewReader(entry+digests+"done\n"), func(Item) {})
		if !errors.Is(err, errInventory) || !strings.Contains(err.Error(), "more than was listed") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
