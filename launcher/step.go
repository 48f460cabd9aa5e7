package launcher

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lockstep"
	"lockstep/internal/faultpoint"
)

// StepRef names one try of a step. Attempt counts from 1; 0 means 1.
type StepRef struct {
	Run, ID string
	Attempt int
}

// Step is one script to be run once.
type Step struct {
	StepRef
	// Path of the script. A relative one is relative to the login directory.
	// It may hold any byte but NUL and "=".
	Path string
	// Digest is the SHA-256, in hex, that the script must have just before it
	// is run; "" lets any script run.
	Digest string
	// Env are NAME=VALUE pairs; values may hold any byte but NUL.
	Env []string
}

// StartReply says what Start found.
type StartReply struct {
	// Existed: the step had been started before, perhaps by this very call
	// on a session that was lost. Wait gives its result.
	Existed bool
	// Settled: there is a tombstone; the script did not and will not run.
	Settled bool
}

// Status is what is known of a step.
type Status struct {
	StepRef
	// Running: the script has not ended, or something that it started and
	// that carries its mark is left while its supervisor is gone.
	Running bool
	// Absent: there is no trace of the step, and no proof either. Settle
	// makes it one.
	Absent bool
	// Outcome is OutcomeUnknown while Running or Absent.
	Outcome lockstep.Outcome
	// Reason is why a step is dead (reboot, lost) or was never started
	// (settled, digest:SUM of what was found instead).
	Reason string
	// Started and Ended are times of the instance's clock, to 10 ms; zero
	// when not known. Elapsed is the difference by its monotonic clock.
	Started, Ended time.Time
	Elapsed        time.Duration
	// ByLease: it was the lease that started the step.
	ByLease bool
	// Dropped are the bytes of output that Wait could not deliver because the
	// instance keeps only the first 256 KiB and the last MiB of each stream.
	Dropped int64
}

// Start starts a step and returns as soon as its script is about to run.
// Errors: ErrFenced when the run does not own the instance, ErrFired when the
// lease has fired and the step is not an unlock.
func (c *Client) Start(ctx context.Context, step Step) (StartReply, error) {
	ref, err := step.words()
	if err != nil {
		return StartReply{}, fmt.Errorf("start step %q: %w", step.ID, err)
	}
	script, err := step.script()
	if err != nil {
		return StartReply{}, fmt.Errorf("start step %q: %w", step.ID, err)
	}
	run, term := c.owner()
	if run != ref[0] {
		return StartReply{}, fmt.Errorf("start step %q: %w: this client has not claimed for run %q", step.ID, ErrFenced, step.Run)
	}
	words := append(append(ref, term, "client"), script...)
	faultpoint.Hit("launcher.start.before")
	f, _, err := c.do(ctx, "start", words...)
	faultpoint.Hit("launcher.start.after")
	if err != nil {
		return StartReply{}, fmt.Errorf("start step %q: %w", step.ID, err)
	}
	return StartReply{Existed: f.word(0) == "existed", Settled: f.word(0) == "settled"}, nil
}

// words are run, step and attempt as words of a verb.
func (r StepRef) words() ([]string, error) {
	run, err := encodeName(r.Run)
	if err != nil {
		return nil, err
	}
	id, err := encodeName(r.ID)
	if err != nil {
		return nil, err
	}
	return []string{run, id, attemptWord(r.Attempt)}, nil
}

// script are path, digest and environment as words of a verb.
func (s Step) script() ([]string, error) {
	if s.Path == "" || strings.Contains(s.Path, "=") {
		return nil, fmt.Errorf("script path %q: must not be empty or contain \"=\"", s.Path)
	}
	path, err := encodeWord(s.Path)
	if err != nil {
		return nil, err
	}
	words := []string{path, "-"}
	if s.Digest != "" {
		sum, err := hex.DecodeString(s.Digest)
		if err != nil || len(sum) != 32 {
			return nil, fmt.Errorf("digest %q: not a SHA-256 in hex", s.Digest)
		}
		words[1] = hex.EncodeToString(sum)
	}
	for _, kv := range s.Env {
		name, _, ok := strings.Cut(kv, "=")
		if !ok || !validName(name) {
			return nil, fmt.Errorf("environment %q: not NAME=VALUE", kv)
		}
		word, err := encodeWord(kv)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
	}
	return words, nil
}

// validName: a name of an environment variable that every shell takes.
func validName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// Status asks what is known of a step; it does not wait.
func (c *Client) Status(ctx context.Context, ref StepRef) (Status, error) {
	return c.oneStatus(ctx, "status", ref)
}

// Settle decides that a step which has not been started never will be. What
// it gives is final unless Running: OutcomeNeverStarted is proof. Errors:
// ErrFenced.
func (c *Client) Settle(ctx context.Context, ref StepRef) (Status, error) {
	run, term := c.owner()
	return c.oneStatus(ctx, "settle", ref, term, run)
}

// Kill ends a running step: TERM to all that it started, KILL after grace. It
// does nothing to a step whose exit was recorded: what that has started is
// meant to stay. The answer may still be Running if KILL did not help. It
// blocks for up to grace and some seconds. Errors: ErrFenced.
func (c *Client) Kill(ctx context.Context, ref StepRef, grace time.Duration) (Status, error) {
	run, term := c.owner()
	return c.oneStatus(ctx, "kill", ref, term, run, hundredths(grace))
}

func (c *Client) oneStatus(ctx context.Context, verb string, ref StepRef, more ...string) (Status, error) {
	words, err := ref.words()
	if err != nil {
		return Status{}, fmt.Errorf("%s step %q: %w", verb, ref.ID, err)
	}
	f, s, err := c.do(ctx, verb, append(words, more...)...)
	if err != nil {
		return Status{}, fmt.Errorf("step %q: %w", ref.ID, err)
	}
	return parseStatus(s, ref, f.words)
}

// hundredths of a second, the launcher's unit, rounded up.
func hundredths(d time.Duration) string {
	const unit = 10 * time.Millisecond
	return strconv.FormatInt(int64((max(d, 0)+unit-1)/unit), 10)
}

// parseStatus reads the words STATE CODE SIGNAL-or-REASON START END BY.
func parseStatus(s *session, ref StepRef, words []string) (Status, error) {
	f := frame{words: words}
	st := Status{StepRef: ref, ByLease: f.word(5) == "lease"}
	st.Attempt = max(st.Attempt, 1)
	st.Outcome.Kind = lockstep.OutcomeUnknown
	start, began := uptime(f.word(3))
	end, ended := uptime(f.word(4))
	if began {
		st.Started = s.base.Add(start)
	}
	if began && ended {
		st.Ended, st.Elapsed = s.base.Add(end), end-start
	}
	switch f.word(0) {
	case "running":
		st.Running = true
	case "absent":
		st.Absent = true
	case "dead":
		st.Outcome.Kind, st.Reason = lockstep.OutcomeDead, f.word(2)
		if st.Reason == "reboot" { // the uptime was another boot's
			st.Started = time.Time{}
		}
	case "never":
		st.Outcome.Kind, st.Reason = lockstep.OutcomeNeverStarted, f.word(2)
	case "ended":
		return st, st.setExit(f.word(1), f.word(2))
	default:
		return Status{}, fmt.Errorf("%w: status %q", errFrame, words)
	}
	return st, nil
}

func (st *Status) setExit(code, signal string) error {
	n, err := strconv.ParseUint(code, 10, 8)
	if err != nil {
		return fmt.Errorf("%w: exit status %q", errFrame, code)
	}
	st.Outcome = lockstep.Exited(int(n))
	if signal == "-" {
		return nil
	}
	sig, err := strconv.ParseUint(signal, 10, 8)
	if err != nil {
		return fmt.Errorf("%w: signal %q", errFrame, signal)
	}
	name := strings.TrimPrefix(unix.SignalName(unix.Signal(sig)), "SIG")
	if name == "" {
		name = signal
	}
	st.Outcome = lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: name}
	return nil
}

// uptime reads "123.45"; a year-long uptime fits many times.
func uptime(s string) (time.Duration, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f < 0 || f > 1e9 {
		return 0, false
	}
	return time.Duration(f*100+0.5) * 10 * time.Millisecond, true
}

// Stream says which output of a script bytes belong to.
type Stream int

// The outputs of a script.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// String is "stdout" or "stderr".
func (s Stream) String() string {
	if s == Stderr {
		return "stderr"
	}
	return "stdout"
}
