package postgres

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"lockstep"
	"lockstep/internal/pgdb"
	"lockstep/journal"
	"lockstep/journal/stored"
)

// Events implements journal.Journal.
func (j *Journal) Events(ctx context.Context, run lockstep.RunID, after uint64) ([]lockstep.Event, error) {
	events, err := j.readEvents(ctx, run, after)
	if err != nil {
		return events, j.explain(fmt.Sprintf("read events of run %s", run), err)
	}
	return events, nil
}

func (j *Journal) readEvents(ctx context.Context, run lockstep.RunID, after uint64) ([]lockstep.Event, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.pool.Query(ctx, `SELECT r.seq, r.link, e.seq, CASE WHEN e.seq > $2 THEN e.body END, e.link
		FROM journal_runs r LEFT JOIN journal_events e ON e.run = r.n AND e.seq >= $2 WHERE r.id = $1 ORDER BY e.seq`, string(run), int64(after))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return readChain(rows, &stored.Chain{Run: run, Seq: after})
}

// readChain reads the run's last number and link with each event from a number on,
// that one itself for its link alone, to the first event that is not good.
func readChain(rows pgx.Rows, c *stored.Chain) ([]lockstep.Event, error) {
	var events []lockstep.Event
	var last int64
	var lastLink []byte
	for after := c.Seq; rows.Next(); {
		var seq *int64
		var body, link []byte
		if err := rows.Scan(&last, &lastLink, &seq, &body, &link); err != nil {
			return events, err
		}
		switch {
		case seq == nil:
		case uint64(*seq) == after:
			c.Link = link
		default:
			e, err := c.Follow(uint64(*seq), body, link)
			if err != nil {
				return events, err
			}
			events = append(events, e)
		}
	}
	if err := rows.Err(); err != nil {
		return events, err
	}
	return events, c.End(uint64(last), lastLink)
}

// Runs implements journal.Journal.
func (j *Journal) Runs(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	runs, err := j.readRuns(ctx, filter)
	if err != nil {
		return nil, j.explain("list runs", err)
	}
	return runs, nil
}

// runsQuery is the list's query: every filter is a prefix of an index that
// ends in the id, so rows come in order and reading stops at the limit.
func runsQuery(f lockstep.RunFilter) (query string, args []any) {
	var where []string
	for _, c := range []struct{ condition, value string }{
		{"key = ", string(f.Key)},
		{"deployment = ", f.Deployment},
		{"operation = ", string(f.Operation)},
		{"state = ", string(f.State)},
		{"id < ", string(f.Before)},
	} {
		if c.value != "" {
			args = append(args, pgdb.Text(c.value))
			where = append(where, fmt.Sprintf("%s$%d", c.condition, len(args)))
		}
	}
	query = `SELECT n, ` + stored.Columns + ` FROM journal_runs`
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, " AND ")
	}
	query += ` ORDER BY id DESC`
	if f.Limit > 0 {
		args = append(args, f.Limit)
		query += fmt.Sprintf(` LIMIT $%d`, len(args))
	}
	return query, args
}

func (j *Journal) readRuns(ctx context.Context, filter lockstep.RunFilter) ([]lockstep.RunSummary, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	query, args := runsQuery(filter)
	rows, err := j.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	runs, damaged, err := stored.ScanAll(rows)
	if err != nil {
		return nil, err
	}
	rows.Close()
	stored.Refold(runs, damaged, func(n int64) (stored.Row, error) { return foldRow(ctx, j.pool, n) })
	return runs, nil
}

// Held implements journal.Journal.
func (j *Journal) Held(ctx context.Context, key lockstep.DeploymentKey) ([]lockstep.Hold, error) {
	holds, err := j.readHolds(ctx, key)
	if err != nil {
		return nil, j.explain("list held jobs", err)
	}
	return holds, nil
}

// readHolds reads the holds of all keys, whichever is asked for: of one that was
// changed nobody knows whose it is.
func (j *Journal) readHolds(ctx context.Context, key lockstep.DeploymentKey) ([]lockstep.Hold, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.pool.Query(ctx,
		`SELECT key, grp, idx, job, run, deployment, since, restore, sum FROM journal_holds ORDER BY since, key, grp, idx, job`)
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
