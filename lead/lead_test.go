package lead

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/mem"
)

const key lockstep.DeploymentKey = "lockstep serve"

// workEnds is how long what works takes to end: longer than a follower waits.
const workEnds = DefaultEvery + time.Second

// fleet counts who works, and complains where two do.
type fleet struct {
	t  *testing.T
	mu sync.Mutex
	// working is who does; begun how often each has begun.
	working string
	begun   map[string]int
}

func newFleet(t *testing.T) *fleet { return &fleet{t: t, begun: map[string]int{}} }

func (f *fleet) now() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.working
}

// times is how often that server has begun to work.
func (f *fleet) times(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun[name]
}

func (f *fleet) is(name string) {
	f.t.Helper()
	synctest.Wait()
	if f.now() != name {
		f.t.Errorf("%q works, want %q", f.now(), name)
	}
}

// work is what a server of that name does as the leader.
func (f *fleet) work(name string) func(context.Context) {
	return func(ctx context.Context) {
		f.mu.Lock()
		if f.working != "" {
			f.t.Errorf("%s works beside %s", name, f.working)
		}
		f.working = name
		f.begun[name]++
		f.mu.Unlock()
		<-ctx.Done()
		time.Sleep(workEnds)
		f.mu.Lock()
		f.working = ""
		f.mu.Unlock()
	}
}

// start makes a server and has it lead or follow, until stop is called.
func (f *fleet) start(j Owners, name string) (l *Lead, stop func()) {
	l = New(Config{Journal: j, Key: key, Owner: name, Shared: true, Work: f.work(name), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := l.Try(f.t.Context()); err != nil && !errors.Is(err, journal.ErrOwned) {
		f.t.Error(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); l.Run(ctx) }()
	return l, func() { end(); <-done }
}

// TestTheOthersFollow: one works; when it stops, another one does within Every, and not
// before the first one's work has ended.
func TestTheOthersFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, j := newFleet(t), mem.New()
		a, stopA := f.start(j, "a")
		b, stopB := f.start(j.Again(), "b")
		time.Sleep(time.Minute)
		f.is("a")
		if got := a.Leading(); got.Word() != "leader" || got.Leader != "a" {
			t.Errorf("a says %+v", got)
		}
		if got := b.Leading(); got.Word() != "follower" || got.Leader != "a" {
			t.Errorf("b says %+v", got)
		}
		stopA()
		time.Sleep(DefaultEvery)
		f.is("b")
		if got := b.Leading(); got.Word() != "leader" {
			t.Errorf("then b says %+v", got)
		}
		stopB()
		f.is("")
		if owner, err := j.Owner(t.Context(), key); owner != "" || err != nil {
			t.Errorf("after all %q owns the key, %v", owner, err)
		}
	})
}

// TestTheDeadAreFollowed: the leader's process is killed, and its journal with it.
func TestTheDeadAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, j := newFleet(t), mem.New()
		killed := j.Again()
		dead := New(Config{Journal: killed, Key: key, Owner: "dead", Shared: true})
		if err := dead.Try(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, stop := f.start(j, "b")
		time.Sleep(time.Minute)
		f.is("")
		_ = killed.Close()
		time.Sleep(DefaultEvery)
		f.is("b")
		stop()
	})
}

// cutOff is a journal that can be cut off, and whose key another one then takes.
type cutOff struct {
	Owners
	mu    sync.Mutex
	owner string
	err   error
}

func (c *cutOff) set(owner string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner, c.err = owner, err
}

func (c *cutOff) Owner(ctx context.Context, key lockstep.DeploymentKey) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner != "" || c.err != nil {
		return c.owner, c.err
	}
	return c.Owners.Owner(ctx, key)
}

// TestWhoWasCutOffStops: a leader goes on while its database does not answer, and stops
// as soon as it says that another one leads.
func TestWhoWasCutOffStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, j := newFleet(t), &cutOff{Owners: mem.New()}
		l, stop := f.start(j, "a")
		j.set("", errors.New("no route to host"))
		time.Sleep(time.Minute)
		f.is("a")
		j.set("b", nil)
		time.Sleep(DefaultEvery + workEnds + time.Second)
		f.is("")
		if got := l.Leading(); got.Leads || got.Leader != "b" {
			t.Errorf("it says %+v", got)
		}
		stop()
	})
}

// TestWhoYieldsIsFollowedAtOnce: whoever is about to stop lets others lead, and tells
// what there is to tell where there are none.
func TestWhoYieldsIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, j := newFleet(t), mem.New()
		a, stopA := f.start(j, "a")
		_, stopB := f.start(j.Again(), "b")
		synctest.Wait()
		a.Yield()
		time.Sleep(workEnds + DefaultEvery)
		f.is("b")
		time.Sleep(time.Minute)
		f.is("b")
		stopB()
		before := f.times("a")
		time.Sleep(time.Minute)
		if again := f.times("a") - before; again < 3 || again > 6 {
			t.Errorf("alone it worked %d times in a minute", again)
		}
		_, stopC := f.start(j.Again(), "c")
		time.Sleep(turn + workEnds + DefaultEvery)
		f.is("c")
		stopA()
		stopC()
	})
}

// TestWhoIsAloneDoesNotYield: with a state folder there is nobody else.
func TestWhoIsAloneDoesNotYield(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		l := New(Config{Journal: mem.New(), Key: key, Owner: "a", Work: f.work("a")})
		if err := l.Try(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); l.Run(ctx) }()
		synctest.Wait()
		l.Yield()
		time.Sleep(time.Minute)
		f.is("a")
		if got := l.Leading(); got.Word() != "" || !got.Leads {
			t.Errorf("it says %+v", got)
		}
		end()
		<-done
	})
}
