package lockstep

import (
	"cmp"
	"slices"
)

// RunAudit is how a run was judged: by its journal always, and by what those of
// its instances that were asked have on record of it.
type RunAudit struct {
	Run RunID `json:"run"`
	// Broken are the promises that were not kept, one line each.
	Broken []string `json:"broken"`
	// Asked are the instances whose records were compared with the journal.
	Asked []InstanceID `json:"asked"`
	// NotAsked are those that were not, and why.
	NotAsked []NotAsked `json:"not_asked"`
}

// NotAsked is an instance that an audit did not ask; Instance "" means all.
type NotAsked struct {
	Instance InstanceID `json:"instance,omitempty"`
	Why      string     `json:"why"`
}

// Sort brings the instances into the order of their names.
func (a *RunAudit) Sort() {
	slices.Sort(a.Asked)
	slices.SortFunc(a.NotAsked, func(x, y NotAsked) int { return cmp.Compare(x.Instance, y.Instance) })
}
