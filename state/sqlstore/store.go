// Package sqlstore is the state in a database of tables, whichever database it is: the
// adapters beside it open one, make its tables, and say what is their dialect's own.
//
// Each part of the store is a file here.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"lockstep/state"
)

// Dialect is what databases differ in. The statements here are written with
// parameters as ? or ?1, and row_sum over columns.
type Dialect struct {
	// Statement says a statement in the dialect; nil leaves it as it is.
	Statement func(string) string
	// Text is a string as a column can keep it; nil leaves it as it is.
	Text func(string) string
	// Isolation is that of transactions, of which each must be as if it were alone.
	Isolation sql.IsolationLevel
	// Again reports whether a transaction failed because another one was in its way:
	// it is made once more. nil: never.
	Again func(error) bool
	// Explain says what an operator can do about an error; nil says nothing.
	Explain func(error) error
}

// Store is an opened state. It is safe for concurrent use.
type Store struct {
	// write is for transactions, read for what only reads.
	write   *sql.DB
	read    reader
	dialect Dialect
	closed  atomic.Bool
}

var _ state.Store = (*Store)(nil)

// New makes a store over two pools, which may be one; Close closes them.
func New(write, read *sql.DB, d Dialect) *Store {
	return &Store{write: write, read: reader{read, d}, dialect: d}
}

// reader is a pool that only reads.
type reader struct {
	db *sql.DB
	d  Dialect
}

// QueryContext is that of package sql.
func (r reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return r.db.QueryContext(ctx, r.d.statement(query), r.d.args(args)...)
}

// QueryRowContext is that of package sql.
func (r reader) QueryRowContext(ctx context.Context, query string, args ...any) Row {
	return Row{r.db.QueryRowContext(ctx, r.d.statement(query), r.d.args(args)...), r.d}
}

// Row is one row, or the error of asking for it.
type Row struct {
	row *sql.Row
	d   Dialect
}

// Scan is that of package sql.
func (r Row) Scan(dest ...any) error { return r.d.explain(r.row.Scan(dest...)) }

// Tx is a transaction.
type Tx struct {
	tx *sql.Tx
	d  Dialect
}

// ExecContext is that of package sql.
func (t *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, t.d.statement(query), t.d.args(args)...)
}

// QueryRowContext is that of package sql.
func (t *Tx) QueryRowContext(ctx context.Context, query string, args ...any) Row {
	return Row{t.tx.QueryRowContext(ctx, t.d.statement(query), t.d.args(args)...), Dialect{}}
}

func (d Dialect) statement(query string) string {
	if d.Statement == nil {
		return query
	}
	return d.Statement(query)
}

func (d Dialect) explain(err error) error {
	if err == nil || d.Explain == nil {
		return err
	}
	return d.Explain(err)
}

func (d Dialect) args(args []any) []any {
	if d.Text == nil {
		return args
	}
	out := make([]any, len(args))
	for i, a := range args {
		if s, ok := a.(string); ok {
			a = d.Text(s)
		}
		out[i] = a
	}
	return out
}

// Close implements state.Store.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, db := range []*sql.DB{s.read.db, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// live fails once the store is closed.
func (s *Store) live() error {
	if s.closed.Load() {
		return state.ErrClosed
	}
	return nil
}

// change runs one transaction; what it did is durable when change returns nil,
// and nothing of it is kept otherwise.
func (s *Store) change(ctx context.Context, do func(*Tx) error) error {
	if err := s.live(); err != nil {
		return err
	}
	for tries := 0; ; tries++ {
		err := s.transact(ctx, do)
		if err == nil || s.dialect.Again == nil || tries >= maxTries || !s.dialect.Again(err) {
			return s.dialect.explain(err)
		}
	}
}

// maxTries is how often a transaction is made once more that others were in the way
// of. Each time at least one of them was kept.
const maxTries = 100

func (s *Store) transact(ctx context.Context, do func(*Tx) error) error {
	tx, err := s.write.BeginTx(ctx, &sql.TxOptions{Isolation: s.dialect.Isolation})
	if err != nil {
		return err
	}
	if err := do(&Tx{tx, s.dialect}); err != nil {
		_ = tx.Rollback()
		return err
	}
	return tx.Commit()
}

// nanos is a time as it is kept: nanoseconds since 1970 UTC, 0 for none.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// timeOf is the time that nanos made.
func timeOf(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// withSum are the columns, and whether the row's sum is that of them. Their order
// is that of the migration.
func withSum(columns string) string {
	return columns + ", sum IS NOT DISTINCT FROM row_sum(" + columns + ")"
}

// damaged is err, or that the row is not what was written.
func damaged(what string, intact bool, err error) error {
	if err == nil && !intact {
		return fmt.Errorf("%s: %w", what, state.ErrDamaged)
	}
	return err
}
