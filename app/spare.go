package app

import (
	"context"
	"fmt"
	"strings"

	"lockstep"
	"lockstep/launcher"
)

// spare keeps in mind which unlocks of other runs an instance has on record that
// this cleanup does not make: those after a restore where it undoes a backup, and
// the other way round. They stay on record, but for those that a person has vouched
// for.
func (r *running) spare(ctx context.Context, s *session, id lockstep.InstanceID, c *launcher.Client, owed []launcher.OwedUnlock) error {
	opened := r.run.Opened
	if opened.Operation != lockstep.OperationCleanup || opened.Policy.IgnoreHeld {
		return nil
	}
	other := lockstep.ScriptPostRestoreUnlock
	if opened.Request.ForRestore {
		other = lockstep.ScriptPostBackupUnlock
	}
	var spared []launcher.OwedUnlock
	for _, u := range owed {
		if !strings.HasSuffix(u.Step.ID, string(other)) {
			continue
		}
		if !r.app.vouched(ctx, u) {
			spared = append(spared, u)
		} else if err := c.Forget(ctx, u.Step.StepRef); err != nil {
			return fmt.Errorf("claim instance %s: %w", id, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spared[id] = spared
	return nil
}

func (s *session) spares(id lockstep.InstanceID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.spared[id]) > 0
}

// leavesLocked is the failure of a cleanup that leaves unlocks to the other kind of
// cleanup, nil if it leaves none. It is journaled with the plan: the cleanup does
// what it can all the same.
func (r *running) leavesLocked(s *session) []lockstep.EventData {
	for _, in := range s.resolved.Instances {
		id := in.Name()
		s.mu.Lock()
		spared := s.spared[id]
		s.mu.Unlock()
		if len(spared) > 0 {
			op := "clean up " + r.run.Opened.Deployment
			return []lockstep.EventData{failure(r.owedError(op, "instance "+string(id), spared[0]))}
		}
	}
	return nil
}
