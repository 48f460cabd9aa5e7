package executor

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/launcher"
	"lockstep/target"
	"lockstep/target/local"
)

// slowed answers late from the moment that it is told to.
type slowed struct {
	target.Target
	by atomic.Int64
}

func (s *slowed) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	streams.Stdout = lateWriter{streams.Stdout, &s.by}
	return s.Target.Run(ctx, command, streams)
}

type lateWriter struct {
	io.Writer
	by *atomic.Int64
}

func (w lateWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Duration(w.by.Load()))
	return w.Writer.Write(p)
}

// An instance that answers later than it is renewed keeps its lease all the same.
func TestALeaseOfASlowInstanceIsRenewed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *lockstep.Policy) { p.Lease, p.RenewEvery = 4*time.Second, 50*time.Millisecond })
	way := &slowed{Target: local.New(w.root)}
	c := launcher.New(way, launcher.Config{RunDir: "run", StateDir: "lib"})
	t.Cleanup(func() { c.Close() })
	if _, err := c.Claim(t.Context(), launcher.ClaimRequest{Key: "k", Owner: "test", Run: string(theRun), Term: 2}); err != nil {
		t.Fatal(err)
	}
	w.exec.cfg.Clients["db/0"] = c
	check := w.task(lockstep.StageCheck, nil)
	check.Armed = true
	if err := w.exec.leases.arm(t.Context(), c, check); err != nil {
		t.Fatal(err)
	}
	// It means something: an unlock would be owed.
	w.exec.leases.held["db/0"].owed = 1
	way.by.Store(int64(400 * time.Millisecond))
	stop := w.exec.KeepLeases(t.Context())
	time.Sleep(5 * time.Second)
	stop()
	if len(w.facts) != 0 {
		t.Errorf("%+v", w.facts)
	}
	way.by.Store(0)
	if state, err := c.Renew(t.Context(), time.Minute); err != nil || state != launcher.LeaseArmed {
		t.Errorf("the lease on the instance: %q, %v", state, err)
	}
}

func TestRenewalTimeout(t *testing.T) {
	for lease, want := range map[time.Duration]time.Duration{
		5 * time.Second: 2500 * time.Millisecond, 10 * time.Minute: 30 * time.Second,
	} {
		if is := renewalTimeout(lease); is != want {
			t.Errorf("of a lease of %s: %s, not %s", lease, is, want)
		}
	}
}
