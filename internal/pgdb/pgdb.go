// Package pgdb opens PostgreSQL databases, brings tables up to date, and tells what an
// operator can do about an error. What the tables mean is its users' business: several
// of them share one database, each with migrations and a version table of its own.
package pgdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Options say which database, and what is demanded of it.
type Options struct {
	// URL is a connection string of PostgreSQL's own kinds, without a password; what
	// it leaves out comes from PGHOST, PGSERVICE, PGPASSFILE and their like.
	URL string
	// PasswordFile holds the password; "" leaves it to PGPASSFILE and PGPASSWORD.
	PasswordFile string
	// SynchronousStandby demands that a standby acknowledges each write.
	SynchronousStandby bool
}

const (
	// oldest is the first version of the server that has all that is used.
	oldest = 130000
	// connectTime is how long one attempt to connect may take.
	connectTime = 5 * time.Second
	// deadClient is after how long, in seconds, a server gives up a client whose host
	// does not answer any more, and with it what the client owned.
	deadIdle, deadInterval, deadCount = "3", "2", "3"
)

// Database is one database that can be connected to. It is never changed.
type Database struct {
	config *pgx.ConnConfig
	// Name says which it is, for messages: never with a password.
	Name string
	// SynchronousStandby is that of Options.
	SynchronousStandby bool
}

// Parse reads the options. It connects to nothing.
func Parse(o Options) (*Database, error) {
	if err := CheckURL(o.URL); err != nil {
		return nil, err
	}
	c, err := pgx.ParseConfig(o.URL)
	if err != nil {
		// The error of the package may repeat what it read.
		return nil, errors.New("the connection string cannot be read, or what PGSERVICE or PGPASSFILE name cannot")
	}
	if o.PasswordFile != "" {
		b, err := os.ReadFile(o.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read the file of the password: %w", err)
		}
		c.Password = strings.TrimRight(string(b), "\r\n")
	}
	c.ConnectTimeout = connectTime
	for name, value := range map[string]string{
		"application_name": "lockstep",
		// An acknowledged write is durable here, and on the synchronous standby
		// where there is one, whatever is the default of the role or the server.
		"synchronous_commit": "on",
		// Sums and links are over bytes: they must not depend on a setting.
		"client_encoding":     "UTF8",
		"tcp_keepalives_idle": deadIdle, "tcp_keepalives_interval": deadInterval, "tcp_keepalives_count": deadCount,
	} {
		c.RuntimeParams[name] = value
	}
	d := &Database{config: c, SynchronousStandby: o.SynchronousStandby}
	d.Name = fmt.Sprintf("%s on %s", c.Database, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))))
	if strings.HasPrefix(c.Host, "/") {
		d.Name = fmt.Sprintf("%s on %s", c.Database, c.Host)
	}
	return d, nil
}

// CheckURL refuses a connection string with a password: it would be read by whoever
// can list processes, or read a configuration that is shown around.
func CheckURL(text string) error {
	secret := errors.New("the connection string holds a password: keep that in a file, and name it with password_file or PGPASSFILE")
	switch {
	case text == "":
		return errors.New("there is no connection string: write for example postgres://lockstep@db.example.com/lockstep")
	case strings.HasPrefix(text, "postgres://"), strings.HasPrefix(text, "postgresql://"):
		u, err := url.Parse(text)
		if err != nil {
			return errors.New("the connection string is not a URL: write for example postgres://lockstep@db.example.com/lockstep")
		}
		if _, has := u.User.Password(); has || u.Query().Has("password") || u.Query().Has("sslpassword") {
			return secret
		}
	case strings.Contains(text, "password"):
		return secret
	case !strings.Contains(text, "="):
		return errors.New("the connection string is of no kind of PostgreSQL's: write for example postgres://lockstep@db.example.com/lockstep")
	}
	return nil
}

// Config is a copy of what a connection is made with.
func (d *Database) Config() *pgx.ConnConfig { return d.config.Copy() }

// Connect makes one connection.
func (d *Database) Connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.ConnectConfig(ctx, d.Config())
}

// Open opens a pool of at most conns connections, of package sql.
func (d *Database) Open(conns int) *sql.DB {
	db := stdlib.OpenDB(*d.Config())
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db
}

// Server is what a server says of itself.
type Server struct {
	// Standby reports whether a synchronous standby acknowledges what is written.
	Standby bool
}

// Check refuses a server that cannot be relied on. Errors say what to do.
func (d *Database) Check(ctx context.Context) (Server, error) {
	c, err := d.Connect(ctx)
	if err != nil {
		return Server{}, Explain(err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	var version int
	var readOnly bool
	var encoding, fsync, pages, standbys string
	err = c.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,
		current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_standby_names')`).
		Scan(&version, &readOnly, &encoding, &fsync, &pages, &standbys)
	s := Server{Standby: standbys != ""}
	switch {
	case err != nil:
		return s, Explain(err)
	case version < oldest:
		return s, refuse("use PostgreSQL 13 or newer", "the server is of version %d.%d", version/10000, version%10000)
	case readOnly:
		return s, readOnlyError()
	case encoding != "UTF8":
		return s, refuse("make the database anew: createdb --encoding UTF8 --template template0 NAME", "the database has the encoding %s", encoding)
	case fsync != "on" || pages != "on":
		return s, refuse("set both to on in postgresql.conf, and restart the server",
			"the server does not keep what it acknowledges: fsync is %s and full_page_writes %s", fsync, pages)
	case d.SynchronousStandby && !s.Standby:
		return s, NoStandby()
	}
	return s, nil
}

// Update applies those of the migrations (goose files, NUMBER_name.sql) that the
// version table does not have yet. Any number of processes may call it at once. A
// database of a newer program is refused.
func (d *Database) Update(ctx context.Context, migrations fs.FS, versionTable string) error {
	db := d.Open(2)
	defer db.Close()
	have, err := version(ctx, db, versionTable)
	if err != nil {
		return Explain(err)
	}
	want, err := last(migrations)
	switch {
	case err != nil:
		return err
	case have == want:
		return nil
	case have > want:
		return refuse("use that newer version of lockstep, or another database",
			"the table %s has version %d and this program knows %d: a newer lockstep wrote it", versionTable, have, want)
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectPostgres, db, migrations, goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()), goose.WithSessionLocker(locker))
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return Explain(fmt.Errorf("update the tables from version %d to %d: %w", have, want, err))
	}
	return nil
}

// version is the number of the last migration that the version table has, 0 where
// there is no such table.
func version(ctx context.Context, db *sql.DB, table string) (int64, error) {
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&there); err != nil || !there {
		return 0, err
	}
	var n int64
	err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM `+pgx.Identifier{table}.Sanitize()+` WHERE is_applied`).Scan(&n)
	return n, err
}

// last is the number of the last of those migrations.
func last(migrations fs.FS) (int64, error) {
	names, err := fs.Glob(migrations, "*.sql")
	if err != nil || len(names) == 0 {
		return 0, errors.Join(err, errors.New("no migrations are built in"))
	}
	number, _, _ := strings.Cut(names[len(names)-1], "_")
	return strconv.ParseInt(number, 10, 64)
}

// Text is a string as a column of type text can hold it: PostgreSQL keeps neither
// zeros nor what is not UTF-8.
func Text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
