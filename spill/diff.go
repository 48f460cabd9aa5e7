package spill

import (
	"iter"

	"lockstep"
)

// named is how many differences are told by name.
const named = 3

// Differences are how two lists differ: the first few, by path, and how many there
// are.
type Differences struct {
	First []lockstep.Difference
	Count int
}

func (d *Differences) add(path, what string) {
	if d.Count++; d.Count <= named {
		d.First = append(d.First, lockstep.Difference{Path: path, What: what})
	}
}

// Compare says in what got differs from want; see lockstep.Entry.Differs.
func Compare(want, got *List, ignoreOwner bool) (Differences, error) {
	var d Differences
	for p, err := range Pairs(want, got) {
		switch {
		case err != nil:
			return d, err
		case p.B == nil:
			d.add(p.A.Path, "missing")
		case p.A == nil:
			d.add(p.B.Path, "unexpected")
		default:
			if what := p.A.Differs(*p.B, ignoreOwner); what != "" {
				d.add(p.A.Path, what)
			}
		}
	}
	return d, nil
}

// Pairs walks over two lists at once; see lockstep.EntryPairs.
func Pairs(want, got *List) iter.Seq2[lockstep.EntryPair, error] {
	return lockstep.EntryPairs(want.All(), got.All())
}
