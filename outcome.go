package lockstep

import "fmt"

// OutcomeKind is the way in which a try of a step ended.
type OutcomeKind string

// The kinds of outcomes. Only OutcomeUnknown is not final. Only a received
// exit status is an exit: a lost connection is never success.
const (
	OutcomeExit         OutcomeKind = "exit"          // an exit status was received
	OutcomeSignal       OutcomeKind = "signal"        // a signal ended it, ours or another's
	OutcomeDead         OutcomeKind = "dead"          // proven gone without a status, e.g. by a reboot
	OutcomeNeverStarted OutcomeKind = "never_started" // proven: the launcher holds the tombstone
	OutcomeAbandoned    OutcomeKind = "abandoned"     // unreachable past its deadline
	OutcomeUnknown      OutcomeKind = "unknown"       // nobody has asked the launcher yet
)

// Outcome is how a try of a step ended. Steps of ours that are not scripts end
// as exit 0 or exit 1.
type Outcome struct {
	Kind   OutcomeKind `json:"kind"`
	Code   int         `json:"code,omitempty"`
	Signal string      `json:"signal,omitempty"` // "KILL", without "SIG"
}

// Exited is the outcome of a received exit status.
func Exited(code int) Outcome { return Outcome{Kind: OutcomeExit, Code: code} }

// OK reports a received exit status 0; nothing else is success.
func (o Outcome) OK() bool { return o.Kind == OutcomeExit && o.Code == 0 }

// Final reports whether the outcome can still change.
func (o Outcome) Final() bool { return o.Kind != OutcomeUnknown }

// ended reports whether there is an outcome and it is final.
func (o Outcome) ended() bool { return o.Kind != "" && o.Final() }

// String is "exit 3", "signal KILL" or the kind's name in words.
func (o Outcome) String() string {
	switch o.Kind {
	case OutcomeExit:
		return fmt.Sprintf("exit %d", o.Code)
	case OutcomeSignal:
		return "signal " + o.Signal
	case OutcomeNeverStarted:
		return "never started"
	case OutcomeDead, OutcomeAbandoned, OutcomeUnknown:
		return string(o.Kind)
	}
	return string(o.Kind)
}
