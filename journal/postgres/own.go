package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep"
	"lockstep/internal/faultpoint"
	"lockstep/internal/pgdb"
	"lockstep/journal"
)

// owner is the session of the server with what this process owns. The server ends what
// is owned with the session; where the session alone was lost, the process takes it
// again, unless somebody else has been the owner meanwhile.
type owner struct {
	db   *pgdb.Database
	beat time.Duration

	session sync.Mutex // is held while conn and waiting are used
	conn    *pgx.Conn  // nil before anything is owned, and when it was lost
	// waiting are keys that are owned and that this session has not locked yet.
	waiting map[lockstep.DeploymentKey]bool

	mu     sync.Mutex // guards what follows
	owned  map[lockstep.DeploymentKey]ownership
	closed bool
	stop   chan struct{}
	beats  sync.WaitGroup
}

// ownership is one owned key.
type ownership struct {
	fence int64
	owner string
}

func newOwner(db *pgdb.Database, beat time.Duration) *owner {
	o := &owner{db: db, beat: beat, owned: map[lockstep.DeploymentKey]ownership{}, stop: make(chan struct{})}
	o.beats.Go(o.keep)
	return o
}

// lockOf is the advisory lock of a key.
func lockOf(key lockstep.DeploymentKey) int64 {
	sum := sha256.Sum256([]byte("lockstep " + key))
	return int64(binary.BigEndian.Uint64(sum[:8]))
}

// fence is what this process appends to runs of the key with; 0 if it does not own it.
func (o *owner) fence(key lockstep.DeploymentKey) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.owned[key].fence
}

// errTaken: another session holds the lock, or this one for somebody else here.
var errTaken = errors.New("taken")

// Own implements journal.Journal.
func (j *Journal) Own(ctx context.Context, key lockstep.DeploymentKey, who string) (func(), error) {
	op := fmt.Sprintf("own %s", key)
	if err := j.live(); err != nil {
		return nil, j.explain(op, err)
	}
	fence, err := j.owner.take(ctx, key, pgdb.Text(who))
	if errors.Is(err, errTaken) {
		by, _ := j.described(ctx, key)
		return nil, &lockstep.Error{
			Kind: lockstep.KindConflict, Op: op + " in " + j.db.Name, Err: fmt.Errorf("%w: %s", journal.ErrOwned, by),
			Hint: "see its runs with: lockstep runs list",
		}
	}
	if err != nil {
		return nil, j.explain(op, err)
	}
	faultpoint.Hit("journal.own.after")
	var once sync.Once
	return func() { once.Do(func() { j.owner.give(key, fence) }) }, nil
}

// described says who owns a key, and since when.
func (j *Journal) described(ctx context.Context, key lockstep.DeploymentKey) (string, error) {
	var by string
	var since time.Time
	err := j.pool.QueryRow(ctx, `SELECT owner, since FROM journal_owners WHERE key = $1 AND NOT released`, pgdb.Text(string(key))).Scan(&by, &since)
	if err != nil {
		return "another process", err
	}
	return fmt.Sprintf("%s, since %s", by, since.UTC().Format(time.RFC3339)), nil
}

// Owner implements journal.Journal.
func (j *Journal) Owner(ctx context.Context, key lockstep.DeploymentKey) (string, error) {
	op := fmt.Sprintf("look for the owner of %s", key)
	if err := j.live(); err != nil {
		return "", j.explain(op, err)
	}
	var by string
	err := j.pool.QueryRow(ctx, `SELECT owner FROM journal_owners WHERE key = $1 AND NOT released AND journal_held(lock)`, pgdb.Text(string(key))).Scan(&by)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", j.explain(op, err)
	}
	return by, nil
}

// take locks a key for this session, and raises its fence.
func (o *owner) take(ctx context.Context, key lockstep.DeploymentKey, who string) (fence int64, err error) {
	o.session.Lock()
	defer o.session.Unlock()
	if err := o.connect(ctx); err != nil {
		return 0, err
	}
	// A session that somebody cut is found here, and made once more.
	fence, err = o.lock(ctx, key, who)
	if err != nil && pgdb.Away(err) && ctx.Err() == nil {
		o.lose()
		if err := o.connect(ctx); err != nil {
			return 0, err
		}
		fence, err = o.lock(ctx, key, who)
	}
	if err != nil {
		return 0, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owned[key] = ownership{fence, who}
	return fence, nil
}

// lock is take in a session that there is.
func (o *owner) lock(ctx context.Context, key lockstep.DeploymentKey, who string) (fence int64, err error) {
	var got bool
	if err := o.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockOf(key)).Scan(&got); err != nil {
		return 0, err
	}
	if !got {
		return 0, errTaken
	}
	// A session has a lock as often as it asks for it: the row says whether this one
	// owns the key already.
	err = o.conn.QueryRow(ctx, `INSERT INTO journal_owners AS o (key, lock, fence, owner, session) VALUES ($1, $2, 1, $3, journal_session())
		ON CONFLICT (key) DO UPDATE SET fence = o.fence + 1, owner = excluded.owner, session = excluded.session, since = now(), released = false
		WHERE o.released OR o.session <> excluded.session RETURNING fence`, pgdb.Text(string(key)), lockOf(key), who).Scan(&fence)
	if err != nil {
		_, _ = o.conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, lockOf(key))
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, errTaken
	}
	return fence, err
}

// give lets a key go. Where the session is lost, so is the lock.
func (o *owner) give(key lockstep.DeploymentKey, fence int64) {
	o.session.Lock()
	defer o.session.Unlock()
	o.mu.Lock()
	mine := o.owned[key].fence == fence
	if mine {
		delete(o.owned, key)
	}
	o.mu.Unlock()
	if !mine || o.conn == nil {
		return
	}
	delete(o.waiting, key)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := o.conn.Exec(ctx, `UPDATE journal_owners SET released = true WHERE key = $1 AND fence = $2`, pgdb.Text(string(key)), fence)
	if err == nil {
		_, err = o.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, lockOf(key))
	}
	if err != nil {
		o.lose() // the lock goes with the session; what else it held is taken again
	}
}

// connect makes the session, if there is none, and takes what is owned again.
func (o *owner) connect(ctx context.Context) error {
	if o.conn == nil || o.conn.IsClosed() {
		conn, err := o.db.Connect(ctx)
		if err != nil {
			return err
		}
		o.conn, o.waiting = conn, map[lockstep.DeploymentKey]bool{}
		o.mu.Lock()
		for key := range o.owned {
			o.waiting[key] = true
		}
		o.mu.Unlock()
	}
	for key := range o.waiting {
		o.mu.Lock()
		own, owned := o.owned[key]
		o.mu.Unlock()
		done, err := !owned, error(nil)
		if owned {
			done, err = o.retake(ctx, key, own.fence)
		}
		if err != nil {
			o.lose()
			return err
		}
		if done {
			delete(o.waiting, key)
		}
	}
	return nil
}

// retake locks a key again that this process owns, unless somebody else has owned it
// since: then the fence keeps from the journal what this process still appends. It is not
// done while the server does not know yet that the session before is gone.
func (o *owner) retake(ctx context.Context, key lockstep.DeploymentKey, fence int64) (done bool, err error) {
	var got bool
	if err := o.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockOf(key)).Scan(&got); err != nil {
		return false, err
	}
	if !got {
		var ours bool
		err := o.conn.QueryRow(ctx, `SELECT count(*) = 1 FROM journal_owners WHERE key = $1 AND fence = $2 AND NOT released`, pgdb.Text(string(key)), fence).Scan(&ours)
		return !ours, err
	}
	tag, err := o.conn.Exec(ctx, `UPDATE journal_owners SET session = journal_session() WHERE key = $1 AND fence = $2 AND NOT released`, pgdb.Text(string(key)), fence)
	if err == nil && tag.RowsAffected() == 0 {
		_, err = o.conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, lockOf(key))
	}
	return err == nil, err
}

// lose gives the session up.
func (o *owner) lose() {
	if o.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = o.conn.Close(ctx)
	o.conn = nil
}

// keep looks at times whether the session is there, and makes it again.
func (o *owner) keep() {
	tick := time.NewTicker(o.beat)
	defer tick.Stop()
	for {
		select {
		case <-o.stop:
			return
		case <-tick.C:
		}
		o.mu.Lock()
		idle := len(o.owned) == 0
		o.mu.Unlock()
		if idle {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), max(o.beat, 2*time.Second))
		o.session.Lock()
		if o.conn != nil && o.conn.Ping(ctx) != nil {
			o.lose()
		}
		_ = o.connect(ctx) // at the next beat again
		o.session.Unlock()
		cancel()
	}
}

// close lets all of it go.
func (o *owner) close() {
	o.mu.Lock()
	was := o.closed
	o.closed, o.owned = true, map[lockstep.DeploymentKey]ownership{}
	o.mu.Unlock()
	if was {
		return
	}
	close(o.stop)
	o.beats.Wait()
	o.session.Lock()
	defer o.session.Unlock()
	if o.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		_, _ = o.conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`) // before anybody is told that it is closed
	}
	o.lose()
}
