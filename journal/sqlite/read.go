package sqlite

import (
	"context"
	"fmt"
	"strings"

	"lockstep"
	"lockstep/journal"
)

// Events implements journal.Journal.
func (j *Journal) Events(ctx context.Context, run lockstep.RunID, after uint64) ([]lockstep.Event, error) {
	events, err := j.readEvents(ctx, run, after)
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
	var events []lockstep.Event
	for rows.Next() {
		var seq uint64
		var body []byte
		if err := rows.Scan(&seq, &body); err != nil {
			return events, err
		}
		e, err := decode(body)
		if err != nil {
			return events, fmt.Errorf("event %d: %w", seq, err)
		}
		if want := after + uint64(len(events)) + 1; e.Run != run || e.Seq != seq || seq != want {
			return events, fmt.Errorf("%w: event %d of run %s stands where event %d belongs", errDamaged, e.Seq, e.Run, want)
		}
		events = append(events, e)
	}
	return events, rows.Err()
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
	query = `SELECT n, ` + runColumns + ` FROM runs`
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
	var runs []lockstep.RunSummary
	for rows.Next() {
		var n int64
		var h journal.Head
		if err := scanHead(rows, &n, &h); err != nil {
			return nil, err
		}
		runs = append(runs, h.Summary)
	}
	return runs, rows.Err()
}

// Held implements journal.Journal.
func (j *Journal) Held(ctx context.Context, key lockstep.DeploymentKey) ([]lockstep.Hold, error) {
	holds, err := j.readHolds(ctx, key)
	if err != nil {
		return nil, explain("list held jobs of journal "+j.path(), err)
	}
	return holds, nil
}

func (j *Journal) readHolds(ctx context.Context, key lockstep.DeploymentKey) ([]lockstep.Hold, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	query, args := `SELECT key, grp, idx, job, run, deployment, since, restore FROM holds`, []any(nil)
	if key != "" {
		query, args = query+` WHERE key = ?`, append(args, string(key))
	}
	rows, err := j.read.QueryContext(ctx, query+` ORDER BY since, key, grp, idx, job`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var holds []lockstep.Hold
	for rows.Next() {
		var h lockstep.Hold
		var since int64
		err := rows.Scan(&h.Key, &h.Slot.Group, &h.Slot.Index, &h.Slot.Job, &h.Run, &h.Deployment, &since, &h.Restore)
		if err != nil {
			return nil, err
		}
		h.Since = fromNanos(since)
		holds = append(holds, h)
	}
	return holds, rows.Err()
}
