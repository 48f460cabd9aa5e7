package access

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"lockstep"
)

// Busy is the cause of a refusal to look at a credential at all, because too
// many wrong ones came from there.
type Busy struct{ After time.Duration }

// Error says how long to wait.
func (b *Busy) Error() string {
	return fmt.Sprintf("too many failed attempts; wait %s", b.After.Round(time.Second))
}

const (
	// freeFailures are not slowed down at all; each further one doubles the
	// wait, from a second to maxWait.
	freeFailures = 5
	maxWait      = 15 * time.Minute
	// forgetAfter is how long after the last failure they are forgotten, and
	// how long an address is known after a success.
	forgetAfter = time.Hour
	knownFor    = 24 * time.Hour
	// maxWatched bounds what is remembered.
	maxWatched = 20_000
)

// Throttle slows down whoever shows wrong credentials, by address and by
// account. Who has shown a good credential for an account is not kept out of
// it, from that address, by what others do: nobody locks somebody else out.
type Throttle struct {
	now func() time.Time

	mu    sync.Mutex
	fails map[string]*failures
	known map[string]time.Time // account and address, and until when
}

type failures struct {
	n     int
	last  time.Time
	until time.Time
}

// NewThrottle makes a Throttle; now is the clock, nil is time.Now.
func NewThrottle(now func() time.Time) *Throttle {
	if now == nil {
		now = time.Now
	}
	return &Throttle{now: now, fails: map[string]*failures{}, known: map[string]time.Time{}}
}

// Ask reports whether a credential for that account ("" if none is named),
// from that address, may be looked at now. The error is of KindUnavailable,
// with a *Busy.
func (t *Throttle) Ask(addr, account string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	keys := []string{addressKeyOf(addr)}
	if account != "" {
		if until, ok := t.known[knownKey(addr, account)]; ok && now.Before(until) {
			keys = []string{knownKey(addr, account)} // its own failures count
		} else {
			keys = append(keys, "account "+account)
		}
	}
	var wait time.Duration
	for _, key := range keys {
		if f := t.fails[key]; f != nil {
			wait = max(wait, f.until.Sub(now))
		}
	}
	if wait <= 0 {
		return nil
	}
	return &lockstep.Error{Kind: lockstep.KindUnavailable, Op: "log in", Err: &Busy{wait}, Hint: "a good credential works again after that"}
}

// Failed notes a credential that was not good.
func (t *Throttle) Failed(addr, account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := []string{addressKeyOf(addr)}
	if account != "" {
		keys = append(keys, "account "+account, knownKey(addr, account))
	}
	for _, key := range keys {
		t.failed(key)
	}
}

func (t *Throttle) failed(key string) {
	now := t.now()
	f := t.fails[key]
	if f == nil || now.Sub(f.last) > forgetAfter {
		t.makeRoom(now)
		f = &failures{}
		t.fails[key] = f
	}
	f.n++
	f.last = now
	if over := f.n - freeFailures; over > 0 {
		f.until = now.Add(min(maxWait, time.Second<<min(over-1, 20)))
	}
}

// Succeeded notes a good credential.
func (t *Throttle) Succeeded(addr, account string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	key := knownKey(addr, account)
	delete(t.fails, key)
	if len(t.known) >= maxWatched {
		for k, until := range t.known {
			if now.After(until) {
				delete(t.known, k)
			}
		}
		if len(t.known) >= maxWatched {
			clear(t.known) // they are known again when they come again
		}
	}
	t.known[key] = now.Add(knownFor)
}

// makeRoom forgets what is old, and where that is not enough, whatever is least
// in the way: those that wait for nothing.
func (t *Throttle) makeRoom(now time.Time) {
	if len(t.fails) < maxWatched {
		return
	}
	for key, f := range t.fails {
		if now.Sub(f.last) > forgetAfter || !f.until.After(now) {
			delete(t.fails, key)
		}
	}
	if len(t.fails) >= maxWatched {
		clear(t.fails)
	}
}

func knownKey(addr, account string) string { return "known " + account + " " + addressKeyOf(addr) }

// addressKeyOf is one key for all addresses that one host may have: a /64 of
// IPv6.
func addressKeyOf(addr string) string {
	a, err := netip.ParseAddr(addr)
	if err != nil {
		return addr
	}
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64)
	return p.String()
}
