package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"lockstep"
)

// cycle is one story: a process dies, perhaps those that come to clean up after
// it die too, and the last one is let live. Then all is judged.
type cycle struct {
	*world
	*tally
	rand *rand.Rand

	told []string // what was done, for people
	acks []said
	// server: one of the processes was a server.
	server bool
}

// run runs it. A world in which something went wrong is not to be used again.
func (c *cycle) run() error {
	o, a := c.choose(c.rand, "")
	if o.dead {
		first := named([]string{"backup", "restore"}[c.rand.IntN(2)])
		if err := c.die(first, c.aimIn(c.rand, first)); err != nil {
			return err
		}
	}
	if o.two {
		if err := c.ready(o, c.patience); err != nil {
			return err
		}
	}
	if err := c.die(o, a); err != nil {
		return err
	}
	for n := 0; n < 2 && c.rand.IntN(3) == 0; n++ { // and again, and again
		next, a := c.choose(c.rand, "dead")
		if err := c.die(next, a); err != nil {
			return err
		}
	}
	return c.end()
}

// die does an operation until it is killed there. It may end before.
func (c *cycle) die(o operation, a aim) error {
	p, err := c.perform(o, a, "", c.patience)
	if err != nil {
		return err
	}
	c.told = append(c.told, fmt.Sprintf("%s, killed %s", o.name, a))
	c.acks = append(c.acks, p.acknowledged()...)
	c.server = c.server || o.server
	switch {
	case p.hung:
		c.hang(c.told, p)
		return fmt.Errorf("%s did not end within %s", o.name, c.patience)
	case p.killed():
		c.kill(a, len(c.told))
	default:
		c.told[len(c.told)-1] = fmt.Sprintf("%s, which ended before %s with exit %d", o.name, a, p.code())
	}
	return c.audited()
}

// end lets the last process live, and judges.
func (c *cycle) end() error {
	p, err := c.settle(c.server, c.patience)
	if p != nil {
		c.told = append(c.told, "and the last one lives")
		c.acks = append(c.acks, p.acknowledged()...)
		if p.hung {
			c.hang(c.told, p)
		}
	}
	if err != nil {
		return err
	}
	wrong, err := c.judge(c.acks, c.server)
	if err != nil {
		return err
	}
	// A try of an unlock that was journaled and died before it began counts as a
	// failed one, although the next did it: nothing is locked, as was judged.
	if code := p.code(); code&^lockstep.ExitUnlock != 0 && len(wrong) == 0 {
		wrong = append(wrong, fmt.Sprintf("the last one ended with exit %d", code))
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s\nthe last one said:\n%s", strings.Join(wrong, "\n"), tail(p.stderr.String(), 4000))
	}
	c.judged(len(c.acks))
	return c.audited()
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// moment is a random moment of something that takes that long.
func moment(r *rand.Rand, took time.Duration) time.Duration {
	return time.Millisecond + time.Duration(r.Int64N(int64(took)))
}
