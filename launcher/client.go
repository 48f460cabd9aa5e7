package launcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"lockstep/target"
)

// Config says how the launcher is run on an instance.
type Config struct {
	// Sudo: run the launcher through `sudo -n`. Its scripts inherit what sudo
	// made of the environment, and so see what `sudo SCRIPT` would show them.
	Sudo bool
	// RunDir is for what does not outlive a reboot; "" is /run/lockstep. A
	// relative path is relative to the login directory, here and below.
	RunDir string
	// StateDir is for what must; "" is /var/lib/lockstep.
	StateDir string
	// Programs may be lent to the instance, see Lend; none: the shell does all.
	Programs Programs
}

// Client speaks with the launcher of one instance. All methods may be called
// concurrently. When the control session is lost they start another one until
// their context is done: every verb may safely be asked twice. Only a client
// that has never had a session returns the error of the first attempt at once;
// so does any method when an attempt fails in a way that a retry cannot mend.
type Client struct {
	target target.Target
	cfg    Config
	shell  string // the sh of the instance; tests use others
	// answerWithin bounds the start of a control session; tests use less.
	answerWithin time.Duration
	// patience is verbWithin; tests have less.
	patience time.Duration

	mu     sync.Mutex
	cur    *session
	met    bool // a session has said hello once
	closed bool
	run    string // encoded run and term of the last claim
	term   uint64
	pings  bool          // somebody pings
	over   chan struct{} // closed with the client

	lending lending
}

// pingEvery is how often a client that has claimed its instance is heard there
// at least: four times before the launcher takes its session for dead.
const pingEvery = 30 * time.Second

var errClosed = errors.New("launcher client is closed")

// New makes a client; nothing is sent before the first verb. The client does
// not close t.
func New(t target.Target, cfg Config) *Client {
	if cfg.RunDir == "" {
		cfg.RunDir = "/run/lockstep"
	}
	if cfg.StateDir == "" {
		cfg.StateDir = "/var/lib/lockstep"
	}
	return &Client{
		target: t, cfg: cfg, shell: "sh", answerWithin: answerWithin, patience: verbWithin,
		over: make(chan struct{}),
	}
}

// Close ends the control session. Running scripts, the claim and the lease
// are not touched. It may be called twice.
func (c *Client) Close() error {
	c.mu.Lock()
	s := c.cur
	if !c.closed {
		close(c.over)
	}
	c.cur, c.closed = nil, true
	c.mu.Unlock()
	if s != nil {
		s.close(3 * time.Second)
	}
	return nil
}

// GiveUp ends a control session that has not said hello, and does nothing to one that
// has, or where there is none: somebody knows that the login lets no command do its
// work. It may be called at any time, concurrently.
func (c *Client) GiveUp() {
	c.mu.Lock()
	s := c.cur
	c.mu.Unlock()
	if s != nil {
		s.giveUp()
	}
}

// claimed notes for whom this client speaks from now on, and sees to it that it
// is heard as long as it is open.
func (c *Client) claimed(run string, term uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.run, c.term = run, term
	if !c.pings && !c.closed {
		c.pings = true
		go c.keepHeard()
	}
}

func (c *Client) keepHeard() {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.over:
			return
		case <-tick.C:
			c.ping()
		}
	}
}

// ping speaks over the session that is there; it makes none.
func (c *Client) ping() {
	c.mu.Lock()
	s, run := c.cur, c.run
	c.mu.Unlock()
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), pingEvery)
	defer cancel()
	// A session that does not answer is ended by that; whoever needs one makes another.
	_ = s.ask(ctx, question{line: line("ping", []string{run}), silence: c.patience, on: func(f frame) (bool, error) { return true, finalError(f) }})
}

// session gives a session that has said hello; it starts one if need be.
func (c *Client) session(ctx context.Context) (*session, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, permanent{errClosed}
	}
	if c.cur != nil {
		select {
		case <-c.cur.done:
			c.cur = nil
		default:
		}
	}
	if c.cur == nil {
		c.cur = openSession(c.target, c.bootCommand(), text(), c.answerWithin)
	}
	s := c.cur
	c.mu.Unlock()

	if err := c.await(ctx, s); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.met = true
	return s, nil
}

// await waits for a session's hello.
func (c *Client) await(ctx context.Context, s *session) error {
	silent := time.NewTimer(greeting * c.patience)
	defer silent.Stop()
	select {
	case <-s.ready:
		return nil
	case <-s.done:
		return s.err
	case <-silent.C:
		s.cancel()
		c.leave(s)
		return fmt.Errorf("%w: no word from its control session within %s", ErrUnanswered, greeting*c.patience)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// leave makes the next verb ask on another session than that one.
func (c *Client) leave(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cur == s {
		c.cur = nil
	}
}

// steady calls try with a session, again and again while sessions get lost, and
// on a few more while they do not answer, each time with more patience.
func (c *Client) steady(ctx context.Context, try func(*session, time.Duration) error) error {
	pause, unanswered := 20*time.Millisecond, 0
	for {
		s, err := c.session(ctx)
		if err == nil {
			err = try(s, c.patience<<unanswered)
			switch {
			case errors.Is(err, ErrUnanswered):
				c.leave(s)
				unanswered++
			case err == nil || !errors.Is(err, errLost):
				return err
			}
			pause = 20 * time.Millisecond
		} else if isPermanent(err) || !c.hasMet() {
			return err
		}
		if unanswered == answerTries {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(pause):
			pause = min(2*pause, 2*time.Second)
		}
	}
}

// Met reports whether there ever was a session: if not, no verb was ever sent.
func (c *Client) Met() bool { return c.hasMet() }

func (c *Client) hasMet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.met
}

// do asks a verb that has one answer and gives its words.
func (c *Client) do(ctx context.Context, verb string, words ...string) (frame, *session, error) {
	var answer frame
	var on *session
	err := c.steady(ctx, func(s *session, silence time.Duration) error {
		on = s
		return s.ask(ctx, question{
			line: line(verb, words), silence: silenceOf(verb, silence), late: lateOf(verb, c.patience),
			on: func(f frame) (bool, error) {
				answer = f
				return true, finalError(f)
			},
		})
	})
	if err != nil {
		return frame{}, nil, fmt.Errorf("launcher: %s: %w", verb, err)
	}
	return answer, on, nil
}

// finalError is the error of a final frame that is not "ok".
func finalError(f frame) error {
	switch f.kind {
	case "ok":
		return nil
	case "no":
		return answerError(f)
	}
	return fmt.Errorf("%w: unexpected %q", errFrame, f.kind)
}

func line(verb string, words []string) string {
	return strings.Join(append([]string{verb}, words...), " ")
}

// owner is the run and term of the last successful claim, as words.
func (c *Client) owner() (run, term string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.run == "" {
		return "-", "0"
	}
	return c.run, fmt.Sprint(c.term)
}
