package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lockstep"
	"lockstep/source"
)

// maxChanges bounds how many changes of the list of instances are told one by
// one.
const maxChanges = 8

// unchanged reads the source's list of instances again and compares it with the
// one that the run was prepared from. A list that cannot be read proves nothing
// and is an error too. without are instances that the restore of a part leaves out,
// nor need the list tell of them.
func unchanged(ctx context.Context, src source.Source, then *source.Resolved, without []lockstep.InstanceID) error {
	op := "read the list of instances of " + then.Name + " again"
	lister, ok := src.(source.Lister)
	if !ok {
		return fmt.Errorf("%s: its source cannot tell", op)
	}
	read := lister.List
	if len(without) > 0 {
		read = func(ctx context.Context) ([]source.Listing, error) { return someOf(listPartly(ctx, src)) }
	}
	now, err := read(ctx)
	if err != nil {
		return &lockstep.Error{Op: op, Err: err, Hint: "nothing was locked; begin again when it can be read"}
	}
	changes := source.Changes(others(then.Listed, without), others(now, without))
	if len(changes) == 0 {
		return nil
	}
	if more := len(changes) - maxChanges; more > 0 {
		changes = append(changes[:maxChanges], fmt.Sprintf("and %d more", more))
	}
	return &lockstep.Error{
		Kind: lockstep.KindConflict, Op: op, Err: errors.New("it is not the one that this run was prepared from: " + strings.Join(changes, "; ")),
		Hint: "nothing was locked; when the change is complete, look at `lockstep plan " + then.Name + "` and begin again (a server reads its configuration when it starts)",
	}
}

// listPartly gives what can be listed, and beside it why something cannot.
func listPartly(ctx context.Context, src source.Source) ([]source.Listing, error) {
	if partly, ok := src.(source.Partly); ok {
		return partly.ListPartly(ctx)
	}
	if lister, ok := src.(source.Lister); ok {
		return lister.List(ctx)
	}
	return nil, errors.New("its source cannot tell")
}

// someOf is a list of which some is there, whatever is not.
func someOf(list []source.Listing, err error) ([]source.Listing, error) {
	if len(list) > 0 {
		return list, nil
	}
	return nil, err
}

// others are the listed instances but for some.
func others(list []source.Listing, without []lockstep.InstanceID) []source.Listing {
	return slices.DeleteFunc(slices.Clone(list), func(l source.Listing) bool {
		return slices.Contains(without, lockstep.InstanceID(l.Group+"/"+l.ID))
	})
}
