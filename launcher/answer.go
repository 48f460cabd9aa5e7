package launcher

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ErrUnanswered: the launcher answered a verb on none of several control
// sessions, each time within a bound of the verb's own. What was asked may have
// been done.
var ErrUnanswered = errors.New("the launcher does not answer")

// Bounds on an answer. They are the verb's own, whatever the step's deadline:
// an answer can get lost (its process was killed, the launcher's file was
// removed) while everything else goes on.
const (
	// verbWithin is how long a session may be silent about a verb. It doubles
	// with every session, for a machine that is only slow.
	verbWithin = 10 * time.Second
	// syncing is how much longer verbs get that wait for a disk.
	syncing = 3
	// greeting is how much longer a session gets for its hello.
	greeting = 12
	// answerTries is on how many sessions a verb is asked that none answers.
	answerTries = 3
)

// question is a verb as it is asked on one session.
type question struct {
	line    string
	on      func(frame) (bool, error) // says that a frame was the last one
	silence time.Duration             // of the session about it, before late is called
	// late says by an error that the answer will not come; nil is patience for
	// as long again. Without late, the answer will not come.
	late func(ctx context.Context, s *session, id uint64) error
}

// silenceOf is how long a session may be silent about that verb, given the
// usual time.
func silenceOf(verb string, usual time.Duration) time.Duration {
	switch verb {
	case "claim", "arm", "release", "forget":
		return syncing * usual
	}
	return usual
}

// lateOf is the question's late for verbs that may take long: is whoever
// answers still there?
func lateOf(verb string, usual time.Duration) func(context.Context, *session, uint64) error {
	switch verb {
	case "claim", "release", "kill", "mkdir", "rmdir", "exists", "space", "fit", "survey", "traits":
		return func(ctx context.Context, s *session, id uint64) error { return s.still(ctx, id, usual) }
	}
	return nil
}

// still asks whether the process that answers the verb of that id is there. It
// is an error that it is not: what it said before it ended has arrived by then.
func (s *session) still(ctx context.Context, id uint64, silence time.Duration) error {
	there := ""
	err := s.ask(ctx, question{
		line: line("still", []string{strconv.FormatUint(id, 10)}), silence: silence,
		on: func(f frame) (bool, error) {
			there = f.word(0)
			return true, finalError(f)
		},
	})
	if err == nil && there != "yes" {
		err = fmt.Errorf("%w: who should answer has ended", ErrUnanswered)
	}
	return err
}

// ask sends a verb and hands every frame of the answer to q.on until that says
// it was the last one, or an error. A session that does not answer in time is
// ended: ErrUnanswered.
func (s *session) ask(ctx context.Context, q question) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	id, c := s.begin(ctx)
	defer s.finish(id)
	silent := time.NewTimer(q.silence)
	defer silent.Stop()
	if err := s.send(ctx, fmt.Sprintf("%d %s\n", id, q.line), silent.C); err != nil {
		return err
	}
	late := make(chan error, 1)
	for {
		select {
		case f := <-c.frames:
			if last, err := q.on(f); last || err != nil {
				return err
			}
			silent.Reset(q.silence)
		case <-s.done:
			return s.drain(c, q.on, s.err)
		case <-ctx.Done():
			s.forget(id)
			return context.Cause(ctx)
		case <-silent.C:
			// Beside, for frames must go on being taken.
			go func() { late <- q.isLate(ctx, s, id) }()
		case err := <-late:
			if err != nil {
				return s.overdue(c, q, err)
			}
			silent.Reset(q.silence)
		}
	}
}

func (q question) isLate(ctx context.Context, s *session, id uint64) error {
	if q.late == nil {
		return fmt.Errorf("%w within %s", ErrUnanswered, q.silence)
	}
	return q.late(ctx, s, id)
}

// overdue gives up on an answer and on its session, unless the answer has come
// in this very moment.
func (s *session) overdue(c *call, q question, err error) error {
	err = s.drain(c, q.on, err)
	if errors.Is(err, ErrUnanswered) {
		s.cancel()
	}
	return err
}

// begin makes a call known, so that its frames find it.
func (s *session) begin(ctx context.Context) (uint64, *call) {
	c := &call{frames: make(chan frame, 16), gone: ctx.Done()}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	s.calls[s.nextID] = c
	return s.nextID, c
}

func (s *session) finish(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.calls, id)
}

// send writes one line; it gives up when ctx or the session ends, and on a
// session that does not read.
func (s *session) send(ctx context.Context, line string, silent <-chan time.Time) error {
	select {
	case s.input <- line:
		return nil
	case <-s.done:
		return s.err
	case <-silent:
		s.cancel()
		return fmt.Errorf("%w: it reads nothing", ErrUnanswered)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drain takes the frames that have arrived; err is given where the last one of
// the answer is not among them.
func (s *session) drain(c *call, on func(frame) (bool, error), err error) error {
	for {
		select {
		case f := <-c.frames:
			if last, err := on(f); last || err != nil {
				return err
			}
		default:
			return err
		}
	}
}
