// Package postgres keeps the lines and heads of an audit log in a PostgreSQL database.
// A line is there once, follows the one before it, and is never changed: the tables
// themselves see to that.
package postgres

import (
	"context"
	"embed"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"lockstep"
	"lockstep/auditlog"
	"lockstep/internal/pgdb"
)

//go:embed migrations/*.sql
var embedded embed.FS

const versionTable = "audit_version"

// turn is the advisory lock of whoever adds a line: others wait, and need not be
// refused by the tables.
const turn = 0x4c4b5354_61756474

// Lines are those of one database.
type Lines struct {
	pool *pgxpool.Pool
}

var _ auditlog.Lines = (*Lines)(nil)

// Open opens them, and makes or updates the tables first if need be.
func Open(ctx context.Context, db *pgdb.Database) (*Lines, error) {
	l, err := open(ctx, db)
	if err != nil {
		return nil, &lockstep.Error{Op: "open the audit log in " + db.Name, Err: explain(err)}
	}
	return l, nil
}

func open(ctx context.Context, db *pgdb.Database) (*Lines, error) {
	if _, err := db.Check(ctx); err != nil {
		return nil, err
	}
	migrations, err := fs.Sub(embedded, "migrations")
	if err != nil {
		return nil, err
	}
	if err := db.Update(ctx, migrations, versionTable); err != nil {
		return nil, err
	}
	c, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, err
	}
	c.ConnConfig, c.MaxConns, c.MinConns = db.Config(), 3, 0
	pool, err := pgxpool.NewWithConfig(ctx, c)
	return &Lines{pool}, err
}

// Close implements auditlog.Lines.
func (l *Lines) Close() error {
	l.pool.Close()
	return nil
}

// Append implements auditlog.Lines.
func (l *Lines) Append(ctx context.Context, next func(int64, []byte) ([]byte, error)) (n int64, err error) {
	err = pgx.BeginFunc(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(turn)); err != nil {
			return err
		}
		last, before, err := lastOf(ctx, tx)
		if err != nil {
			return err
		}
		line, err := next(last, before)
		if err != nil {
			return err
		}
		n = last + 1
		_, err = tx.Exec(ctx, `INSERT INTO audit_records (n, line) VALUES ($1, $2)`, n, line)
		return err
	})
	return n, explain(err)
}

// AddAll implements auditlog.Lines.
func (l *Lines) AddAll(ctx context.Context, after int64, lines [][]byte) error {
	_, err := l.pool.Exec(ctx, `INSERT INTO audit_records (n, line) SELECT $1 + i, line FROM unnest($2::bytea[]) WITH ORDINALITY AS x (line, i) ORDER BY i`, after, lines)
	return explain(err)
}

// Last implements auditlog.Lines.
func (l *Lines) Last(ctx context.Context) (int64, []byte, error) {
	n, line, err := lastOf(ctx, l.pool)
	return n, line, explain(err)
}

func lastOf(ctx context.Context, q interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}) (n int64, line []byte, err error) {
	err = q.QueryRow(ctx, `SELECT n, line FROM audit_records ORDER BY n DESC LIMIT 1`).Scan(&n, &line)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil, nil
	}
	return n, line, err
}

// All implements auditlog.Lines.
func (l *Lines) All(ctx context.Context, use func([]byte) error) error {
	rows, err := l.pool.Query(ctx, `SELECT line FROM audit_records ORDER BY n`)
	if err != nil {
		return explain(err)
	}
	var line []byte
	_, err = pgx.ForEachRow(rows, []any{&line}, func() error { return use(line) })
	return explain(err)
}

// Before implements auditlog.Lines.
func (l *Lines) Before(ctx context.Context, n int64, limit int) ([][]byte, error) {
	rows, err := l.pool.Query(ctx, `SELECT line FROM audit_records WHERE n < $1 ORDER BY n DESC LIMIT $2`, n, limit)
	if err != nil {
		return nil, explain(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	return lines, explain(err)
}

// AddHead implements auditlog.Lines.
func (l *Lines) AddHead(ctx context.Context, n int64, note, public string) error {
	_, err := l.pool.Exec(ctx, `INSERT INTO audit_heads (n, note, public) VALUES ($1, $2, $3)`, n, note, public)
	return explain(err)
}

// Heads implements auditlog.Lines.
func (l *Lines) Heads(ctx context.Context) (notes, publics []string, err error) {
	rows, err := l.pool.Query(ctx, `SELECT note FROM audit_heads ORDER BY i`)
	if err == nil {
		notes, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err == nil {
		rows, err = l.pool.Query(ctx, `SELECT DISTINCT public FROM audit_heads ORDER BY public`)
	}
	if err == nil {
		publics, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	return notes, publics, explain(err)
}

func explain(err error) error {
	var p *pgdb.Problem
	if !errors.As(pgdb.Explain(err), &p) {
		return err
	}
	kind := lockstep.KindUnavailable
	if p.Refused {
		kind = lockstep.KindRefused
	}
	return &lockstep.Error{Kind: kind, Err: p, Hint: p.Hint}
}
