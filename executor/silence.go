package executor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lockstep"
	"lockstep/launcher"
)

// How often an instance on which a script runs is asked for a sign of life, and
// how long it has to answer: together less than the 15 s after which an operator
// is told.
const (
	askAlive    = 5 * time.Second
	answerAlive = 8 * time.Second
)

// tellSilence tells when the instance of a script that runs does not answer, what
// is waited for and until when at most, and when it answers again. It ends with
// ctx, which is that of the wait for the script.
func (e *Executor) tellSilence(ctx context.Context, c *launcher.Client, t lockstep.Task) {
	if e.cfg.Fact == nil || e.cfg.Policy.ContractWords {
		return
	}
	silent := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(e.askAlive):
		}
		probe, cancel := until(ctx, answerAlive)
		_, err := c.Status(probe, refOf(t))
		cancel()
		if ctx.Err() != nil || errors.Is(err, launcher.ErrFenced) {
			return
		}
		if is := err != nil; is != silent {
			silent = is
			e.cfg.Fact(e.silence(ctx, t, is))
		}
	}
}

// silence is the note that an instance does not answer, or does again.
func (e *Executor) silence(ctx context.Context, t lockstep.Task, silent bool) lockstep.Noted {
	id := t.Step.Instance
	if !silent {
		return lockstep.Noted{Level: "info", Instance: id, Message: "it answers again"}
	}
	latest, limited := ctx.Deadline()
	if given := time.Now().Add(e.cfg.Policy.AbandonAfter); t.Step.Stage == lockstep.StageUnlock && (!limited || given.Before(latest)) {
		latest, limited = given, true
	}
	text := fmt.Sprintf("it does not answer; %s is waited for", t.Step.ID)
	if limited {
		text += " until " + latest.Format("15:04:05 MST") + " at most"
	}
	return lockstep.Noted{Level: "warn", Instance: id, Message: text}
}
