package launcher

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep/target"
)

// deaf is an instance whose launcher is what answer says: it is told the session,
// from 1, and a line's id and words, and gives the frame, or "" for none.
type deaf struct {
	mu       sync.Mutex
	sessions int
	asked    []string // the verbs, each with its session
	hello    func(session int) bool
	answer   func(session int, id, verb string, words []string) string
}

func (d *deaf) RoundTrip() time.Duration { return 0 }
func (d *deaf) Close() error             { return nil }

func (d *deaf) Run(ctx context.Context, _ string, streams target.Streams) (target.Exit, error) {
	d.mu.Lock()
	d.sessions++
	n := d.sessions
	d.mu.Unlock()
	ended := make(chan error, 1)
	go func() { ended <- d.serve(n, streams) }()
	select {
	case err := <-ended:
		return target.Exit{}, err
	case <-ctx.Done():
		return target.Exit{}, fmt.Errorf("%w: %w", target.ErrLost, context.Cause(ctx))
	}
}

func (d *deaf) serve(n int, streams target.Streams) error {
	in := bufio.NewReader(streams.Stdin)
	if _, err := io.CopyN(io.Discard, in, int64(len(target.Challenge))); err != nil {
		return err
	}
	fmt.Fprint(streams.Stdout, listening)
	if _, err := io.CopyN(io.Discard, in, int64(len(text()))); err != nil {
		return err
	}
	if d.hello == nil || d.hello(n) {
		fmt.Fprint(streams.Stdout, "0 hello 4 boot 1.0 2.0 2\n/r/l")
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return nil
		}
		words := strings.Fields(line)
		d.mu.Lock()
		d.asked = append(d.asked, fmt.Sprint(n, " ", words[1]))
		d.mu.Unlock()
		if f := d.answer(n, words[0], words[1], words[2:]); f != "" {
			fmt.Fprint(streams.Stdout, f)
		}
	}
}

// count of how often that was asked: a verb with its session, or any session's.
func (d *deaf) count(what string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.asked {
		if a == what || strings.HasSuffix(a, " "+what) {
			n++
		}
	}
	return n
}

// bubble runs test with a client of d, by a clock of its own.
func bubble(t *testing.T, d *deaf, test func(t *testing.T, c *Client)) {
	synctest.Test(t, func(t *testing.T) {
		c := New(d, Config{})
		c.run, c.term = "r1", 1
		test(t, c)
		_ = c.Close()
	})
}

// TestAnswerThatIsLost: every verb whose answer a session does not give is asked
// again on a fresh one, in seconds and whatever the deadline of the step is.
//
//fault:lost-answer the answer to a verb of the launcher never comes | seconds later it is asked again over a fresh session, and the run goes on
func TestAnswerThatIsLost(t *testing.T) {
	ref := StepRef{Run: "r1", ID: "s"}
	for verb, ask := range map[string]func(context.Context, *Client) error{
		"start":   func(ctx context.Context, c *Client) error { _, err := c.Start(ctx, step("r1", "s", "/x")); return err },
		"status":  func(ctx context.Context, c *Client) error { _, err := c.Status(ctx, ref); return err },
		"settle":  func(ctx context.Context, c *Client) error { _, err := c.Settle(ctx, ref); return err },
		"kill":    func(ctx context.Context, c *Client) error { _, err := c.Kill(ctx, ref, time.Minute); return err },
		"wait":    func(ctx context.Context, c *Client) error { _, err := c.Wait(ctx, ref, nil); return err },
		"claim":   func(ctx context.Context, c *Client) error { _, err := c.Claim(ctx, request("r1", 1)); return err },
		"arm":     func(ctx context.Context, c *Client) error { return c.Arm(ctx, Lease{}) },
		"renew":   func(ctx context.Context, c *Client) error { _, err := c.Renew(ctx, time.Hour); return err },
		"release": func(ctx context.Context, c *Client) error { return c.Release(ctx, ReleaseDone) },
		"forget":  func(ctx context.Context, c *Client) error { return c.Forget(ctx, ref) },
		"mkdir":   func(ctx context.Context, c *Client) error { return c.MakeDir(ctx, "/x/y", "/x/y") },
		"rmdir":   func(ctx context.Context, c *Client) error { return c.RemoveDir(ctx, "/x/y") },
		"exists":  func(ctx context.Context, c *Client) error { _, err := c.Exists(ctx, "/x/y"); return err },
		"space":   func(ctx context.Context, c *Client) error { _, err := c.Space(ctx, "/x/y"); return err },
		"tools":   func(ctx context.Context, c *Client) error { _, err := c.Tools(ctx); return err },
	} {
		t.Run(verb, func(t *testing.T) {
			d := &deaf{answer: func(n int, id, asked string, _ []string) string {
				switch {
				case asked == "still":
					return id + " ok 0 no\n"
				case n == 1:
					return ""
				}
				return id + " ok 0 " + map[string]string{
					"start": "started", "status": "running - - 1.0 - client", "settle": "never - settled - - -", "kill": "ended 0 - 1.0 2.0 client",
					"wait": "ended 0 - 1.0 2.0 client", "claim": "1 boot", "renew": "armed", "exists": "yes", "space": "1 1",
				}[asked] + "\n"
			}}
			bubble(t, d, func(t *testing.T, c *Client) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := ask(ctx, c); err != nil || d.count("2 "+verb) != 1 {
					t.Errorf("%v; asked: %q", err, d.asked)
				}
			})
		})
	}
}

// TestAnswerThatTakesLong: what is still being done is not asked for again.
func TestAnswerThatTakesLong(t *testing.T) {
	d := &deaf{}
	d.answer = func(_ int, id, asked string, words []string) string {
		switch {
		case asked == "still" && d.count("still") < 20:
			return id + " ok 0 yes\n"
		case asked == "still":
			return words[0] + " ok 0\n" + id + " ok 0 no\n"
		}
		return ""
	}
	bubble(t, d, func(t *testing.T, c *Client) {
		if err := c.RemoveDir(t.Context(), "/x/y"); err != nil || d.count("rmdir") != 1 {
			t.Errorf("%v; asked: %q", err, d.asked)
		}
	})
}

// TestAnswerThatNobodyGives ends with an error of its own, soon.
func TestAnswerThatNobodyGives(t *testing.T) {
	d := &deaf{answer: func(int, string, string, []string) string { return "" }}
	bubble(t, d, func(t *testing.T, c *Client) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if _, err := c.Start(ctx, step("r1", "s", "/x")); !errors.Is(err, ErrUnanswered) || d.count("start") != answerTries {
			t.Errorf("%v; asked: %q", err, d.asked)
		}
	})
}

// TestWaitWhoseEndNobodyTells: the step's end is known from its status although
// every wait for it keeps silent.
//
//fault:lost-wait what waits for a script's end is stuck or killed, then the script ends | the end is seen within a minute, not after script_timeout
func TestWaitWhoseEndNobodyTells(t *testing.T) {
	d := &deaf{answer: func(_ int, id, asked string, _ []string) string {
		switch asked {
		case "still":
			return id + " ok 0 yes\n"
		case "status":
			return id + " ok 0 ended 3 - 1.0 2.0 client\n"
		}
		return ""
	}}
	bubble(t, d, func(t *testing.T, c *Client) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		st, err := c.Wait(ctx, StepRef{Run: "r1", ID: "s"}, nil)
		if err != nil || st.Outcome.Code != 3 {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// TestSessionThatStopsGreeting: a session that replaces a lost one and says
// nothing is replaced too.
func TestSessionThatStopsGreeting(t *testing.T) {
	d := &deaf{hello: func(n int) bool { return n != 2 }}
	d.answer = func(n int, id, _ string, _ []string) string {
		if n == 1 {
			return ""
		}
		return id + " ok 0\n"
	}
	bubble(t, d, func(t *testing.T, c *Client) {
		if _, err := c.Tools(t.Context()); err != nil || d.sessions != 3 {
			t.Errorf("%v, %d sessions", err, d.sessions)
		}
	})
}
