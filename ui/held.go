package ui

import (
	"net/http"

	"lockstep"
)

// HeldGroup is what one run may have left locked, with what settles it.
type HeldGroup struct {
	Deployment string
	Run        lockstep.RunID
	Jobs       []string
	Since      int64 // Unix milliseconds
	Restore    bool
	// Dead: the run's orchestrator died and nobody has settled it. What it
	// locked is unlocked by a recovery, not by a cleanup.
	Dead bool
	// Lost: the journal has nothing left of the run, so that nobody knows what it
	// locked, nor whether it was a restore. There is no page of it.
	Lost bool
}

// HeldGroupsOf puts holds, dead runs and lost ones together by run. What a living run has
// locked is not news: whoever drives it unlocks it.
func HeldGroupsOf(holds []lockstep.Hold, open []lockstep.RunSummary, lost []lockstep.LostRun) []HeldGroup {
	living := map[lockstep.RunID]bool{}
	at := map[lockstep.RunID]int{}
	var groups []HeldGroup
	for _, r := range open {
		if living[r.ID] = !r.Abandoned; r.Abandoned {
			at[r.ID] = len(groups)
			groups = append(groups, HeldGroup{
				Deployment: r.Deployment, Run: r.ID, Since: r.StartedAt.UnixMilli(), Dead: true,
				Restore: r.Operation == lockstep.OperationRestore,
			})
		}
	}
	for _, l := range lost {
		at[l.Run] = len(groups)
		groups = append(groups, HeldGroup{Deployment: l.Deployment, Run: l.Run, Since: l.Since.UnixMilli(), Lost: true})
	}
	for _, h := range holds {
		if living[h.Run] {
			continue
		}
		i, known := at[h.Run]
		if !known {
			i, at[h.Run] = len(groups), len(groups)
			groups = append(groups, HeldGroup{Deployment: h.Deployment, Run: h.Run, Since: h.Since.UnixMilli(), Restore: h.Restore})
		}
		groups[i].Jobs = append(groups[i].Jobs, h.Slot.String())
	}
	return groups
}

// heldGroups is what every page warns of.
func (u *Pages) heldGroups(r *http.Request) ([]HeldGroup, error) {
	ctx := r.Context()
	open, err := u.cfg.Service.Runs(ctx, lockstep.RunFilter{State: lockstep.RunRunning})
	if err != nil {
		return nil, err
	}
	holds, err := u.cfg.Service.Held(ctx, "")
	if err != nil {
		return nil, err
	}
	var lost []lockstep.LostRun
	if l, ok := u.cfg.Service.(lockstep.LostRuns); ok {
		if lost, err = l.LostRuns(ctx); err != nil {
			return nil, err
		}
	}
	return HeldGroupsOf(holds, open, lost), nil
}
