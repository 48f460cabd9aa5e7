package launcher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"lockstep/internal/faultpoint"
)

// Wait waits for the end of a step and gives its final status; an Absent step
// is given as it is. Output is handed to output (nil: discarded) as it comes,
// each byte once even when sessions are lost, from one goroutine; the slice
// is output's to keep. output must not block for long: it holds up all other
// answers of this instance. Only ctx ends Wait early.
func (c *Client) Wait(ctx context.Context, ref StepRef, output func(Stream, []byte)) (Status, error) {
	words, err := ref.words()
	if err != nil {
		return Status{}, fmt.Errorf("wait for step %q: %w", ref.ID, err)
	}
	w := &waiting{ref: ref, output: output}
	for {
		err = c.steady(ctx, func(s *session, silence time.Duration) error { return w.ask(ctx, s, words, silence) })
		if !errors.Is(err, ErrUnanswered) {
			break
		}
		// That nobody tells of the end does not keep the end from being known.
		if st := w.over.Load(); st != nil {
			w.status, err = *st, nil
			break
		}
	}
	if err != nil {
		return Status{}, fmt.Errorf("wait for step %q: %w", ref.ID, err)
	}
	faultpoint.Hit("launcher.wait.after")
	w.status.Dropped = w.dropped
	return w.status, nil
}

// waiting is the state of one Wait over all its sessions.
type waiting struct {
	ref     StepRef
	output  func(Stream, []byte)
	session *session
	seen    [3]int64 // by Stream: offset of the next byte wanted
	dropped int64
	status  Status
	// over is the final status where a look found it and no wait has said so.
	over atomic.Pointer[Status]
}

// ask waits on one session. While nothing is heard, it asks in between whether
// the step has ended.
func (w *waiting) ask(ctx context.Context, s *session, words []string, silence time.Duration) error {
	w.session = s
	offsets := []string{strconv.FormatInt(w.seen[Stdout], 10), strconv.FormatInt(w.seen[Stderr], 10)}
	ended := false
	return s.ask(ctx, question{
		line: line("wait", append(words[:3:3], offsets...)), on: w.take, silence: silence,
		late: func(ctx context.Context, s *session, id uint64) error {
			if err := s.still(ctx, id, silence); err != nil {
				return err
			}
			st, err := w.look(ctx, s, words, silence)
			if err != nil || st.Running {
				return err
			}
			if ended { // and had the last time
				w.over.Store(&st)
				return fmt.Errorf("%w: the step has ended, and nothing says so", ErrUnanswered)
			}
			ended = true
			return nil
		},
	})
}

// look asks for the step's status beside the wait for its end.
func (w *waiting) look(ctx context.Context, s *session, words []string, silence time.Duration) (st Status, err error) {
	err = s.ask(ctx, question{
		line: line("status", words), silence: silence,
		on: func(f frame) (bool, error) {
			err := finalError(f)
			if err == nil {
				st, err = parseStatus(s, w.ref, f.words)
			}
			return true, err
		},
	})
	return st, err
}

// take handles one frame of a wait's answer.
func (w *waiting) take(f frame) (bool, error) {
	switch f.kind {
	case "out":
		return false, w.data(Stdout, f)
	case "err":
		return false, w.data(Stderr, f)
	}
	if err := finalError(f); err != nil {
		return true, err
	}
	st, err := parseStatus(w.session, w.ref, f.words)
	w.status = st
	return true, err
}

var errOffset = errors.New("output offset goes backwards")

func (w *waiting) data(stream Stream, f frame) error {
	off, err := strconv.ParseInt(f.word(0), 10, 62)
	if err != nil || off < w.seen[stream] {
		return fmt.Errorf("%w: %w", errFrame, errOffset)
	}
	w.dropped += off - w.seen[stream]
	w.seen[stream] = off + int64(len(f.payload))
	if w.output != nil && len(f.payload) > 0 {
		w.output(stream, f.payload)
	}
	return nil
}
