package move

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lockstep/journal"
	"lockstep/journal/stored"
)

// empty refuses a destination with runs, or with anything that somebody made there.
func (s Side) empty(ctx context.Context, q querier) error {
	for _, t := range tables {
		if t.one {
			continue
		}
		var n int64
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM `+s.table(t)).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w: table %s has %d rows", ErrNotEmpty, t.name, n)
		}
	}
	return nil
}

// sound refuses a source of which something is not what was written: it would be
// believed afterwards.
func (s Side) sound(ctx context.Context, q querier) error {
	var at stored.Chain
	run := int64(-1)
	events := tables[1]
	err := s.read(ctx, q, events, func(row []any) error {
		n, _ := row[0].(int64)
		seq, _ := row[1].(int64)
		body, _ := row[2].([]byte)
		link, _ := row[3].([]byte)
		if n != run {
			first, err := stored.Decode(body)
			if err != nil {
				return err
			}
			run, at = n, stored.Chain{Run: first.Run}
		}
		_, err := at.Follow(uint64(seq), body, link)
		return err
	})
	if err != nil {
		return err
	}
	return s.sums(ctx, q)
}

// sums looks for rows that are not what was written.
func (s Side) sums(ctx context.Context, q querier) error {
	rows, err := q.QueryContext(ctx, `SELECT n, `+stored.Columns+` FROM `+s.table(tables[0])+` r WHERE EXISTS (SELECT 1 FROM `+s.table(tables[1])+` e WHERE e.run = r.n AND e.seq = r.seq)`)
	if err != nil {
		return err
	}
	defer rows.Close()
	var whole, all int64
	for ; rows.Next(); whole++ {
		if _, err := stored.Scan(rows); err != nil {
			return err
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if err := q.QueryRowContext(ctx, `SELECT count(*) FROM `+s.table(tables[0])).Scan(&all); err != nil {
		return err
	}
	if all != whole {
		return fmt.Errorf("%w: %d runs lack their last event", journal.ErrDamaged, all-whole)
	}
	for _, t := range tables {
		if !t.sum {
			continue
		}
		var names []string
		for _, c := range t.columns {
			if c.name != t.unsummed {
				names = append(names, c.name)
			}
		}
		list := strings.Join(names, ", ")
		row := `row_sum(` + list + `)`
		if s.Postgres {
			row = `state_sum(jsonb_build_array(` + list + `))`
		}
		var n int64
		if err := q.QueryRowContext(ctx, `SELECT count(*) FROM `+s.table(t)+` WHERE sum IS DISTINCT FROM `+row).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("%w: %d rows of %s are not what was written", journal.ErrDamaged, n, t.name)
		}
	}
	return nil
}
