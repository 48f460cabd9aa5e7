package launcher

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Unlock is one script that must be run to let go.
type Unlock struct {
	// Wave orders unlocks, from 1; see Lease.
	Wave int
	// Step is the first try. Further tries count up from its Attempt.
	Step Step
	// LockRef is the lock step that this undoes. Its Run is not used. With an
	// empty ID there is none: the unlock is owed as soon as any step of the
	// run but an unlock was started.
	LockRef StepRef
	// Timeout bounds a try that the lease makes; 0 is an hour.
	Timeout time.Duration
}

// Lease arms the instance's own timer.
type Lease struct {
	// Duration until it fires unless renewed. 0 stores the unlocks, for a
	// recovery without journal, and arms no timer.
	Duration time.Duration
	// WaveGap: wave W is run (W-1) x WaveGap after firing, and after the wave
	// before has been tried once.
	WaveGap time.Duration
	// Grace between TERM and KILL for the scripts that run then; 0 is 30 s.
	Grace time.Duration
	// Unlocks of this instance.
	Unlocks []Unlock
}

// LeaseState is what Renew finds.
type LeaseState string

// The states of a lease.
const (
	LeaseOff    LeaseState = "off"
	LeaseArmed  LeaseState = "armed"
	LeaseFiring LeaseState = "firing" // has fired and is still unlocking
	LeaseFired  LeaseState = "fired"  // has fired and has done what it could
)

// successFlag tells an unlock script whether its job's data is complete.
const successFlag = "BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL"

// Arm stores the unlocks durably and starts the timer, before the first lock.
// It may be repeated and replaces what was armed. Whatever the steps' Env
// says, the lease runs them with BBR_AFTER_BACKUP_SCRIPTS_SUCCESSFUL=false if
// they have that variable. Errors: ErrFenced, ErrFired.
func (c *Client) Arm(ctx context.Context, lease Lease) error {
	run, term := c.owner()
	if lease.Grace == 0 {
		lease.Grace = 30 * time.Second
	}
	words := []string{run, term, hundredths(lease.Duration), hundredths(lease.WaveGap), hundredths(lease.Grace)}
	for _, u := range lease.Unlocks {
		w, err := u.words()
		if err != nil {
			return fmt.Errorf("arm lease: unlock %q: %w", u.Step.ID, err)
		}
		words = append(append(words, w...), ";")
	}
	_, _, err := c.do(ctx, "arm", words...)
	return err
}

// Renew puts the deadline d away from now, if the lease is armed. Errors:
// ErrFenced.
func (c *Client) Renew(ctx context.Context, d time.Duration) (LeaseState, error) {
	run, term := c.owner()
	f, _, err := c.do(ctx, "renew", run, term, hundredths(d))
	return LeaseState(f.word(0)), err
}

// words: WAVE STEP ATT LOCKSTEP LOCKATT TIMEOUT PATH DIGEST ENV...
func (u Unlock) words() ([]string, error) {
	if u.Wave < 1 {
		return nil, fmt.Errorf("wave %d: must be at least 1", u.Wave)
	}
	id, err := encodeName(u.Step.ID)
	if err != nil {
		return nil, err
	}
	lock := "-"
	if u.LockRef.ID != "" {
		if lock, err = encodeName(u.LockRef.ID); err != nil {
			return nil, err
		}
	}
	step := u.Step
	step.Env = nil
	for _, kv := range u.Step.Env {
		if strings.HasPrefix(kv, successFlag+"=") {
			kv = successFlag + "=false"
		}
		step.Env = append(step.Env, kv)
	}
	script, err := step.script()
	if err != nil {
		return nil, err
	}
	timeout := u.Timeout
	if timeout == 0 {
		timeout = time.Hour
	}
	words := []string{
		strconv.Itoa(u.Wave), id, attemptWord(u.Step.Attempt),
		lock, attemptWord(u.LockRef.Attempt), hundredths(timeout),
	}
	return append(words, script...), nil
}

// parseUnlock undoes words.
func parseUnlock(run string, words []string) (Unlock, error) {
	bad := fmt.Errorf("%w: unlock %.200q", errFrame, words)
	for len(words) > 0 && words[len(words)-1] == "" {
		words = words[:len(words)-1]
	}
	if len(words) < 8 {
		return Unlock{}, bad
	}
	wave, err1 := strconv.ParseUint(words[0], 10, 31)
	step, err2 := parseRef("", words[1], words[2])
	lock, err3 := parseRef("", words[3], words[4])
	timeout, err4 := strconv.ParseUint(words[5], 10, 40)
	path, err5 := decodeWord(words[6])
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if err != nil {
			return Unlock{}, bad
		}
	}
	u := Unlock{Wave: int(wave), LockRef: lock, Timeout: time.Duration(timeout) * 10 * time.Millisecond}
	u.LockRef.Run, step.Run = run, run
	if words[3] == "-" {
		u.LockRef = StepRef{}
	}
	u.Step = Step{StepRef: step, Path: path}
	if words[7] != "-" {
		u.Step.Digest = words[7]
	}
	for _, w := range words[8:] {
		kv, err := decodeWord(w)
		if err != nil {
			return Unlock{}, bad
		}
		u.Step.Env = append(u.Step.Env, kv)
	}
	return u, nil
}
