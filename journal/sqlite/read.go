package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"lockstep"
	"lockstep/journal"
	"lockstep/journal/stored"
)

// Events implements journal.Journal.
func (j *Journal) Events(ctx context.Context, run lockstep.RunID, after uint64) ([]lockstep.Event, error) {
	events, err := j.readEvents(ctx, run, after)
	if errors.Is(err, journal.ErrDamaged) {
		err = &lockstep.Error{Err: err, Hint: eventsHint}
	}
	if err != nil {
		return events, explain(fmt.Sprintf("read events of run %s from journal %s", run, j.path()), err)
	}
	return events, nil
}

func (j *Journal) readEvents(ctx context.Context, run lockstep.RunID, after uint64) ([]lockstep.Event, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.stmts.events.QueryContext(ctx, string(run), int64(after))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return readChain(rows, &stored.Chain{Run: run, Seq: after})
}

// eventsQuery gives the run's last number and link with each event from a number
// on; that one itself for its link alone.
const eventsQuery = `SELECT r.seq, r.Link, e.seq, iif(e.seq > ?2, e.body, x''), e.link
	FROM runs r LEFT JOIN events e ON e.run = r.N AND e.seq >= ?2 WHERE r.id = ?1 ORDER BY e.seq`

// readChain reads what eventsQuery gives, to the first event that is not good.
func readChain(rows *sql.Rows, c *stored.Chain) ([]lockstep.Event, error) {
	var events []lockstep.Event
	var last uint64
	var lastLink []byte
	for after := c.Seq; rows.Next(); {
		var seq sql.Null[int64]
		var body, link []byte
		if err := rows.Scan(&last, &lastLink, &seq, &body, &link); err != nil {
			return events, err
		}
		switch {
		case !seq.Valid:
		case uint64(seq.V) == after:
			c.Link = link
		default:
			e, err := c.Follow(uint64(seq.V), body, link)
			if err != nil {
				return events, err
			}
			events = append(events, e)
		}
	}
	if err := rows.Err(); err != nil {
		return events, err
	}
	return events, c.End(last, lastLink)
}

// Runs implements journal.Journal.
func (j *Journal) Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	runs, err := j.readRuns(ctx, filter)
	if err != nil {
		return nil, explain("list runs of journal "+j.path(), err)
	}
	return runs, nil
}

// runsQuery is the list's query: every filter is a prefix of an index that
// ends in the id, so rows come in order and reading stops at the limit.
func runsQuery(f lockstep.RunFilter) (query string, args []any) {
	var where []string
	for _, c := range []struct{ condition, value string }{
		{"key = ?", string(f.Key)},
		{"deployment = ?", f.Deployment},
		{"operation = ?", string(f.Operation)},
		{"state = ?", string(f.State)},
		{"id < ?", string(f.Before)},
	} {
		if c.value != "" {
			where, args = append(where, c.condition), append(args, c.value)
		}
	}
	query = `SELECT n, ` + stored.Columns + ` FROM runs`
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, " AND ")
	}
	query += ` ORDER BY id DESC`
	if f.Limit > 0 {
		query, args = query+` LIMIT ?`, append(args, f.Limit)
	}
	return query, args
}

func (j *Journal) readRuns(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	query, args := runsQuery(filter)
	rows, err := j.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	runs, damaged, err := stored.ScanAll(rows)
	if err = errors.Join(err, rows.Close()); err != nil {
		return nil, err
	}
	stored.Refold(runs, damaged, func(n int64) (stored.Row, error) { return foldRow(ctx, j.read, n) })
	return runs, nil
}

// Held implements journal.Journal.
func (j *Journal) Held(ctx context.Context, key lockstep.DeploymentKey) ([]lockstep.Hold, error) {
	holds, err := j.readHolds(ctx, key)
	if err != nil {
		return nil, explain("list held jobs of journal "+j.path(), err)
	}
	return holds, nil
}

// readHolds reads the holds of all keys, whichever is asked for: of one that was
// changed nobody knows whose it is.
func (j *Journal) readHolds(ctx context.Context, key lockstep.DeploymentKey) ([]lockstep.Hold, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	if j.unsound != nil {
		return nil, j.unsound // a hold may be missing
	}
	rows, err := j.read.QueryContext(ctx,
		`SELECT key, grp, idx, job, run, deployment, since, restore, sum FROM holds ORDER BY since, key, grp, idx, job`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var holds []lockstep.Hold
	for rows.Next() {
		var h lockstep.Hold
		var since int64
		var sum []byte
		err := rows.Scan(&h.Key, &h.Slot.Group, &h.Slot.Index, &h.Slot.Job, &h.Run, &h.Deployment, &since, &h.Restore, &sum)
		if err != nil {
			return nil, err
		}
		h.Since = stored.FromNanos(since)
		if sum != nil && !bytes.Equal(sum, stored.HoldSum(h)) {
			return nil, fmt.Errorf("%w: a hold of %s is not what was written", journal.ErrDamaged, h.Slot)
		}
		if key == "" || key == h.Key {
			holds = append(holds, h)
		}
	}
	return holds, rows.Err()
}
