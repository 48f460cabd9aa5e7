package oplog

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// What is synced is always there, what is not is there sometimes, and nothing
// else is.
func TestDisk(t *testing.T) {
	t.Parallel()
	d := &Disk{}
	for _, op := range []Op{
		{Kind: Mkdir, Path: "f"}, {Kind: SyncDir, Path: "."},
		{Kind: Create, Path: "f/a"}, {Kind: Write, Path: "f/a", Data: []byte("synced")}, {Kind: Sync, Path: "f/a"}, {Kind: SyncDir, Path: "f"},
		{Kind: Write, Path: "f/a", Off: 6, Data: []byte(strings.Repeat("x", 2*sector))},
		{Kind: Create, Path: "f/b"}, {Kind: Write, Path: "f/b", Data: []byte("b")}, {Kind: Sync, Path: "f/b"},
		{Kind: Rename, Path: "f/b", To: "f/c"}, {Kind: Remove, Path: "f/a"},
	} {
		d.Do(op)
	}
	seen := map[string]int{}
	for seed := range uint64(2000) {
		left := d.Crash(rand.New(rand.NewPCG(seed, 0)))
		_, a := left["f/a"]
		_, b := left["f/b"]
		c, cThere := left["f/c"]
		if _, ok := left["f"]; !ok || b && cThere || a && !strings.HasPrefix(string(left["f/a"]), "synced") || cThere && string(c) != "b" {
			t.Fatalf("seed %d: %q", seed, left)
		}
		for name, is := range map[string]bool{
			"a": a, "no a": !a, "b": b, "c": cThere, "neither": !b && !cThere, "nothing": !a && !b && !cThere,
			"a is short": a && len(left["f/a"]) == 6, "a is whole": len(left["f/a"]) == 6+2*sector && left["f/a"][6] == 'x',
			"a has a hole": len(left["f/a"]) == 6+2*sector && left["f/a"][6] == 0,
		} {
			if is {
				seen[name]++
			}
		}
	}
	if len(seen) != 9 {
		t.Errorf("seen are only %v", seen)
	}
}
