package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lockstep"
	"lockstep/launcher"
)

// A contest is one round in which a run claims all its instances at once while
// another run may do the same. The older run wins: ids of runs sort by the time
// of their runs, and every orchestrator sees both ids.
//
// Whoever meets an older run, or one that is at work already, gives back at once
// what it has. Whoever meets a younger one that has not begun to work waits a
// little, for that one gives way. So at most one waits for another, nobody waits
// in a circle, and of runs that begin together one always gets all it needs: if
// the older one owns any instance that both need, the younger one meets it there;
// if it owns none, the younger one has them all and works.
type contest struct {
	r     *running
	s     *session
	until time.Time // when whoever was to give way should have

	mu   sync.Mutex
	mine map[lockstep.InstanceID]*launcher.Client
	// rivals are the claims that were in the way for good, by instance; with
	// the first one the round is lost.
	rivals map[lockstep.InstanceID]*launcher.ClaimedError
	giving sync.WaitGroup
}

const (
	// givesWay is how long a younger run has to notice that it must give way.
	givesWay = time.Minute
	// askPause and awaitPause are how long to wait before an instance is asked
	// again whose owner gives way, or works.
	askPause   = 100 * time.Millisecond
	awaitPause = 2 * time.Second
)

func newContest(r *running, s *session) *contest {
	return &contest{
		r: r, s: s, until: time.Now().Add(givesWay),
		mine: map[lockstep.InstanceID]*launcher.Client{}, rivals: map[lockstep.InstanceID]*launcher.ClaimedError{},
	}
}

// claimAll claims every instance, all at once. If another run keeps it from one
// of them, nothing is left claimed.
func (c *contest) claimAll(ctx context.Context) error {
	errs := make([]error, len(c.s.resolved.Instances))
	_ = c.s.each(func(i int, id lockstep.InstanceID, l *launcher.Client) error {
		errs[i] = c.claimOne(ctx, id, l)
		return nil
	})
	c.giving.Wait()
	return joinClaims(c.s, errs)
}

// lost reports whether another run was in the way. It is asked after claimAll.
func (c *contest) lost() bool { return len(c.rivals) > 0 }

func (c *contest) claimOne(ctx context.Context, id lockstep.InstanceID, l *launcher.Client) error {
	for {
		err := c.r.claimOne(ctx, c.s, id, l)
		var taken *launcher.ClaimedError
		switch {
		case err == nil || lockstep.KindOf(err) == lockstep.KindHeld:
			c.took(ctx, id, l)
			return err
		case !errors.As(err, &taken) || taken.Why == "stale":
			return err
		case !c.mayGiveWay(taken):
			c.lose(ctx, id, taken)
			return err
		}
		if c.gaveUp() {
			return nil // whoever is in the way elsewhere is told of
		}
		if pause(ctx, askPause) != nil {
			return err
		}
	}
}

// mayGiveWay reports whether the owner, a younger run that does not work yet,
// is to give way to this one, and still has time to.
func (c *contest) mayGiveWay(taken *launcher.ClaimedError) bool {
	return taken.Why == "session" && taken.Holder.Run > string(c.r.run.ID) && time.Now().Before(c.until)
}

func (c *contest) gaveUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.rivals) > 0
}

// took notes a claim, or gives it back at once if the round is lost.
func (c *contest) took(ctx context.Context, id lockstep.InstanceID, l *launcher.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mine[id] = l
	if len(c.rivals) > 0 {
		c.giveBack(ctx)
	}
}

// lose ends the round: whoever is in the way must find free what this run has.
func (c *contest) lose(ctx context.Context, id lockstep.InstanceID, taken *launcher.ClaimedError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rivals[id] = taken
	c.giveBack(ctx)
}

// giveBack gives back all that is claimed by now, without waiting for it. It is
// called with mu held.
func (c *contest) giveBack(ctx context.Context) {
	for id, l := range c.mine {
		delete(c.mine, id)
		c.giving.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
			defer cancel()
			_ = l.Release(ctx, launcher.ReleaseBack) // else it is displaced when this session is gone
			c.s.mu.Lock()
			delete(c.s.claimed, id)
			c.s.mu.Unlock()
		})
	}
}

// await waits until one instance that another run has, the first in the order
// of their names, can be had: it claims that and leaves the others alone.
func (c *contest) await(ctx context.Context) error {
	id := slices.MinFunc(names(c.rivals), func(a, b lockstep.InstanceID) int { return cmp.Compare(a, b) })
	told := ""
	for {
		var taken *launcher.ClaimedError
		err := c.r.claimOne(ctx, c.s, id, c.s.clients[id])
		if !errors.As(err, &taken) {
			return err
		}
		if by := taken.Holder.Run; by != told {
			told = by
			if err := c.r.note(ctx, lockstep.Noted{Level: "info", Instance: id, Message: fmt.Sprintf(
				"waits for run %s of %s, which is at work on %s", by, taken.Holder.Owner, id)}); err != nil {
				return err
			}
		}
		if err := pause(ctx, awaitPause); err != nil {
			return err
		}
	}
}

func names(rivals map[lockstep.InstanceID]*launcher.ClaimedError) []lockstep.InstanceID {
	var ids []lockstep.InstanceID
	for id := range rivals {
		ids = append(ids, id)
	}
	return ids
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
