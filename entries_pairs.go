package lockstep

import (
	"fmt"
	"iter"
	"strings"
)

// EntryPair is what two entry lists have of one path; nil is nothing.
type EntryPair struct{ A, B *Entry }

// EntryPairs walks over two entry lists at once, each in canonical order and read
// once. An error of either is the last that is given, as is one of a list that is
// not in order.
func EntryPairs(a, b iter.Seq2[Entry, error]) iter.Seq2[EntryPair, error] {
	return func(yield func(EntryPair, error) bool) {
		one, two := pullEntries(a), pullEntries(b)
		defer one.stop()
		defer two.stop()
		err := one.next()
		if err == nil {
			err = two.next()
		}
		for err == nil && (one.at != nil || two.at != nil) {
			var p EntryPair
			order := comparePaths(one.at, two.at)
			if order <= 0 {
				p.A = one.at
			}
			if order >= 0 {
				p.B = two.at
			}
			if !yield(p, nil) {
				return
			}
			if p.A != nil {
				err = one.next()
			}
			if p.B != nil && err == nil {
				err = two.next()
			}
		}
		if err != nil {
			yield(EntryPair{}, err)
		}
	}
}

// comparePaths says which of two comes first; what is not there is last.
func comparePaths(a, b *Entry) int {
	switch {
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return strings.Compare(a.Path, b.Path)
}

// pulledEntries is a list that is read one by one; at is nil after its end.
type pulledEntries struct {
	at   *Entry
	pull func() (Entry, error, bool)
	stop func()
}

func pullEntries(list iter.Seq2[Entry, error]) *pulledEntries {
	pull, stop := iter.Pull2(list)
	return &pulledEntries{pull: pull, stop: stop}
}

func (p *pulledEntries) next() error {
	e, err, ok := p.pull()
	if !ok || err != nil {
		p.at = nil
		return err
	}
	if p.at != nil && p.at.Path >= e.Path {
		return fmt.Errorf("malformed entry list: %q comes after %q", e.Path, p.at.Path)
	}
	p.at = &e
	return nil
}
