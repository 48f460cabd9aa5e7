package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"

	"lockstep/journal/stored"
)

// databasePath is the database of a state folder. Nothing but SQLite may ever
// open and close this file: closing any descriptor of it drops all of the
// process's locks on it.
func databasePath(dir string) string { return filepath.Join(dir, "lockstep.db") }

// statements are prepared once, each on the pool that it is for.
type statements struct {
	head, insertRun, updateRun, moveRun *sql.Stmt
	insertEvent, oneEvent               *sql.Stmt
	hold, release, releaseOf            *sql.Stmt
	events, outputs, cancel             *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, j *Journal) error {
	for _, p := range []struct {
		to    **sql.Stmt
		db    *sql.DB
		query string
	}{
		{&s.head, j.write, `SELECT n, ` + stored.Columns + ` FROM runs WHERE id = ?`},
		{&s.insertRun, j.write, `INSERT INTO runs (` + stored.Columns + `) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`},
		{&s.updateRun, j.write, `UPDATE runs SET planned = ?, state = ?, data = ?, locks = ?, backup = ?, ended = ?,
			lock_window = ?, error = ?, exit_code = ? WHERE id = ?`},
		{&s.moveRun, j.write, `UPDATE runs SET seq = ?, term = ?, lock_started = ?, unlock_ended = ?, link = ?, sum = ? WHERE id = ?`},
		{&s.insertEvent, j.write, `INSERT INTO events (run, seq, body, link) VALUES (?,?,?,?)`},
		{&s.oneEvent, j.write, `SELECT body, link, (SELECT link FROM events WHERE run = ?1 AND seq = ?2 - 1) FROM events WHERE run = ?1 AND seq = ?2`},
		{&s.hold, j.write, `INSERT OR REPLACE INTO holds (key, grp, idx, job, run, deployment, since, restore, sum) VALUES (?,?,?,?,?,?,?,?,?)`},
		{&s.release, j.write, `DELETE FROM holds WHERE key = ? AND grp = ? AND idx = ? AND job = ?`},
		{&s.releaseOf, j.write, `DELETE FROM holds WHERE key = ? AND grp = ? AND idx = ? AND job = ? AND run = ?`},
		{&s.events, j.read, eventsQuery},
		{&s.outputs, j.read, `SELECT attempt, stream, dropped, head, tail FROM outputs
			WHERE run = (SELECT n FROM runs WHERE id = ?) AND step = ? ORDER BY attempt, stream DESC`},
		{&s.cancel, j.read, `SELECT asked FROM cancels WHERE run = (SELECT n FROM runs WHERE id = ?)`},
	} {
		stmt, err := p.db.PrepareContext(ctx, p.query)
		if err != nil {
			return err
		}
		*p.to = stmt
	}
	return nil
}
