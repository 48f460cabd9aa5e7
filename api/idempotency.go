package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"lockstep"
	"lockstep/state"
)

// keyLife is how long an idempotency key is kept.
const keyLife = 24 * time.Hour

// runOfKey is the id of the run that a key stands for. It is kept before the
// run begins: whatever happens between, the same request gets the same id, and
// the Service begins an id once.
func (a *API) runOfKey(ctx context.Context, key string, req RunRequest) (lockstep.RunID, error) {
	text, err := json.Marshal(req) // maps are written in order
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails since Go 1.24
	now := a.cfg.Now()
	mine := state.RunKey{
		Principal: principal(ctx), Key: key, Digest: hex.EncodeToString(sum[:]), Run: lockstep.NewRunID(now, random),
	}
	kept, err := a.cfg.Keys.KeepRunKey(ctx, mine, now, now.Add(-keyLife))
	if err != nil {
		return "", err
	}
	if kept.Digest != mine.Digest {
		return "", &lockstep.Error{
			Kind: lockstep.KindConflict, Op: "begin a run", Err: errors.New("its Idempotency-Key stands for another request"),
			Hint: "send a new key for a new request",
		}
	}
	return kept.Run, nil
}
