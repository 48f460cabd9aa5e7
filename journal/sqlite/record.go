package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"lockstep/journal"
	"lockstep/journal/heads"
	"lockstep/journal/stored"
)

// PutRecord implements journal.Journal.
func (j *Journal) PutRecord(ctx context.Context, r journal.Record) error {
	if err := r.Check(); err != nil {
		return err
	}
	var h heads.Head
	write := func(tx *sql.Tx) error {
		_, err := tx.Exec(`INSERT OR REPLACE INTO records (kind, name, data, at, sum) VALUES (?, ?, ?, ?, ?)`,
			r.Kind, r.Name, string(r.Data), r.At.UnixNano(), stored.RecordSum(r))
		if err != nil {
			return err
		}
		return tx.QueryRow(`UPDATE record_writes SET n = n + 1 RETURNING n`).Scan(&h.Seq)
	}
	if err := j.inTransaction(ctx, writing{db: j.write, write: write}, func() { j.heads.Put(h) }); err != nil {
		return explain(fmt.Sprintf("keep record %s %q in journal %s", r.Kind, r.Name, j.path()), err)
	}
	return nil
}

// Records implements journal.Journal.
func (j *Journal) Records(ctx context.Context, kind string) ([]journal.Record, error) {
	list, err := j.readRecords(ctx, kind)
	if err != nil {
		return nil, explain(fmt.Sprintf("list records %s of journal %s", kind, j.path()), err)
	}
	return list, nil
}

func (j *Journal) readRecords(ctx context.Context, kind string) ([]journal.Record, error) {
	if err := j.live(); err != nil {
		return nil, err
	}
	rows, err := j.read.QueryContext(ctx, `SELECT name, data, at, sum FROM records WHERE kind = ? ORDER BY name`, kind)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []journal.Record
	for rows.Next() {
		r := journal.Record{Kind: kind}
		if err := scanRecord(rows.Scan, &r); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Record implements journal.Journal.
func (j *Journal) Record(ctx context.Context, kind, name string) (journal.Record, bool, error) {
	r := journal.Record{Kind: kind, Name: name}
	err := j.live()
	if err == nil {
		row := j.read.QueryRowContext(ctx, `SELECT name, data, at, sum FROM records WHERE kind = ? AND name = ?`, kind, name)
		err = scanRecord(row.Scan, &r)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return journal.Record{}, false, nil
	}
	if err != nil {
		return journal.Record{}, false, explain(fmt.Sprintf("read record %s %q of journal %s", kind, name, j.path()), err)
	}
	return r, true, nil
}

func scanRecord(scan func(...any) error, r *journal.Record) error {
	var data string
	var at int64
	var sum []byte
	if err := scan(&r.Name, &data, &at, &sum); err != nil {
		return err
	}
	r.Data, r.At = []byte(data), time.Unix(0, at).UTC()
	if sum != nil && !bytes.Equal(sum, stored.RecordSum(*r)) {
		return fmt.Errorf("%w: record %s %q is not what was written", journal.ErrDamaged, r.Kind, r.Name)
	}
	return nil
}
