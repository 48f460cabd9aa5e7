//go:build pgtest

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/pgtest"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/postgres"
)

// writer appends to one run until it is stopped, and counts what was acknowledged.
type writer struct {
	story *journaltest.Story
	acked atomic.Int64
	stop  chan struct{}
	done  chan error
}

func startWriter(t *testing.T, j journal.Journal, run lockstep.RunID) *writer {
	t.Helper()
	w := &writer{story: journaltest.NewStory(run, "key-a"), stop: make(chan struct{}), done: make(chan error, 1)}
	first := w.story.Begun(lockstep.OperationBackup, 2)
	if err := j.Append(context.Background(), first...); err != nil {
		t.Fatal(err)
	}
	w.acked.Store(int64(len(first)))
	go func() {
		for {
			select {
			case <-w.stop:
				w.done <- nil
				return
			default:
			}
			e := w.story.Event(lockstep.Noted{Level: "info", Message: fmt.Sprint("note ", w.story.Seq)})
			if err := j.Append(context.Background(), e); err != nil {
				w.done <- err
				return
			}
			w.acked.Add(1)
		}
	}()
	return w
}

// more waits until so many more events were acknowledged.
func (w *writer) more(t *testing.T, n int64) {
	t.Helper()
	want := w.acked.Load() + n
	for deadline := time.Now().Add(time.Minute); w.acked.Load() < want; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-w.done:
			t.Fatalf("an append failed: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d events are acknowledged, want %d", w.acked.Load(), want)
		}
	}
}

// ended stops the writer, and looks for all that it was acknowledged.
func (w *writer) ended(t *testing.T, j journal.Journal) {
	t.Helper()
	close(w.stop)
	if err := <-w.done; err != nil {
		t.Fatalf("an append failed: %v", err)
	}
	events, err := j.Events(context.Background(), w.story.Run, 0)
	if err != nil || int64(len(events)) != w.acked.Load() {
		t.Errorf("%d events are there, %v; %d were acknowledged", len(events), err, w.acked.Load())
	}
}

func open(t *testing.T, url string, heads string) *postgres.Journal {
	t.Helper()
	j, err := postgres.Open(context.Background(), postgres.Options{
		Database: pgtest.Parse(t, url), Heads: heads, Beat: 50 * time.Millisecond, Patience: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// TestServerKilled: the server is killed in the middle of appends, again and again, and
// started again: appends wait for it, nothing that was acknowledged is lost, nothing
// is there twice, and the driver is the driver still.
//
//fault:pg-killed the PostgreSQL server is killed and started again while runs are driven | appends wait up to 10 seconds for it; nothing acknowledged is lost, and the driver goes on
func TestServerKilled(t *testing.T) {
	c, heads := pgtest.NewCluster(t), t.TempDir()
	j := open(t, c.URL("postgres"), heads)
	if _, err := j.Own(context.Background(), "key-a", "the driver"); err != nil {
		t.Fatal(err)
	}
	w := startWriter(t, j, "run-a")
	for range 5 {
		w.more(t, 20)
		c.Kill()
		c.Start()
	}
	w.more(t, 20)
	w.ended(t, j)
	if _, err := open(t, c.URL("postgres"), t.TempDir()).Own(context.Background(), "key-a", "another"); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("got %v, want ErrOwned", err)
	}
	if lost, err := open(t, c.URL("postgres"), heads).Lost(context.Background(), ""); err != nil || len(lost) != 0 {
		t.Errorf("lost is %v, %v", lost, err)
	}
}

// TestServerAway: an append does not wait for ever for a server that stays away, and
// what it says can be acted on.
//
//fault:pg-away the PostgreSQL server stays away | an append fails after 10 seconds, says that the server does not answer, and how to unlock without it
func TestServerAway(t *testing.T) {
	c := pgtest.NewCluster(t)
	j, err := postgres.Open(context.Background(), postgres.Options{Database: pgtest.Parse(t, c.URL("postgres")), Heads: t.TempDir(), Patience: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	c.Kill()
	err = j.Append(context.Background(), journaltest.NewStory("run-a", "key-a").Begun(lockstep.OperationBackup, 1)...)
	if lockstep.KindOf(err) != lockstep.KindUnavailable || lockstep.HintOf(err) == "" {
		t.Errorf("%v, hint %q", err, lockstep.HintOf(err))
	}
}

// TestFailOver: the primary dies for ever, and its synchronous standby takes over.
// Nothing that was acknowledged is lost, and the driver goes on with the new primary.
//
//fault:pg-failover the primary is killed, and its synchronous standby is promoted | appends wait for it; nothing acknowledged is lost
func TestFailOver(t *testing.T) {
	primary := pgtest.NewCluster(t)
	standby := pgtest.NewStandby(t, primary, "second")
	pgtest.Exec(t, primary.URL("postgres"), `ALTER SYSTEM SET synchronous_standby_names = 'second'`)
	pgtest.Exec(t, primary.URL("postgres"), `SELECT pg_reload_conf()`)
	both := fmt.Sprintf("postgres://postgres@/postgres?host=%s,%s&port=5432,5432&target_session_attrs=read-write", primary.Dir, standby.Dir)
	heads := t.TempDir()
	j := open(t, both, heads)
	if !j.Standby() {
		t.Error("no synchronous standby is said to be there")
	}
	if _, err := j.Own(context.Background(), "key-a", "the driver"); err != nil {
		t.Fatal(err)
	}
	w := startWriter(t, j, "run-a")
	w.more(t, 50)
	primary.Kill()
	standby.Promote()
	pgtest.Exec(t, standby.URL("postgres"), `ALTER SYSTEM RESET synchronous_standby_names`) // there is none behind it
	pgtest.Exec(t, standby.URL("postgres"), `SELECT pg_reload_conf()`)
	w.more(t, 50)
	w.ended(t, j)
	if lost, err := open(t, both, heads).Lost(context.Background(), ""); err != nil || len(lost) != 0 {
		t.Errorf("lost is %v, %v", lost, err)
	}
	// The standby itself is refused where it alone is named.
	follower := pgtest.NewStandby(t, standby, "third")
	_, err := postgres.Open(context.Background(), postgres.Options{Database: pgtest.Parse(t, follower.URL("postgres")), Heads: t.TempDir()})
	if lockstep.KindOf(err) != lockstep.KindRefused || lockstep.HintOf(err) == "" {
		t.Errorf("a standby: %v", err)
	}
}

// TestFailOverThatLost: a standby that was not synchronous takes over without the end of
// the journal; what was acknowledged to this host and is gone is told.
//
//fault:pg-lost a fail-over to a standby that was behind loses events | the host that was told of them says which run has lost how many
func TestFailOverThatLost(t *testing.T) {
	primary := pgtest.NewCluster(t)
	heads := t.TempDir()
	j := open(t, primary.URL("postgres"), heads)
	st := journaltest.NewStory("run-a", "key-a")
	if err := j.Append(context.Background(), st.Begun(lockstep.OperationBackup, 2)...); err != nil {
		t.Fatal(err)
	}
	standby := pgtest.NewStandby(t, primary, "second")
	standby.Kill()
	if err := j.Append(context.Background(), st.Started(lockstep.StageLock)...); err != nil {
		t.Fatal(err)
	}
	_ = j.Close()
	primary.Kill()
	standby.Start()
	standby.Promote()
	lost, err := open(t, standby.URL("postgres"), heads).Lost(context.Background(), "run-a")
	if err != nil || len(lost) != 1 || lost[0].Key != "key-a" {
		t.Errorf("lost is %+v, %v", lost, err)
	}
}
