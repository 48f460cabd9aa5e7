package retention

import (
	"fmt"
	"slices"
	"strings"

	"lockstep"
)

// The measures of a judgement. They are few and coarse: what they find is
// looked at by a person.
const (
	// Compared is how many earlier backups sizes are compared with.
	Compared = 7
	// Shrunk is the part of the median below which an artifact is suspect.
	Shrunk = 5
	// named bounds how many findings of one kind are named.
	named = 20
)

// Suspicions say in what a verified backup looks worse than the good ones
// before it, one sentence each; none says that it does not. Earlier backups may
// come in any order and may be of any deployment and worth: those that are
// verified, older, and of the same deployment count, back to the newest one
// whose changes somebody accepted.
//
// A slot or a job of the newest of them that is gone is suspect, and an
// artifact that is smaller than a fifth of the median of the last seven.
func Suspicions(b lockstep.Backup, earlier []lockstep.Backup) []string {
	base := baseline(b, earlier)
	if len(base) == 0 {
		return nil
	}
	return append(gone(b, base[0]), shrunk(b, base)...)
}

// baseline are the backups to compare with, newest first.
func baseline(b lockstep.Backup, earlier []lockstep.Backup) []lockstep.Backup {
	var base []lockstep.Backup
	for _, e := range earlier {
		same := e.Deployment == b.Deployment && e.Key == b.Key && e.ID != b.ID
		if same && e.Data == lockstep.DataVerified && e.StartedAt.Before(b.StartedAt) {
			base = append(base, e)
		}
	}
	slices.SortStableFunc(base, func(x, y lockstep.Backup) int { return y.StartedAt.Compare(x.StartedAt) })
	for i, e := range base {
		if len(e.AcceptedChanges) > 0 {
			base = base[:i+1]
			break
		}
	}
	return base[:min(len(base), Compared)]
}

// place is where an artifact comes from: a slot, or the name of a custom one,
// which any instance may yield.
func place(a lockstep.Artifact) string {
	if a.Custom {
		return "artifact " + a.Name
	}
	return a.Slot.String()
}

// gone are the artifacts, and the jobs, that the last good backup had.
func gone(b, last lockstep.Backup) []string {
	have := map[string]bool{}
	for _, a := range b.Artifacts {
		have[place(a)] = true
	}
	var missing []string
	for _, a := range last.Artifacts {
		if !have[place(a)] {
			missing = append(missing, place(a))
			have[place(a)] = true
		}
	}
	for slot := range jobs(b) {
		have[slot] = true
	}
	var lost []string
	for slot := range jobs(last) {
		if !have[slot] {
			lost = append(lost, slot)
		}
	}
	slices.Sort(lost)
	var why []string
	if len(missing) > 0 {
		why = append(why, fmt.Sprintf("it has no artifact of %s, which backup %s has", some(missing), last.ID))
	}
	if len(lost) > 0 {
		why = append(why, fmt.Sprintf("the job is gone that backup %s found: %s", last.ID, some(lost)))
	}
	return why
}

// jobs are the slots of all jobs that ship scripts.
func jobs(b lockstep.Backup) map[string]bool {
	slots := map[string]bool{}
	for _, in := range b.Instances {
		for _, j := range in.Jobs {
			if len(j.Scripts) > 0 {
				slots[lockstep.Slot{Group: in.Group, Index: in.Index, Job: j.Name}.String()] = true
			}
		}
	}
	return slots
}

// shrunk are the artifacts that are much smaller than they used to be.
func shrunk(b lockstep.Backup, base []lockstep.Backup) []string {
	before := map[string][]int64{}
	for _, e := range base {
		for _, a := range e.Artifacts {
			before[place(a)] = append(before[place(a)], a.Bytes)
		}
	}
	var why []string
	for _, a := range b.Artifacts {
		usual := median(before[place(a)])
		if a.Bytes < usual/Shrunk {
			why = append(why, fmt.Sprintf("%s has %d bytes, less than a fifth of the %d that are usual", place(a), a.Bytes, usual))
		}
	}
	if len(why) > named {
		why = append(why[:named], fmt.Sprintf("and %d more artifacts shrank as much", len(why)-named))
	}
	return why
}

// median is the lower one of two in the middle, 0 of none.
func median(n []int64) int64 {
	if len(n) == 0 {
		return 0
	}
	slices.Sort(n)
	return n[(len(n)-1)/2]
}

func some(names []string) string {
	if len(names) > named {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:named], ", "), len(names)-named)
	}
	return strings.Join(names, ", ")
}

// HalfRestored says which slots of a deployment have data of which nobody knows
// whether it is whole, because the last restore of them did not end well, and
// the newest such run. The runs are all restores of one deployment key, newest
// first, back to the last one that restored everything. Those that changed
// nothing do not count, nor do those whose result somebody took responsibility
// for.
func HalfRestored(runs []*lockstep.Run, acknowledged func(lockstep.RunID) bool) (lockstep.RunID, []lockstep.Slot) {
	judged := map[lockstep.Slot]bool{}
	var run lockstep.RunID
	var broken []lockstep.Slot
	for _, r := range runs {
		if r.Plan == nil || r.Ending == nil || r.Ending.Data == lockstep.DataUntouched {
			continue
		}
		word := acknowledged(r.ID)
		for _, s := range r.Plan.Steps(lockstep.StageWork) {
			if judged[s.Slot] {
				continue
			}
			judged[s.Slot] = true
			last := r.Steps[s.ID].Last()
			if ok := last != nil && last.Outcome.OK(); ok || word {
				continue
			}
			broken = append(broken, s.Slot)
			if run == "" {
				run = r.ID
			}
		}
		if !r.Plan.Partial && (r.Ending.Data == lockstep.DataRestored || word) {
			break // what was before it does not count any more
		}
	}
	return run, broken
}
