// Package move carries all facts, journal and state, from one database to another, and
// proves that both say the same: rows are read from either in the same order, and each
// table's SHA-256 is compared. What is left behind is as it was, and refuses to be used.
package move

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"
	"slices"

	"lockstep/journal"
	"lockstep/journal/stored"
)

// Table is what was moved of one table.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	// SHA256 is over all rows, in both databases.
	SHA256 string `json:"sha256"`
}

// Report is what was moved.
type Report struct {
	From   string  `json:"from"`
	To     string  `json:"to"`
	Tables []Table `json:"tables"`
	// AuditRecords are those that the audit log has in both places.
	AuditRecords int64 `json:"audit_records"`
}

// ErrNotEmpty: something is kept in the destination.
var ErrNotEmpty = errors.New("it is not empty")

// batch is how many rows are inserted at once.
const batch = 100

// All moves everything. The caller owns all keys, so that nothing is driven; nobody
// writes to the source while it is read. It is marked as moved, as the last of all, in
// the transaction that has kept others from writing.
func All(ctx context.Context, from, to Side) (Report, error) {
	r := Report{From: from.Name, To: to.Name}
	source, err := from.lock(ctx)
	if err != nil {
		return r, fmt.Errorf("keep others from writing to %s: %w", from.Name, err)
	}
	defer source.Rollback() //nolint:errcheck // after a commit it does nothing
	if err := from.sound(ctx, source); err != nil {
		return r, fmt.Errorf("check %s: %w", from.Name, err)
	}
	if r.Tables, err = write(ctx, source, from, to); err != nil {
		return r, fmt.Errorf("write to %s: %w", to.Name, err)
	}
	// Read once more what is durable there.
	for i, t := range tables {
		there, err := digest(ctx, to.DB, to, t)
		if err != nil {
			return r, fmt.Errorf("read %s again: %w", to.Name, err)
		}
		if there != r.Tables[i] {
			return r, fmt.Errorf("%w: table %s has %d rows with SHA-256 %s in %s, and %d with %s in %s", journal.ErrDamaged,
				t.name, r.Tables[i].Rows, r.Tables[i].SHA256, from.Name, there.Rows, there.SHA256, to.Name)
		}
	}
	if err := from.mark(ctx, source, to.Name); err != nil {
		return r, fmt.Errorf("mark %s as moved: %w", from.Name, err)
	}
	return r, source.Commit()
}

// write copies all tables in one transaction of the destination.
func write(ctx context.Context, source *sql.Tx, from, to Side) ([]Table, error) {
	tx, err := to.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if err := to.empty(ctx, tx); err != nil {
		return nil, err
	}
	var done []Table
	for _, t := range tables {
		is, err := copyTable(ctx, side{from, source}, side{to, tx}, t)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
		done = append(done, is)
	}
	return done, tx.Commit()
}

// side is a Side with its transaction.
type side struct {
	Side
	tx *sql.Tx
}

func copyTable(ctx context.Context, from, to side, t table) (Table, error) {
	if t.one {
		if _, err := to.tx.ExecContext(ctx, `DELETE FROM `+to.table(t)); err != nil {
			return Table{}, err
		}
	}
	target := t
	sum := newSum(t)
	var rows [][]any
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := to.insert(ctx, to.tx, target, rows)
		rows = rows[:0]
		return err
	}
	err := from.read(ctx, from.tx, t, func(row []any) error {
		sum.add(row)
		var err error
		if target, row, err = to.fit(t, row); err != nil {
			return err
		}
		if rows = append(rows, row); len(rows) < batch {
			return nil
		}
		return flush()
	})
	if err := errors.Join(err, flush()); err != nil {
		return Table{}, err
	}
	if t.numbered && to.Postgres {
		_, err := to.tx.ExecContext(ctx, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%s', 'n'), coalesce((SELECT max(n) FROM %[1]s), 0) + 1, false)`, to.table(t)))
		if err != nil {
			return Table{}, err
		}
	}
	return sum.table(), nil
}

// fit makes a row what the destination takes: there the database itself moves the row
// of a run to its last event, and events have the term in a column of its own.
func (s Side) fit(t table, row []any) (table, []any, error) {
	switch {
	case !s.Postgres || t.prefix == "":
		return t, row, nil
	case t.name == "runs":
		row = slices.Clone(row)
		for i, c := range t.columns {
			switch c.name {
			case "seq", "term":
				row[i] = int64(0)
			case "link":
				row[i] = nil
			}
		}
	case t.name == "events":
		body, _ := row[2].([]byte)
		e, err := stored.Decode(body)
		if err != nil {
			return t, nil, err
		}
		t.columns = append(slices.Clone(t.columns), column{"term", number}, column{"fence", number})
		row = append(slices.Clone(row), int64(e.Term), int64(0))
	case t.name == "set_aside":
		t.columns = append(slices.Clone(t.columns), column{"n", number})
		row = append(slices.Clone(row), int64(0))
	}
	return t, row, nil
}

// digest reads a table.
func digest(ctx context.Context, q querier, s Side, t table) (Table, error) {
	sum := newSum(t)
	err := s.read(ctx, q, t, func(row []any) error {
		sum.add(row)
		return nil
	})
	return sum.table(), err
}

// sum is the SHA-256 over the rows of a table.
type sum struct {
	name string
	rows int64
	hash hash.Hash
}

func newSum(t table) *sum { return &sum{name: t.name, hash: sha256.New()} }

func (s *sum) table() Table {
	return Table{Name: s.name, Rows: s.rows, SHA256: hex.EncodeToString(s.hash.Sum(nil))}
}

// add writes values so that no two rows are the same bytes.
func (s *sum) add(row []any) {
	s.rows++
	part := func(tag byte, b []byte) {
		_, _ = s.hash.Write([]byte{tag})
		_ = binary.Write(s.hash, binary.BigEndian, uint64(len(b)))
		_, _ = s.hash.Write(b)
	}
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			part(0, nil)
		case int64:
			part(1, binary.BigEndian.AppendUint64(nil, uint64(v)))
		case bool:
			part(2, []byte{map[bool]byte{true: 1}[v]})
		case float64:
			part(3, binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
		case string:
			part(4, []byte(v))
		case []byte:
			part(5, v)
		}
	}
}
