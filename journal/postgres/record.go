package postgres

import (
	"bytes"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"lockstep/internal/pgdb"
	"lockstep/journal"
	"lockstep/journal/heads"
	"lockstep/journal/stored"
)

// PutRecord implements journal.Journal.
func (j *Journal) PutRecord(ctx context.Context, r journal.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	var writes int64
	err := j.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO journal_records (kind, name, data, at, sum) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (kind, name) DO UPDATE SET data = excluded.data, at = excluded.at, sum = excluded.sum`,
			r.Kind, []byte(r.Name), []byte(r.Data), r.At.UnixNano(), stored.RecordSum(r))
		if err != nil {
			return err
		}
		return tx.QueryRow(ctx, `UPDATE journal_record_writes SET n = n + 1 RETURNING n`).Scan(&writes)
	})
	if err != nil {
		return j.explain(fmt.Sprintf("keep record %s %q", r.Kind, r.Name), err)
	}
	j.heads.Put(heads.Head{Seq: uint64(writes)})
	return nil
}

// Records implements journal.Journal.
func (j *Journal) Records(ctx context.Context, kind string) ([]journal.Record, error) {
	list, err := j.readRecords(ctx, kind, nil)
	if err != nil {
		return nil, j.explain("list records "+kind, err)
	}
	return list, nil
}

// Record implements journal.Journal.
func (j *Journal) Record(ctx context.Context, kind, name string) (journal.Record, bool, error) {
	list, err := j.readRecords(ctx, kind, []byte(name))
	if err != nil {
		return journal.Record{}, false, j.explain(fmt.Sprintf("read record %s %q", kind, name), err)
	}
	if len(list) == 0 {
		return journal.Record{}, false, nil
	}
	return list[0], true, nil
}

// readRecords reads the records of a kind, or the one of a name that is not nil.
func (j *Journal) readRecords(ctx context.Context, kind string, name []byte) ([]journal.Record, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.pool.Query(ctx, `SELECT name, data, at, sum FROM journal_records
		WHERE kind = $1 AND ($2::bytea IS NULL OR name = $2) ORDER BY name`, pgdb.Text(kind), name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []journal.Record
	for rows.Next() {
		var name, data, sum []byte
		var at int64
		if err := rows.Scan(&name, &data, &at, &sum); err != nil {
			return nil, err
		}
		r := journal.Record{Kind: kind, Name: string(name), Data: data, At: stored.FromNanos(at)}
		if sum != nil && !bytes.Equal(sum, stored.RecordSum(r)) {
			return nil, fmt.Errorf("%w: record %s %q is not what was written", journal.ErrDamaged, r.Kind, r.Name)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}
