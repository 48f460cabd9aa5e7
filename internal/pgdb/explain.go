package pgdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Problem is an error that says what an operator can do about it.
type Problem struct {
	// Refused: it stays so until somebody changes something.
	Refused bool
	Hint    string
	Err     error
}

// Error implements error.
func (p *Problem) Error() string { return p.Err.Error() }
func (p *Problem) Unwrap() error { return p.Err }

func refuse(hint, format string, args ...any) error {
	return &Problem{Refused: true, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// NoStandby is that a synchronous standby is demanded and none is named.
func NoStandby() error {
	return refuse("name one in synchronous_standby_names of postgresql.conf and reload the server; without that demand, a fail-over may lose what was acknowledged",
		"a synchronous standby is demanded, and the server waits for none")
}

func readOnlyError() error {
	return refuse("connect to the primary: name all hosts and write target_session_attrs=read-write into the connection string",
		"the server is a standby, or read-only: nothing can be written there")
}

// Code is the SQLSTATE of the server's error in err's chain, or "".
func Code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Away reports whether an error says that the server cannot be reached, or has just
// gone: another attempt may succeed, and what became of a commit is not known.
func Away(err error) bool {
	switch code := Code(err); {
	case code == "":
		var network net.Error
		return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.Is(err, context.DeadlineExceeded) || errors.Is(err, net.ErrClosed) || closed(err)
	default:
		// Lost connections, shutdowns and starts; a server that was full of clients.
		return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P") || code == "53300"
	}
}

// closed reports whether the connection was found closed.
func closed(err error) bool {
	var c *pgconn.ConnectError
	return errors.As(err, &c) || strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "driver: bad connection")
}

// hints are what to do about a server's errors, by SQLSTATE.
var hints = map[string]string{
	"28P01": "the password is wrong: look at password_file, PGPASSFILE (a line HOST:PORT:DATABASE:USER:PASSWORD) or PGPASSWORD",
	"28000": "the server lets this user in from here under no such name: look at the user in the connection string and at pg_hba.conf",
	"3D000": "there is no such database; make it with: createdb --encoding UTF8 --template template0 NAME",
	"53300": "the server has no connection left: raise max_connections, or stop what holds them (select * from pg_stat_activity)",
	"53100": "the disk of the PostgreSQL server is full: free some space there. To unlock before that, remove `state` from the configuration, set another state_dir, and run: lockstep cleanup DEPLOYMENT",
	"42501": "the user may not do this: its role must own the tables, or be the one that made them",
	"42P01": "a table is missing: it is not a database of lockstep, or search_path names another schema",
	"57P03": "the server is starting or stopping; try again in a moment",
}

// Explain says what an operator can do about an error of the server, or of the way to
// it. No text of it has a password.
func Explain(err error) error {
	var known *Problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	code := Code(err)
	switch hint, ok := hints[code]; {
	case ok:
		var pg *pgconn.PgError
		errors.As(err, &pg)
		return &Problem{Refused: !Away(err), Hint: hint, Err: fmt.Errorf("the PostgreSQL server says: %s: %w", pg.Message, quiet{err})}
	case code == "25006":
		return readOnlyError()
	case code == "" && (errors.Is(err, context.Canceled)):
		return err
	case code == "" && Away(err):
		return &Problem{
			Err:  fmt.Errorf("the PostgreSQL server does not answer: %w", last1(err)),
			Hint: "look whether it runs and can be reached from here: pg_isready -h HOST -p PORT. To unlock without it, remove `state` from the configuration, set another state_dir, and run: lockstep cleanup DEPLOYMENT",
		}
	}
	return err
}

// quiet is an error whose text was said already.
type quiet struct{ error }

func (q quiet) Unwrap() error { return q.error }

// Error is the SQLSTATE.
func (q quiet) Error() string { return "SQLSTATE " + Code(q.error) }

// last1 is an error by its innermost cause: what pgx says around it names the user and
// the database.
func last1(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return errors.New("the connection was lost")
}
