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

// leaveOut takes from a restore's instances those that the request names: they are
// neither restored, locked nor contacted. expected is the backup to restore, or nil.
func (r *running) leaveOut(ctx context.Context, resolved *source.Resolved, expected *lockstep.Backup) error {
	without := r.run.Opened.Request.Without
	if expected == nil {
		return nil
	}
	if err := knownWithout(r.run.Opened.Request, resolved); err != nil {
		return err
	}
	resolved.Instances = slices.DeleteFunc(resolved.Instances, func(i source.Instance) bool { return slices.Contains(without, i.Name()) })
	var facts []lockstep.EventData
	for _, id := range without {
		facts = append(facts, lockstep.Noted{Level: "info", Message: fmt.Sprintf("%s is left out: as was asked for, neither contacted nor locked", id)})
	}
	return r.note(ctx, facts...)
}

// knownWithout refuses a name that no instance has, and one that is to be restored
// all the same.
func knownWithout(req lockstep.Request, resolved *source.Resolved) error {
	var names []string
	for _, i := range resolved.Instances {
		names = append(names, string(i.Name()))
	}
	for _, id := range req.Without {
		switch {
		case !slices.Contains(names, string(id)):
			return &lockstep.Error{
				Kind: lockstep.KindNotFound, Op: fmt.Sprintf("leave instance %s out", id), Err: errors.New("the deployment has no instance of that name"),
				Hint: "there are: " + strings.Join(names, ", "),
			}
		case slices.Contains(req.Instances, id):
			return &lockstep.Error{
				Kind: lockstep.KindUsage, Op: fmt.Sprintf("leave instance %s out", id), Err: errors.New("it is to be restored, too"),
				Hint: "name it with --instance or with --without, not with both",
			}
		}
	}
	return nil
}
