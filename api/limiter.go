package api

import (
	"fmt"
	"sync"
	"time"
)

// limiter bounds how often one principal begins runs: a bucket of tokens that
// fills slowly.
type limiter struct {
	now     func() time.Time
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// A principal may begin startBurst runs at once, and one each startEvery.
const (
	startBurst = 60
	startEvery = time.Second
)

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, buckets: map[string]*bucket{}}
}

func (l *limiter) take(principal string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	b := l.buckets[principal]
	if b == nil {
		l.forgetFull(now)
		b = &bucket{tokens: startBurst, at: now}
		l.buckets[principal] = b
	}
	b.fill(now)
	if b.tokens < 1 {
		return TooMany(
			fmt.Sprintf("more than %d runs were asked for in a short time, and then more than one a second", startBurst),
			"wait a moment; what runs is not disturbed")
	}
	b.tokens--
	return nil
}

func (b *bucket) fill(now time.Time) {
	b.tokens = min(startBurst, b.tokens+now.Sub(b.at).Seconds()/startEvery.Seconds())
	b.at = now
}

// forgetFull drops the buckets that say nothing.
func (l *limiter) forgetFull(now time.Time) {
	for name, b := range l.buckets {
		if b.fill(now); b.tokens >= startBurst {
			delete(l.buckets, name)
		}
	}
}
