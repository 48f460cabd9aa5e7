package api

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter bounds how often one principal begins runs.
type limiter struct {
	now func() time.Time
	mu  sync.Mutex
	by  map[string]*rate.Limiter
}

// A principal may begin startBurst runs at once, and one each startEvery.
const (
	startBurst = 60
	startEvery = time.Second
)

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, by: map[string]*rate.Limiter{}}
}

func (l *limiter) take(principal string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	one := l.by[principal]
	if one == nil {
		l.forgetIdle(now)
		one = rate.NewLimiter(rate.Every(startEvery), startBurst)
		l.by[principal] = one
	}
	if one.AllowN(now, 1) {
		return nil
	}
	return TooMany(
		fmt.Sprintf("more than %d runs were asked for in a short time, and then more than one each %s", startBurst, startEvery),
		"wait a moment; what runs is not disturbed")
}

// forgetIdle drops those who may begin all at once again.
func (l *limiter) forgetIdle(now time.Time) {
	for name, one := range l.by {
		if one.TokensAt(now) >= startBurst {
			delete(l.by, name)
		}
	}
}
