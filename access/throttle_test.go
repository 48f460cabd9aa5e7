package access

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	c := newClock()
	th := NewThrottle(c.now)
	busy := func(addr, account string) time.Duration {
		var b *Busy
		if errors.As(th.Ask(addr, account), &b) {
			return b.After
		}
		return 0
	}
	th.Succeeded("10.0.0.2", "a")
	for range freeFailures {
		th.Failed("10.0.0.1", "a")
	}
	if busy("10.0.0.1", "a") > 0 {
		t.Error("the first failures are slowed down")
	}
	for _, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
		th.Failed("10.0.0.1", "a")
		if got := busy("10.0.0.1", "b"); got != want {
			t.Errorf("its address waits %s, want %s", got, want)
		}
		if got := busy("10.0.0.9", "a"); got != want {
			t.Errorf("its account waits %s from elsewhere, want %s", got, want)
		}
	}
	if busy("10.0.0.2", "a") > 0 || busy("10.0.0.9", "c") > 0 {
		t.Error("others are kept out, of an account that they are known for, or of another")
	}
	for range 100 {
		th.Failed("10.0.0.1", "a")
	}
	if got := busy("10.0.0.1", ""); got != maxWait {
		t.Errorf("at most it waits %s, want %s", got, maxWait)
	}
	c.forward(maxWait)
	if busy("10.0.0.1", "a") > 0 {
		t.Error("it waits for ever")
	}
	c.forward(2 * forgetAfter)
	th.Failed("10.0.0.1", "a")
	if busy("10.0.0.1", "a") > 0 {
		t.Error("old failures are not forgotten")
	}
	// One host has a whole /64 of IPv6.
	for i := range 10 {
		th.Failed(fmt.Sprintf("2001:db8::%x", i), "")
	}
	if busy("2001:db8::ffff", "") == 0 || busy("2001:db8:1::1", "") > 0 {
		t.Error("IPv6 addresses are not taken by their /64")
	}
	for i := range 3 * maxWatched {
		th.Failed(fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255), "")
		th.Succeeded("10.0.0.1", fmt.Sprint(i))
	}
	if len(th.fails) > maxWatched || len(th.known) > maxWatched {
		t.Errorf("it remembers %d and %d", len(th.fails), len(th.known))
	}
}
