package journal

import (
	"errors"
	"time"

	"lockstep"
)

// ErrDamaged: what the journal holds is not what was put there.
var ErrDamaged = errors.New("the journal is damaged")

// Loss says that a run has events which are not in the journal any more, or that
// were changed there: what the run did after the last good one is not known. What
// its instances say of it is.
type Loss struct {
	// Run is "" where records are lost, and not events.
	Run        lockstep.RunID
	Key        lockstep.DeploymentKey
	Deployment string
	Why        string // a clause
	At         time.Time
	// Whole: nothing of the run is left.
	Whole bool
}
