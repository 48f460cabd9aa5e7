package serve

import (
	"context"
	"fmt"
	"path/filepath"

	"lockstep"
	"lockstep/config"
	"lockstep/internal/pgdb"
	"lockstep/journal"
	pgjournal "lockstep/journal/postgres"
	"lockstep/journal/sqlite"
	"lockstep/state"
	pgstate "lockstep/state/postgres"
	sqlitestate "lockstep/state/sqlite"
)

// facts is a journal that says whether what locks may begin.
type facts interface {
	journal.Journal
	CheckReserve(ctx context.Context) error
}

// openJournal opens the journal of the configuration: in the state folder, or in a
// database. It comes before openState.
func openJournal(ctx context.Context, cfg *config.Config, o Options) (facts, error) {
	if cfg.State.Postgres == nil {
		j, err := sqlite.Open(ctx, sqlite.Options{Dir: cfg.StateDir})
		if err != nil {
			return nil, fmt.Errorf("open journal in %s: %w", cfg.StateDir, err)
		}
		return j, nil
	}
	dir, err := sqlite.PrepareFolder(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	if err := refuseLeftBehind(ctx, dir); err != nil {
		return nil, err
	}
	db, err := database(cfg)
	if err != nil {
		return nil, err
	}
	j, err := pgjournal.Open(ctx, pgjournal.Options{Database: db, Heads: filepath.Join(dir, "heads")})
	if err != nil {
		return nil, err
	}
	if o.Logger != nil {
		o.Logger.Debug("the journal is in PostgreSQL", "database", j.Name(), "synchronous_standby", j.Standby())
	}
	return j, nil
}

// openState opens the state beside the journal, which must have been opened.
func openState(ctx context.Context, cfg *config.Config) (state.Store, error) {
	if cfg.State.Postgres == nil {
		return sqlitestate.Open(ctx, cfg.StateDir)
	}
	db, err := database(cfg)
	if err != nil {
		return nil, err
	}
	return pgstate.Open(ctx, db)
}

// database is the one that the configuration names.
func database(cfg *config.Config) (*pgdb.Database, error) {
	p := cfg.State.Postgres
	db, err := pgdb.Parse(pgdb.Options{URL: p.URL, PasswordFile: p.PasswordFile, SynchronousStandby: p.SynchronousStandby})
	if err != nil {
		return nil, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "open the database of state.postgres", Err: err,
			Hint: "look at state.postgres in " + cfg.Path + ", LOCKSTEP_DATABASE_URL, PGSERVICEFILE and PGPASSFILE",
		}
	}
	return db, nil
}

// tellStandby says, as a server starts, whether a fail-over may lose what was
// acknowledged.
func tellStandby(s Serving, j facts) {
	p, ok := j.(*pgjournal.Journal)
	switch {
	case !ok:
	case p.Standby():
		s.Logger.Info("the facts are in PostgreSQL, and a synchronous standby acknowledges them", "database", p.Name())
	default:
		s.Logger.Warn("the facts are in PostgreSQL, and no synchronous standby acknowledges them: a fail-over may lose the last ones", "database", p.Name(),
			"hint", "name one in synchronous_standby_names, and set state.postgres.synchronous_standby")
	}
}
