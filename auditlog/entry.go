// Package auditlog keeps who did what: an append-only file of lines, each
// chained to the one before by its hash, with signed heads. A record that was
// removed, changed or moved is found by whoever has the last signed head.
package auditlog

import (
	"context"
	"time"
)

// The results of what an entry tells of.
const (
	Allowed = "allowed" // written before the effect
	Denied  = "denied"
	Failed  = "failed" // it was allowed and did not work
	Done    = "done"   // a fact that is told afterwards
)

// Entry is one thing that somebody did, or was kept from doing. No field ever
// holds a secret.
type Entry struct {
	// Time is set by the log if it is zero.
	Time time.Time `json:"time"`
	// By is who, as KIND:NAME; Token is the id of the API token used, or "".
	By    string `json:"by"`
	Token string `json:"token,omitempty"`
	// From is the address that the request came from, or "".
	From string `json:"from,omitempty"`
	// Action is what, as a permission ("runs:restore") or an event of the
	// access itself ("session:begin").
	Action string `json:"action"`
	Result string `json:"result"`
	// Deployment is the one that it concerns, or "" for the whole server.
	Deployment string `json:"deployment,omitempty"`
	// Object is the run, backup, token, approval or schedule that it concerns.
	Object string `json:"object,omitempty"`
	// Detail is anything else that a reader needs to know.
	Detail map[string]string `json:"detail,omitempty"`
}

// Recorder writes entries. It may be called concurrently. An entry is durable
// when Record returns nil; whatever has an effect is not done when it fails.
type Recorder interface {
	Record(ctx context.Context, e Entry) error
}
