package access

import (
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"lockstep"
)

// logins bounds how often one principal logs in: each login is kept for as long
// as its session may live, and is in the audit log for ever.
type logins struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

// A principal may log in loginBurst times at once, and once each loginEvery.
const (
	loginBurst = 30
	loginEvery = 10 * time.Second
)

func (l *logins) take(principal string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.by[principal]
	if one == nil {
		for name, other := range l.by { // who may log in as often as anybody new
			if other.TokensAt(now) >= loginBurst {
				delete(l.by, name)
			}
		}
		one = rate.NewLimiter(rate.Every(loginEvery), loginBurst)
		l.by[principal] = one
	}
	if one.AllowN(now, 1) {
		return nil
	}
	return &lockstep.Error{
		Kind: lockstep.KindUnavailable, Op: "log in", Err: errors.New("you have logged in too often in a short time"),
		Hint: "wait a moment; the sessions that you have go on, and the API takes the token itself",
	}
}
