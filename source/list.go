package source

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lockstep"
)

// Lister is a Source that can read its list of instances again while a run
// goes on, so that a change of the deployment in the middle is noticed before
// anything is locked.
type Lister interface {
	Source

	// List reads the deployment's instances as they are now, anew from where
	// they are written down. It opens no target and makes nothing remotely.
	// An error means that nothing is known, not that nothing is there.
	List(ctx context.Context) ([]Listing, error)
}

// Listing is one instance as a list has it: what tells it from every other
// machine, now and later.
type Listing struct {
	Group, ID, Index string
	// Address is where the instance is reached.
	Address string
	// Machine tells one machine from another that takes its place under the
	// same name; "" where the list does not say.
	Machine string
}

// Name is the instance's id as people write it.
func (l Listing) Name() lockstep.InstanceID { return lockstep.InstanceID(l.Group + "/" + l.ID) }

// Changes says in what a list of instances differs from an earlier one, one
// sentence each, sorted by instance. The order of a list means nothing.
func Changes(then, now []Listing) []string {
	before, after := byName(then), byName(now)
	var changes []string
	for name, l := range before {
		if m, ok := after[name]; !ok {
			changes = append(changes, fmt.Sprintf("%s is gone", name))
		} else if says := l.differs(m); says != "" {
			changes = append(changes, fmt.Sprintf("%s %s", name, says))
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			changes = append(changes, fmt.Sprintf("%s is new", name))
		}
	}
	slices.Sort(changes)
	return changes
}

func byName(list []Listing) map[lockstep.InstanceID]Listing {
	out := make(map[lockstep.InstanceID]Listing, len(list))
	for _, l := range list {
		out[l.Name()] = l
	}
	return out
}

// differs says what has become different about an instance, or "".
func (l Listing) differs(m Listing) string {
	var says []string
	if l.Index != m.Index {
		says = append(says, fmt.Sprintf("had index %s and has %s", l.Index, m.Index))
	}
	if l.Address != m.Address {
		says = append(says, fmt.Sprintf("was at %s and is at %s", l.Address, m.Address))
	}
	if l.Machine != m.Machine {
		says = append(says, fmt.Sprintf("was machine %s and is %s", l.Machine, m.Machine))
	}
	return strings.Join(says, ", ")
}
