package launcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep/target"
)

// lendWithin bounds the lending of the helper: over a link that is as slow as that,
// there is nothing to win.
const lendWithin = 30 * time.Second

// ErrUnlent: the instance has no helper; errors.Is finds it in those of Lend.
var ErrUnlent = errors.New("the instance has no helper")

// ErrHelperKilled: somebody killed the helper, as a kernel does that has no memory left.
// The client has none then. What was to be done may be tried again, and goes by the shell.
var ErrHelperKilled = errors.New("the helper was killed")

// exitKilled is how a shell tells of a program that SIGKILL ended.
const exitKilled = 128 + 9

// lending is what a client knows of the helper on its instance.
type lending struct {
	asking sync.Mutex // held while it is lent

	mu     sync.Mutex
	digest string // "" while it has none
	why    error  // not nil: none will be lent any more
}

// Lent reports whether Pack, Inventory and Place are done by the helper.
func (c *Client) Lent() bool { return c.lending.has() != "" }

func (l *lending) has() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.digest
}

// lost notes that the helper is not there, or does not do.
func (l *lending) lost(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.digest, l.why = "", why
}

func (l *lending) known() (lent bool, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.digest != "", l.why
}

// Lend lends the instance a helper, if it has none of this client's yet: a program that
// reads a folder in one pass, which lies in the run folder until the run lets go. It is
// for the run that has claimed the instance. first is whether this call has brought
// it about, or found out that it cannot be. An error means that the shell does all, as
// without it; one that has to do with the instance is the same at every call.
func (c *Client) Lend(ctx context.Context) (first bool, err error) {
	c.lending.asking.Lock()
	defer c.lending.asking.Unlock()
	if lent, why := c.lending.known(); lent || why != nil {
		return false, why
	}
	within, cancel := context.WithTimeout(ctx, lendWithin)
	defer cancel()
	digest, err := c.lend(within)
	if ctx.Err() != nil || errors.Is(err, target.ErrLost) || errors.Is(err, target.ErrNotStarted) {
		return false, fmt.Errorf("%w: %w", ErrUnlent, err) // of the link, which may be better the next time
	}
	c.lending.mu.Lock()
	defer c.lending.mu.Unlock()
	c.lending.digest = digest
	if err != nil {
		c.lending.why = fmt.Errorf("%w: %w", ErrUnlent, err)
	}
	return true, c.lending.why
}

// lend gives the digest of the helper that is there then.
func (c *Client) lend(ctx context.Context) (string, error) {
	programs := c.cfg.Programs
	if len(programs) == 0 {
		return "", errors.New("there is none to lend")
	}
	f, _, err := c.do(ctx, "lend", strconv.Itoa(programs.largest()))
	if err != nil {
		return "", err
	}
	packed := programs[f.word(0)]
	if packed == nil {
		return "", fmt.Errorf("there is none for machines of the kind %.40q, only for %s", f.word(0), strings.Join(programs.Machines(), ", "))
	}
	digest, err := programDigest(packed)
	if err == nil {
		err = c.stream(ctx, "helper-in", target.Streams{Stdin: bytes.NewReader(packed)}, "="+digest)
	}
	if err != nil {
		return "", err
	}
	return digest, nil
}

// byHelper runs a verb of the helper. done is false where there is none any more, and
// nothing was said (ErrUnlent): then the shell may do it. One that was killed is not
// asked again (ErrHelperKilled).
func (c *Client) byHelper(ctx context.Context, to *helperOutput, run func(digest string) error) (done bool, err error) {
	digest := c.lending.has()
	if digest == "" {
		return false, ErrUnlent
	}
	err = run(digest)
	var end *ended
	switch {
	case errors.Is(err, ErrUnlent) && !to.began:
		c.lending.lost(err)
		return false, err
	case errors.Is(err, ErrUnlent):
		err = fmt.Errorf("the helper said something, and then that it is not there: %v", err) // is not ErrUnlent
		c.lending.lost(err)
		return true, err
	case errors.As(err, &end) && end.exit.Code == exitKilled:
		err = fmt.Errorf("%w: %w", ErrHelperKilled, err)
		c.lending.lost(err)
		return true, err
	}
	if err == nil || errors.Is(err, ErrTouched) {
		if bad := to.whole(); bad != nil {
			return true, bad
		}
	}
	return true, err
}
