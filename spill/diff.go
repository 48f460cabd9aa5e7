package spill

import (
	"iter"
	"strings"

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
		case p.Got == nil:
			d.add(p.Want.Path, "missing")
		case p.Want == nil:
			d.add(p.Got.Path, "unexpected")
		default:
			if what := p.Want.Differs(*p.Got, ignoreOwner); what != "" {
				d.add(p.Want.Path, what)
			}
		}
	}
	return d, nil
}

// Pair is what two lists have of one path; nil is nothing.
type Pair struct{ Want, Got *lockstep.Entry }

// Pairs walks over two lists at once. An error is the last that is given.
func Pairs(want, got *List) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		nextWant, stopWant := pull(want)
		defer stopWant()
		nextGot, stopGot := pull(got)
		defer stopGot()
		w, err := nextWant()
		var g *lockstep.Entry
		if err == nil {
			g, err = nextGot()
		}
		for err == nil && (w != nil || g != nil) {
			var p Pair
			switch c := order(w, g); {
			case c < 0:
				p.Want = w
			case c > 0:
				p.Got = g
			default:
				p = Pair{w, g}
			}
			if !yield(p, nil) {
				return
			}
			if p.Want != nil {
				w, err = nextWant()
			}
			if p.Got != nil && err == nil {
				g, err = nextGot()
			}
		}
		if err != nil {
			yield(Pair{}, err)
		}
	}
}

// order says which of two comes first; what is not there is last.
func order(w, g *lockstep.Entry) int {
	switch {
	case w == nil:
		return 1
	case g == nil:
		return -1
	}
	return strings.Compare(w.Path, g.Path)
}

func pull(l *List) (next func() (*lockstep.Entry, error), stop func()) {
	pull, stop := iter.Pull2(l.All())
	return func() (*lockstep.Entry, error) {
		e, err, ok := pull()
		if !ok {
			return nil, nil
		}
		return &e, err
	}, stop
}
