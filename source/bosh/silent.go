package bosh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
)

// answering are the machines of a group on which a user can be made, with their ids
// where they are not all. One whose agent does not answer must not keep the others of
// its group from being locked, restored or unlocked. Where calls are exact, it does.
func (r *resolution) answering(g *group) (there []VM, ids []string) {
	for _, vm := range g.vms {
		if r.options.Exact || !vm.silent() {
			there, ids = append(there, vm), append(ids, vm.ID)
		}
	}
	if len(there) == len(g.vms) {
		return there, nil
	}
	return there, ids
}

// addSilent adds to a group the machines whose agents do not answer: they are
// instances that cannot be reached.
func (r *resolution) addSilent(g *group) {
	if r.options.Exact {
		return
	}
	for _, vm := range g.vms {
		if vm.silent() {
			g.opened = append(g.opened, source.Instance{
				Group: g.name, ID: vm.ID, Index: fmt.Sprint(vm.Index), Root: true, Sudo: true, Bootstrap: vm.Bootstrap,
				Target: silentTarget{deployment: r.options.Deployment, name: g.name + "/" + vm.ID},
			})
		}
	}
}

// silentTarget is the way to a machine whose agent does not answer.
type silentTarget struct{ deployment, name string }

func (t silentTarget) Run(context.Context, string, target.Streams) (target.Exit, error) {
	return target.Exit{}, &lockstep.Error{
		Op:   "reach " + t.name,
		Err:  fmt.Errorf("%w: %w", target.ErrNotStarted, target.Unreached(errors.New("the director says that its agent does not answer"))),
		Hint: "`bosh -d " + t.deployment + " vms` shows its state, `bosh -d " + t.deployment + " cck` repairs it",
	}
}

func (t silentTarget) RoundTrip() time.Duration { return 0 }
func (t silentTarget) Close() error             { return nil }
