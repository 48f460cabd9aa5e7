package statetest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep/state"
)

func same[T any](t *testing.T, what string, want, got T, err error) {
	t.Helper()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%s: %v (-want +got)\n%s", what, err, diff)
	}
}

func fails(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

func works(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func testTokens(t *testing.T, open Open) {
	ctx, dir := context.Background(), t.TempDir()
	s := reopen(t, open, dir)
	a := state.Token{ID: "a", Name: "ci", Hash: []byte{1}, Grants: []byte("[]"), CreatedBy: "local:root", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	b := a
	b.ID, b.CreatedAt = "b", now.Add(time.Second)
	works(t, "add", errors.Join(s.AddToken(ctx, a), s.AddToken(ctx, b)))
	fails(t, "add the same id", s.AddToken(ctx, a), state.ErrExists)
	works(t, "touch", errors.Join(s.TouchToken(ctx, "a", now.Add(2*time.Minute)), s.TouchToken(ctx, "a", now.Add(time.Minute)), s.TouchToken(ctx, "none", now)))
	works(t, "revoke", errors.Join(s.RevokeToken(ctx, "a", now.Add(time.Minute)), s.RevokeToken(ctx, "a", now.Add(time.Hour))))
	fails(t, "revoke none", s.RevokeToken(ctx, "none", now), state.ErrNotFound)
	a.UsedAt, a.RevokedAt = now.Add(2*time.Minute), now.Add(time.Minute)

	works(t, "close", s.Close())
	s = reopen(t, open, dir)
	got, err := s.Token(ctx, "a")
	same(t, "a token after opening again", a, got, err)
	_, err = s.Token(ctx, "none")
	fails(t, "find none", err, state.ErrNotFound)
	list, err := s.Tokens(ctx)
	same(t, "list", []state.Token{b, a}, list, err)
}

func testSessions(t *testing.T, open Open) {
	ctx := context.Background()
	s := fresh(t, open)
	x := state.Session{Hash: []byte("h1"), Principal: []byte("{}"), Token: "a", BegunAt: now, SeenAt: now, ExpiresAt: now.Add(12 * time.Hour)}
	idle, old := x, x
	idle.Hash, idle.SeenAt = []byte("h2"), now.Add(-time.Hour)
	old.Hash, old.ExpiresAt = []byte("h3"), now
	works(t, "add", errors.Join(s.AddSession(ctx, x), s.AddSession(ctx, idle), s.AddSession(ctx, old)))
	fails(t, "add the same hash", s.AddSession(ctx, x), state.ErrExists)
	works(t, "touch", errors.Join(s.TouchSession(ctx, x.Hash, now.Add(time.Minute)), s.TouchSession(ctx, []byte("none"), now)))
	x.SeenAt = now.Add(time.Minute)
	works(t, "sweep", s.SweepSessions(ctx, now.Add(-time.Minute), now))
	got, err := s.Session(ctx, x.Hash)
	same(t, "the one that lives", x, got, err)
	for _, gone := range []state.Session{idle, old} {
		_, err := s.Session(ctx, gone.Hash)
		fails(t, "one that was swept", err, state.ErrNotFound)
	}
	works(t, "end", errors.Join(s.EndSession(ctx, x.Hash), s.EndSession(ctx, x.Hash)))
	_, err = s.Session(ctx, x.Hash)
	fails(t, "one that was ended", err, state.ErrNotFound)
}

func testApprovals(t *testing.T, open Open) {
	ctx, dir := context.Background(), t.TempDir()
	s := reopen(t, open, dir)
	a := state.Approval{
		ID: "a", Deployment: "shop", Request: []byte("{}"), Plan: "sha256:1", PlanRun: "r0", Reason: "broken",
		AskedBy: []byte(`"ann"`), AskedAt: now, ExpiresAt: now.Add(time.Hour),
	}
	b, c := a, a
	b.ID, c.ID = "b", "c"
	works(t, "add", errors.Join(s.AddApproval(ctx, a), s.AddApproval(ctx, b), s.AddApproval(ctx, c)))
	fails(t, "add the same id", s.AddApproval(ctx, a), state.ErrExists)
	fails(t, "use an undecided one", s.UseApproval(ctx, "a", "r1", now), state.ErrNotFound)

	yes := state.Decision{Approved: true, By: []byte(`"bob"`), At: now.Add(time.Minute), ExpiresAt: now.Add(2 * time.Hour)}
	no := yes
	no.Approved = false
	works(t, "decide", errors.Join(s.DecideApproval(ctx, "a", yes), s.DecideApproval(ctx, "b", no)))
	fails(t, "decide again", s.DecideApproval(ctx, "b", yes), state.ErrExists)
	fails(t, "decide none", s.DecideApproval(ctx, "none", yes), state.ErrNotFound)
	fails(t, "use a denied one", s.UseApproval(ctx, "b", "r1", now), state.ErrNotFound)
	works(t, "use and release", errors.Join(s.UseApproval(ctx, "a", "r0", now), s.ReleaseApproval(ctx, "a", "r0"), s.ReleaseApproval(ctx, "none", "r0")))
	works(t, "use twice for one run", errors.Join(s.UseApproval(ctx, "a", "r1", now.Add(2*time.Minute)), s.UseApproval(ctx, "a", "r1", now.Add(3*time.Minute))))
	works(t, "release for another run", s.ReleaseApproval(ctx, "a", "r2"))
	fails(t, "use for another run", s.UseApproval(ctx, "a", "r2", now), state.ErrExists)

	a.Approved, a.DecidedBy, a.DecidedAt, a.ExpiresAt, a.Run, a.UsedAt = true, yes.By, yes.At, yes.ExpiresAt, "r1", now.Add(2*time.Minute)
	works(t, "close", s.Close())
	s = reopen(t, open, dir)
	got, err := s.Approval(ctx, "a")
	same(t, "one after opening again", a, got, err)
	b.DecidedBy, b.DecidedAt, b.ExpiresAt = no.By, no.At, no.ExpiresAt
	page, err := s.Approvals(ctx, "", 2)
	same(t, "the first page", []state.Approval{c, b}, page, err)
	page, err = s.Approvals(ctx, "b", 2)
	same(t, "the next page", []state.Approval{a}, page, err)
}

// Of many that decide or use at once, one does.
func testApprovalsAreSingle(t *testing.T, open Open) {
	ctx := context.Background()
	s := fresh(t, open)
	works(t, "add", s.AddApproval(ctx, state.Approval{ID: "a", Request: []byte("{}"), AskedBy: []byte("{}"), AskedAt: now}))
	decided := race(func(int) error {
		return s.DecideApproval(ctx, "a", state.Decision{Approved: true, By: []byte("{}"), At: now})
	})
	used := race(func(i int) error { return s.UseApproval(ctx, "a", string(rune('p'+i)), now) })
	if decided != 1 || used != 1 {
		t.Errorf("%d decided it and %d used it; want one each", decided, used)
	}
}

// race is how many of eight at once did it.
func race(do func(i int) error) int64 {
	var n atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if do(i) == nil {
				n.Add(1)
			}
		})
	}
	all.Wait()
	return n.Load()
}
