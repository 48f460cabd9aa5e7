package state

import (
	"context"
	"time"

	"lockstep"
)

// RunKeys keep which run an idempotency key stands for, so that a request that
// is sent again begins no second run, also when the orchestrator died between.
type RunKeys interface {
	// KeepRunKey keeps that a principal's key stands for the run that a request
	// with that digest asks for, unless the key is taken. It returns what is
	// kept: the run and the digest of the first request with that key.
	//
	// Keys that were kept before olderThan are forgotten.
	KeepRunKey(ctx context.Context, key RunKey, at, olderThan time.Time) (RunKey, error)
}

// RunKey is one idempotency key with what it stands for.
type RunKey struct {
	// Principal and Key name it: a key is one principal's own.
	Principal, Key string
	// Digest is that of the request, Run the run it begins.
	Digest string
	Run    lockstep.RunID
}
