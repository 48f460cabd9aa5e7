package source

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestChanges(t *testing.T) {
	t.Parallel()
	then := []Listing{
		{Group: "db", ID: "a", Index: "0", Address: "10.0.0.1", Machine: "vm-1"},
		{Group: "db", ID: "b", Index: "1", Address: "10.0.0.2"},
		{Group: "web", ID: "a", Index: "0", Address: "10.0.0.3"},
	}
	for name, c := range map[string]struct {
		change func([]Listing) []Listing
		want   []string
	}{
		"nothing":         {func(l []Listing) []Listing { return l }, nil},
		"another order":   {func(l []Listing) []Listing { slices.Reverse(l); return l }, nil},
		"one gone":        {func(l []Listing) []Listing { return l[:2] }, []string{"web/a is gone"}},
		"all gone":        {func([]Listing) []Listing { return nil }, []string{"db/a is gone", "db/b is gone", "web/a is gone"}},
		"one new":         {func(l []Listing) []Listing { return append(l, Listing{Group: "web", ID: "b"}) }, []string{"web/b is new"}},
		"another address": {func(l []Listing) []Listing { l[1].Address = "10.0.0.9"; return l }, []string{"db/b was at 10.0.0.2 and is at 10.0.0.9"}},
		"another machine": {func(l []Listing) []Listing { l[0].Machine = "vm-2"; return l }, []string{"db/a was machine vm-1 and is vm-2"}},
		"another index":   {func(l []Listing) []Listing { l[0].Index = "7"; return l }, []string{"db/a had index 0 and has 7"}},
		"built anew":      {func(l []Listing) []Listing { l[2].ID = "c"; return l }, []string{"web/a is gone", "web/c is new"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, Changes(then, c.change(slices.Clone(then)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
