//go:build pgtest

package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/pgtest"
	"lockstep/journal"
	"lockstep/journal/journaltest"
	"lockstep/journal/postgres"
)

// host opens the journal as another host does, which looks at its session so often.
func (p place) host(t *testing.T, beat time.Duration) *postgres.Journal {
	t.Helper()
	j, err := postgres.Open(context.Background(), postgres.Options{Database: pgtest.Parse(t, p.url), Heads: t.TempDir(), Beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func own(t *testing.T, j *postgres.Journal, who string) func() {
	t.Helper()
	release, err := j.Own(context.Background(), "key-a", who)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// cut ends the session that a journal owns with, as a network or an administrator does.
func (p place) cut(t *testing.T, j *postgres.Journal) {
	t.Helper()
	pgtest.Exec(t, p.url, `SELECT pg_terminate_backend($1, 5000)`, int32(j.Session()))
}

const never = time.Hour

// TestOwnerKilled: the session of an owner is cut; the next one owns at once, and what
// the first one still appends is refused, also before the next one has appended.
//
//fault:pg-owner the session of a driver is cut, and it goes on | another one takes over at once, and what the first one still writes is refused
func TestOwnerKilled(t *testing.T) {
	t.Parallel()
	p, ctx := newPlace(t), context.Background()
	old, next := p.host(t, never), p.host(t, never)
	release := own(t, old, "the old")
	st := journaltest.NewStory("run-a", "key-a")
	if err := old.Append(ctx, st.Begun(lockstep.OperationBackup, 2)...); err != nil {
		t.Fatal(err)
	}
	if _, err := next.Own(ctx, "key-a", "the next"); !errors.Is(err, journal.ErrOwned) {
		t.Fatalf("while the first one lives: %v, want ErrOwned", err)
	}
	p.cut(t, old)
	if by, err := next.Owner(ctx, "key-a"); err != nil || by != "" {
		t.Errorf("the owner is %q, %v", by, err)
	}
	own(t, next, "the next")
	late := st.Started(lockstep.StageLock)
	if err := old.Append(ctx, late...); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("a late append: %v, want ErrConflict", err)
	}
	if held, err := next.Held(ctx, ""); err != nil || len(held) != 0 {
		t.Errorf("held are %v, %v", held, err)
	}
	st.Seq, st.Term = 2, 2
	if err := next.Append(ctx, st.Event(lockstep.RunRecovering{Owner: "the next"})); err != nil {
		t.Errorf("the next one: %v", err)
	}
	release() // it is not theirs any more
	if by, err := old.Owner(ctx, "key-a"); err != nil || by != "the next" {
		t.Errorf("the owner is %q, %v", by, err)
	}
}

// TestSessionIsTakenAgain: an owner whose session alone was lost stays the owner, as
// long as nobody else was.
func TestSessionIsTakenAgain(t *testing.T) {
	t.Parallel()
	p, ctx := newPlace(t), context.Background()
	j, other := p.host(t, 20*time.Millisecond), p.host(t, never)
	own(t, j, "it")
	was := j.Session()
	p.cut(t, j)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		by, err := other.Owner(ctx, "key-a")
		if err != nil {
			t.Fatal(err)
		}
		if by == "it" && j.Session() != was {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not own the key again")
		}
	}
	st := journaltest.NewStory("run-a", "key-a")
	if err := j.Append(ctx, st.Begun(lockstep.OperationBackup, 1)...); err != nil {
		t.Error(err)
	}
	if _, err := other.Own(ctx, "key-a", "other"); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("got %v, want ErrOwned", err)
	}
}

// TestSessionIsTakenAgainLater: the server may not know yet that a session is gone, and
// hold its lock, when its owner has made another one. The owner asks again.
//
//fault:pg-owner the session of a driver is cut, and the server takes its lock back late | it stays the owner
func TestSessionIsTakenAgainLater(t *testing.T) {
	t.Parallel()
	p, ctx := newPlace(t), context.Background()
	j, other := p.host(t, 20*time.Millisecond), p.host(t, never)
	own(t, j, "it")
	was := j.Session()
	ghost := pgtest.WaitForLock(t, p.url, `SELECT pg_advisory_lock(lock) FROM journal_owners WHERE key = 'key-a'`)
	p.cut(t, j)
	for deadline := time.Now().Add(20 * time.Second); j.Session() == was || j.Session() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it has no session again")
		}
	}
	time.Sleep(100 * time.Millisecond) // some beats, in vain
	ghost()
	time.Sleep(500 * time.Millisecond) // as long as the lock is the other session's it looks owned
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if by, err := other.Owner(ctx, "key-a"); err == nil && by == "it" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not own the key again")
		}
	}
	if _, err := other.Own(ctx, "key-a", "other"); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("got %v, want ErrOwned", err)
	}
}

// TestReplacedOwnerStaysOut: an owner that was cut off and replaced is not the owner
// again when the one after it has ended, and its appends stay refused.
func TestReplacedOwnerStaysOut(t *testing.T) {
	t.Parallel()
	p, ctx := newPlace(t), context.Background()
	old, next := p.host(t, never), p.host(t, never)
	own(t, old, "the old")
	st := journaltest.NewStory("run-a", "key-a")
	if err := old.Append(ctx, st.Begun(lockstep.OperationBackup, 1)...); err != nil {
		t.Fatal(err)
	}
	p.cut(t, old)
	own(t, next, "the next")() // and lets it go
	if _, err := old.Own(ctx, "key-b", "the old"); err != nil {
		t.Fatal(err) // its session is made again
	}
	if by, err := next.Owner(ctx, "key-a"); err != nil || by != "" {
		t.Errorf("the owner is %q, %v", by, err)
	}
	if err := old.Append(ctx, st.Started(lockstep.StageLock)...); !errors.Is(err, journal.ErrConflict) {
		t.Errorf("a late append: %v, want ErrConflict", err)
	}
}
