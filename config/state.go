package config

import (
	"lockstep/internal/pgdb"
)

// State says where the facts are kept, if not in the state folder.
type State struct {
	// Postgres is nil for SQLite in the state folder.
	Postgres *Postgres
}

// Postgres is a database of PostgreSQL. No password is in here.
type Postgres struct {
	// URL is a connection string of PostgreSQL's own kinds, without a password.
	URL string
	// PasswordFile is absolute, or "" for PGPASSFILE and PGPASSWORD.
	PasswordFile string
	// SynchronousStandby demands that a standby acknowledges what is written.
	SynchronousStandby bool
}

// databaseURL is the variable that stands for state.postgres.url.
const databaseURL = "LOCKSTEP_DATABASE_URL"

type fileState struct {
	Postgres section[filePostgres] `key:"postgres" example:"{url: \"postgres://lockstep@db.example.com/lockstep\"}" required:"true" doc:"a database that several hosts share"`
}

type filePostgres struct {
	URL      text   `key:"url" example:"postgres://lockstep@db.example.com/lockstep?sslmode=verify-full" doc:"connection string of PostgreSQL, without a password; LOCKSTEP_DATABASE_URL in the environment stands in its place, and what it leaves out comes from PGHOST, PGSERVICE and their like"`
	Password path   `key:"password_file" example:"database.password" doc:"file with the password. The default is what PGPASSFILE names, or PGPASSWORD"`
	Standby  toggle `key:"synchronous_standby" example:"true" doc:"refuse to write unless a standby acknowledges each write. The default is false: it is said at the start whether one does"`
}

// state is where the facts are kept: by the file, by the environment, or both.
func (f *fileConfig) state(d *decoder) State {
	p := f.State.value.Postgres.value
	url, at := p.URL.value, p.URL.at
	if fromEnv := d.env(databaseURL); fromEnv != "" {
		url = fromEnv
	}
	if url == "" && !f.State.set {
		return State{}
	}
	if at == (position{}) {
		if at = f.State.at; at == (position{}) {
			at = position{1, 1}
		}
	}
	if err := pgdb.CheckURL(url); err != nil {
		d.problem(at, "state.postgres.url, or %s: %s", databaseURL, err.Error())
	}
	return State{Postgres: &Postgres{URL: url, PasswordFile: p.Password.value, SynchronousStandby: p.Standby.value}}
}

func (s State) show() *shown {
	p := s.Postgres
	return mapping().add("postgres", mapping().add("url", p.URL).addSet("password_file", p.PasswordFile).add("synchronous_standby", p.SynchronousStandby))
}

// files are those that must be there before the database can be opened.
func (s State) files() []namedFile {
	if s.Postgres == nil {
		return nil
	}
	return named("password_file", s.Postgres.PasswordFile)
}
