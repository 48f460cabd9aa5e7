// Package postgres keeps the orchestrator's state in a PostgreSQL database, beside the
// journal: its tables have names and a version of their own. The statements are those
// of sqlstore; transactions are serializable, so that each is as if it were alone, from
// whichever host.
package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"lockstep"
	"lockstep/internal/pgdb"
	"lockstep/state/sqlstore"
)

//go:embed migrations/*.sql
var embedded embed.FS

// versionTable records the migrations of the state; the journal has a table of its own.
const versionTable = "state_version"

// connections are those of one store.
const connections = 6

// Open opens the state in a database, and makes or updates its tables first if need be.
func Open(ctx context.Context, db *pgdb.Database) (*sqlstore.Store, error) {
	_, err := db.Check(ctx)
	if err == nil {
		var migrations fs.FS
		if migrations, err = fs.Sub(embedded, "migrations"); err == nil {
			err = db.Update(ctx, migrations, versionTable)
		}
	}
	if err != nil {
		return nil, &lockstep.Error{Op: "open state in " + db.Name, Err: explain(err)}
	}
	pool := db.Open(connections)
	return sqlstore.New(pool, pool, sqlstore.Dialect{
		Statement: statement, Text: pgdb.Text, Isolation: sql.LevelSerializable, Again: again, Explain: explain,
	}), nil
}

// again reports whether another transaction was in the way: the server says so itself,
// or it was quicker with the same name.
func again(err error) bool {
	switch pgdb.Code(err) {
	case "40001", "40P01", "23505":
		return true
	}
	return false
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

var (
	parameter = regexp.MustCompile(`\?\d*`)
	sums      = regexp.MustCompile(`row_sum\(([^()]*)\)`)
)

// statement says a statement of sqlstore as PostgreSQL wants it.
func statement(query string) string {
	n := 0
	query = parameter.ReplaceAllStringFunc(query, func(p string) string {
		if p == "?" {
			n++
			return "$" + strconv.Itoa(n)
		}
		return "$" + strings.TrimPrefix(p, "?")
	})
	return sums.ReplaceAllString(query, "state_sum(jsonb_build_array($1))")
}
