package move

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// guarded are tables that each use of a database writes to.
var guarded = []string{"runs", "state_settings", "state_tokens", "state_schedules", "state_notices"}

// mark keeps a database from being used any more, by whoever has it open too. What is
// in it stays.
func (s Side) mark(ctx context.Context, tx *sql.Tx, to string) error {
	for _, statement := range s.marks() {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO lockstep_moved (destination, at) VALUES (`+s.parameter(1)+`, `+s.parameter(2)+`)`, to, time.Now().UnixNano())
	return err
}

func (s Side) marks() []string {
	out := []string{`CREATE TABLE lockstep_moved (destination TEXT NOT NULL, at BIGINT NOT NULL)`}
	if s.Postgres {
		out = append(out, `CREATE FUNCTION lockstep_moved() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE EXCEPTION 'the facts were moved to another database' USING ERRCODE = 'LS003'; END $$`)
	}
	for _, t := range tables {
		switch {
		case !slices.Contains(guarded, t.name):
		case s.Postgres:
			out = append(out, `CREATE TRIGGER lockstep_moved BEFORE INSERT OR UPDATE OR DELETE ON `+s.table(t)+` FOR EACH STATEMENT EXECUTE FUNCTION lockstep_moved()`)
		default:
			for _, what := range []string{"INSERT", "UPDATE", "DELETE"} {
				out = append(out, fmt.Sprintf(`CREATE TRIGGER lockstep_moved_%s_%s BEFORE %s ON %s BEGIN SELECT RAISE(ABORT, 'the facts were moved to another database'); END`,
					t.name, strings.ToLower(what), what, s.table(t)))
			}
		}
	}
	return out
}
