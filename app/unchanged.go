package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lockstep"
	"lockstep/source"
)

// maxChanges bounds how many changes of the list of instances are told one by
// one.
const maxChanges = 8

// unchanged reads the source's list of instances again and compares it with the
// one that the run was prepared from. A list that cannot be read proves nothing
// and is an error too.
func unchanged(ctx context.Context, src source.Source, then *source.Resolved) error {
	op := "read the list of instances of " + then.Name + " again"
	lister, ok := src.(source.Lister)
	if !ok {
		return fmt.Errorf("%s: its source cannot tell", op)
	}
	now, err := lister.List(ctx)
	if err != nil {
		return &lockstep.Error{Op: op, Err: err, Hint: "nothing was locked; begin again when it can be read"}
	}
	changes := source.Changes(then.Listed, now)
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
