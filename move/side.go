package move

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"lockstep/internal/pgdb"
)

// Side is one of the two databases: opened, with its tables made by this program.
type Side struct {
	DB *sql.DB
	// Postgres: it is one of PostgreSQL; else of SQLite.
	Postgres bool
	// Name says which it is, for messages.
	Name string
}

// table is the table's name there.
func (s Side) table(t table) string {
	if s.Postgres {
		return t.prefix + t.name
	}
	return t.name
}

// parameter is the n-th parameter of a statement, from 1.
func (s Side) parameter(n int) string {
	if s.Postgres {
		return fmt.Sprintf("$%d", n)
	}
	return fmt.Sprintf("?%d", n)
}

// lock begins a transaction beside which nobody else writes.
func (s Side) lock(ctx context.Context) (*sql.Tx, error) {
	tx, err := s.DB.BeginTx(ctx, nil) // SQLite's takes the lock of all writers
	if err != nil || !s.Postgres {
		return tx, err
	}
	var names []string
	for _, t := range tables {
		names = append(names, s.table(t))
	}
	if _, err := tx.ExecContext(ctx, `LOCK TABLE `+strings.Join(names, ", ")+` IN EXCLUSIVE MODE`); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return tx, nil
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// read calls use with each row, in the order of the key.
func (s Side) read(ctx context.Context, q querier, t table, use func([]any) error) error {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	rows, err := q.QueryContext(ctx, `SELECT `+strings.Join(names, ", ")+` FROM `+s.table(t)+` ORDER BY `+t.key)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scan(rows, t)
		if err != nil {
			return err
		}
		if err := use(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scan reads a row: int64s, bools, strings, float64s and bytes; nil for none.
func scan(rows *sql.Rows, t table) ([]any, error) {
	dest := make([]any, len(t.columns))
	for i, c := range t.columns {
		switch c.kind {
		case number:
			dest[i] = new(sql.Null[int64])
		case truth:
			dest[i] = new(sql.Null[bool])
		case real:
			dest[i] = new(sql.Null[float64])
		case text:
			dest[i] = new(sql.Null[string])
		default:
			dest[i] = new(sql.Null[[]byte])
		}
	}
	if err := rows.Scan(dest...); err != nil {
		return nil, err
	}
	out := make([]any, len(dest))
	for i, d := range dest {
		switch d := d.(type) {
		case *sql.Null[int64]:
			out[i] = valid(d)
		case *sql.Null[bool]:
			out[i] = valid(d)
		case *sql.Null[float64]:
			out[i] = valid(d)
		case *sql.Null[string]:
			if d.Valid && pgdb.Text(d.V) != d.V {
				return nil, fmt.Errorf("%s of a row of %s has a zero, or is not UTF-8, which PostgreSQL cannot keep", t.columns[i].name, t.name)
			}
			out[i] = valid(d)
		case *sql.Null[[]byte]:
			if d.Valid {
				out[i] = append([]byte{}, d.V...) // one that is empty is not none
			}
		}
	}
	return out, nil
}

func valid[T any](n *sql.Null[T]) any {
	if !n.Valid {
		return nil
	}
	return n.V
}

// insert adds rows with one statement.
func (s Side) insert(ctx context.Context, q querier, t table, rows [][]any) error {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	var values []string
	var args []any
	for _, row := range rows {
		var parameters []string
		for i, v := range row {
			if b, ok := v.([]byte); ok && t.columns[i].kind == either && !s.Postgres {
				v = string(b)
			}
			args = append(args, v)
			parameters = append(parameters, s.parameter(len(args)))
		}
		values = append(values, "("+strings.Join(parameters, ", ")+")")
	}
	_, err := q.ExecContext(ctx, `INSERT INTO `+s.table(t)+` (`+strings.Join(names, ", ")+`) VALUES `+strings.Join(values, ", "), args...)
	return err
}
