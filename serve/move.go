package serve

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/auditlog"
	pgaudit "lockstep/auditlog/postgres"
	"lockstep/config"
	"lockstep/internal/pgdb"
	"lockstep/internal/sqlitedb"
	"lockstep/journal"
	pgjournal "lockstep/journal/postgres"
	"lockstep/journal/sqlite"
	"lockstep/move"
	pgstate "lockstep/state/postgres"
	sqlitestate "lockstep/state/sqlite"
)

// MoveReport is what was moved.
type MoveReport = move.Report

// Move moves all facts between the SQLite of the state folder and the PostgreSQL of
// the configuration; to is "postgres" or "sqlite". Nothing may be driven meanwhile.
func Move(ctx context.Context, o Options, to string) (move.Report, error) {
	cfg, err := config.Load(o.ConfigPath, o.Getenv)
	if err != nil {
		return move.Report{}, err
	}
	op := "move the facts to " + to
	if cfg.State.Postgres == nil {
		return move.Report{}, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: op, Err: errors.New("the configuration names no database of PostgreSQL"),
			Hint: "set state.postgres, or LOCKSTEP_DATABASE_URL: it is where they go, or where they come from",
		}
	}
	dir, err := sqlite.PrepareFolder(cfg.StateDir)
	if err != nil {
		return move.Report{}, err
	}
	db, err := database(cfg)
	if err != nil {
		return move.Report{}, err
	}
	m := mover{dir: dir, audit: filepath.Join(dir, access.AuditFolder), db: db}
	report, err := m.to(ctx, to)
	var said *lockstep.Error
	if err != nil && !errors.As(err, &said) {
		err = &lockstep.Error{Kind: lockstep.KindRefused, Op: op, Err: pgdb.Explain(err), Hint: "what was there is as it was. " + moveHint(err)}
	}
	return report, err
}

func moveHint(err error) string {
	switch {
	case errors.Is(err, move.ErrNotEmpty):
		return "Name an empty database"
	case errors.Is(err, journal.ErrDamaged):
		return "Runs that are damaged are ended, and mended, with: lockstep recover --all; old ones go with: lockstep runs prune"
	}
	return "Try again when the cause is gone; a destination that was begun must be empty again"
}

// mover moves facts.
type mover struct {
	dir   string // the state folder
	audit string // the folder of the audit log
	db    *pgdb.Database
}

func (m mover) to(ctx context.Context, to string) (move.Report, error) {
	if to == "sqlite" {
		return m.toSQLite(ctx)
	}
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: m.dir})
	if err != nil {
		return move.Report{}, err
	}
	defer j.Close()
	if err := m.sqliteState(ctx, m.dir); err != nil {
		return move.Report{}, err
	}
	from, err := sqliteSide(m.dir)
	if err != nil {
		return move.Report{}, err
	}
	defer from.DB.Close()
	dest, err := m.postgresSide(ctx)
	if err != nil {
		return move.Report{}, err
	}
	defer dest.DB.Close()
	return moving{j, from, dest, "SELECT DISTINCT key FROM runs"}.do(ctx, m.auditThere, func() error { return nil })
}

// toSQLite moves into a folder of its own, whose database then takes its place.
func (m mover) toSQLite(ctx context.Context) (move.Report, error) {
	moved, err := sqlite.MovedTo(ctx, m.dir)
	if err != nil {
		return move.Report{}, err
	}
	runs, err := sqlite.Runs(ctx, m.dir)
	if err != nil {
		return move.Report{}, err
	}
	if moved == "" && runs > 0 {
		return move.Report{}, fmt.Errorf("%w: %s has %d runs of its own", move.ErrNotEmpty, filepath.Join(m.dir, "lockstep.db"), runs)
	}
	j, err := pgjournal.Open(ctx, pgjournal.Options{Database: m.db, Heads: filepath.Join(m.dir, "heads")})
	if err != nil {
		return move.Report{}, err
	}
	defer j.Close()
	if s, err := pgstate.Open(ctx, m.db); err != nil {
		return move.Report{}, err
	} else if err := s.Close(); err != nil {
		return move.Report{}, err
	}
	work := filepath.Join(m.dir, "moving")
	if err := os.RemoveAll(work); err != nil {
		return move.Report{}, err
	}
	fresh, err := sqlite.Open(ctx, sqlite.Options{Dir: work})
	if err == nil {
		err = errors.Join(m.sqliteState(ctx, work), fresh.Close())
	}
	if err != nil {
		return move.Report{}, err
	}
	dest, err := sqliteSide(work)
	if err != nil {
		return move.Report{}, err
	}
	from := move.Side{DB: m.db.Open(2), Postgres: true, Name: m.db.Name}
	defer from.DB.Close()
	dest.Name = filepath.Join(m.dir, "lockstep.db")
	place := func() error { return errors.Join(dest.DB.Close(), takePlace(m.dir, work)) }
	return moving{j, from, dest, "SELECT DISTINCT key FROM journal_runs"}.do(ctx, m.auditBack, place)
}

// takePlace puts a database in the place of the one of before, which stays beside it.
func takePlace(dir, work string) error {
	aside := filepath.Join(dir, "lockstep-moved-"+time.Now().UTC().Format("20060102T150405Z")+".db")
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(filepath.Join(dir, "lockstep.db")+end, aside+end); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(filepath.Join(work, "lockstep.db"), filepath.Join(dir, "lockstep.db")); err != nil {
		return err
	}
	return os.RemoveAll(work)
}

func (m mover) sqliteState(ctx context.Context, dir string) error {
	s, err := sqlitestate.Open(ctx, dir)
	if err != nil {
		return err
	}
	return s.Close()
}

func sqliteSide(dir string) (move.Side, error) {
	path := filepath.Join(dir, "lockstep.db")
	db, err := sqlitedb.Open(path, "FULL", 2)
	return move.Side{DB: db, Name: path}, err
}

// postgresSide makes the tables. What this host remembers of runs is not of them yet.
func (m mover) postgresSide(ctx context.Context) (move.Side, error) {
	heads, err := os.MkdirTemp(m.dir, "moving-")
	if err != nil {
		return move.Side{}, err
	}
	defer os.RemoveAll(heads)
	j, err := pgjournal.Open(ctx, pgjournal.Options{Database: m.db, Heads: heads})
	if err != nil {
		return move.Side{}, err
	}
	if err := j.Close(); err != nil {
		return move.Side{}, err
	}
	s, err := pgstate.Open(ctx, m.db)
	if err != nil {
		return move.Side{}, err
	}
	return move.Side{DB: m.db.Open(2), Postgres: true, Name: m.db.Name}, s.Close()
}

// moving is one move.
type moving struct {
	journal  journal.Journal // of the source
	from, to move.Side
	keys     string // the query of all keys
}

// do moves while this process owns every key, and what a server owns: so nothing is
// driven, and nothing begins. first carries the audit log; then is called before anybody
// else may go on.
func (m moving) do(ctx context.Context, first func(context.Context) (int64, error), then func() error) (move.Report, error) {
	all, err := keysOf(ctx, m.from.DB, m.keys)
	if err != nil {
		return move.Report{}, err
	}
	for _, key := range append(all, ownerOfBackground) {
		release, err := m.journal.Own(ctx, key, fmt.Sprintf("lockstep state migrate, process %d", os.Getpid()))
		if err != nil {
			return move.Report{}, err
		}
		defer release()
	}
	records, err := first(ctx)
	if err != nil {
		return move.Report{}, fmt.Errorf("carry the audit log: %w", err)
	}
	report, err := move.All(ctx, m.from, m.to)
	if err != nil {
		return report, err
	}
	report.AuditRecords = records
	return report, then()
}

// auditThere carries the audit log into the database. In the folder it stays.
func (m mover) auditThere(ctx context.Context) (int64, error) {
	lines, err := pgaudit.Open(ctx, m.db)
	if err != nil {
		return 0, err
	}
	defer lines.Close()
	return auditlog.CarryTo(ctx, m.audit, lines)
}

// auditBack carries into the folder what was written in the database since.
func (m mover) auditBack(ctx context.Context) (int64, error) {
	lines, err := pgaudit.Open(ctx, m.db)
	if err != nil {
		return 0, err
	}
	defer lines.Close()
	return auditlog.CarryBack(ctx, lines, m.audit, auditlog.Options{Log: slog.New(slog.DiscardHandler)})
}

func keysOf(ctx context.Context, db *sql.DB, query string) ([]lockstep.DeploymentKey, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []lockstep.DeploymentKey
	for rows.Next() {
		var key lockstep.DeploymentKey
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, rows.Err()
}

// refuseLeftBehind refuses to begin in a database while runs are in the state folder
// that nobody has moved there: what they hold would be forgotten.
func refuseLeftBehind(ctx context.Context, dir string) error {
	moved, err := sqlite.MovedTo(ctx, dir)
	if err != nil || moved != "" {
		return err
	}
	runs, err := sqlite.Runs(ctx, dir)
	if err != nil || runs == 0 {
		return err
	}
	return &lockstep.Error{
		Kind: lockstep.KindRefused, Op: "keep the facts in PostgreSQL",
		Err:  fmt.Errorf("%s has runs that are not there: %d", filepath.Join(dir, "lockstep.db"), runs),
		Hint: "stop the server and move them: lockstep state migrate --to postgres; or name another state_dir to begin without them",
	}
}
