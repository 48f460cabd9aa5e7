//go:build pgtest

package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep/internal/pgdb"
)

// Server is the URL of the server's own database, as a superuser.
func Server(t testing.TB) string {
	t.Helper()
	server := os.Getenv("LOCKSTEP_TEST_POSTGRES")
	if server == "" {
		t.Fatal("LOCKSTEP_TEST_POSTGRES names no server: run the tests with test/postgres/run")
	}
	return server
}

// URL makes an empty database, and removes it with the test.
func URL(t testing.TB) string {
	t.Helper()
	return On(t, Server(t))
}

// On is URL on the server of another URL.
func On(t testing.TB, server string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text()[:12])
	Exec(t, server, fmt.Sprintf(`CREATE DATABASE %s TEMPLATE template0 ENCODING 'UTF8'`, name))
	t.Cleanup(func() { Exec(t, server, fmt.Sprintf(`DROP DATABASE IF EXISTS %s WITH (FORCE)`, name)) })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// Database is URL, as it is opened.
func Database(t testing.TB) *pgdb.Database {
	t.Helper()
	return Parse(t, URL(t))
}

// Parse reads a URL.
func Parse(t testing.TB, url string) *pgdb.Database {
	t.Helper()
	d, err := pgdb.Parse(pgdb.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Exec runs statements behind the program's back.
func Exec(t testing.TB, url, statements string, args ...any) {
	t.Helper()
	if err := TryExec(t, url, statements, args...); err != nil {
		t.Fatal(err)
	}
}

// TryExec is Exec with the server's answer.
func TryExec(t testing.TB, url, statements string, args ...any) error {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, statements, args...)
	return err
}

// Unguarded is Exec with all triggers off, as a disk changes rows.
func Unguarded(t testing.TB, url, statement string, args ...any) {
	t.Helper()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, `SET session_replication_role = replica`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(ctx, statement, args...); err != nil {
		t.Fatal(err)
	}
}

// WaitForLock has a session of its own wait for a lock, by a statement, and returns when
// it waits. The lock goes, or is waited for no more, when end is called.
func WaitForLock(t testing.TB, url, statement string) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.Exec(ctx, statement)
		<-ctx.Done()
		_ = c.Close(context.Background())
	}()
	end = func() {
		cancel()
		<-done
	}
	t.Cleanup(end)
	pid := c.PgConn().PID()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err := TryExec(t, url, `SELECT 1 / count(*) FROM pg_locks WHERE pid = $1 AND NOT granted`, int32(pid)); err == nil {
			return end
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody waits for the lock")
		}
	}
}
