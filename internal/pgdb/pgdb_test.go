package pgdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestNoPasswordInAConnectionString: one is refused, and no text repeats it.
func TestNoPasswordInAConnectionString(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"postgres://u:hunter2@h/d", "postgresql://u:hunter2@h/d", "postgres://u@h/d?password=hunter2", "postgres://u@h/d?sslpassword=hunter2",
		"host=h password=hunter2", "host=h sslpassword=hunter2", "postgres://u:hunter2@h:port/d", "hunter2", "", "postgres://u@h/d?sslmode=hunter2",
	} {
		_, err := Parse(Options{URL: bad})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Parse(Options{URL: "postgres://u@db.example.com/facts", PasswordFile: file})
	if err != nil || d.Name != "facts on db.example.com:5432" || d.Config().Password != "hunter2" {
		t.Errorf("%+v, %v", d, err)
	}
	if c := d.Config(); c.RuntimeParams["synchronous_commit"] != "on" {
		t.Errorf("parameters are %v", c.RuntimeParams)
	}
	if _, err := Parse(Options{URL: "postgres://u@h/d", PasswordFile: file + ".none"}); err == nil {
		t.Error("no error of a password file that is not there")
	}
}

// TestExplain: each way in which a server fails has a hint of its own, and says
// whether waiting helps.
//
//fault:pg-errors the PostgreSQL server has no connection left, a full disk, another password, no such database, or is a standby | one message each, with what to do
func TestExplain(t *testing.T) {
	t.Parallel()
	pg := func(code string) error {
		return fmt.Errorf("x: %w", &pgconn.PgError{Code: code, Message: "said"})
	}
	seen := map[string]bool{}
	for name, c := range map[string]struct {
		err           error
		refused, away bool
	}{
		"wrong password": {pg("28P01"), true, false}, "unknown user": {pg("28000"), true, false}, "no database": {pg("3D000"), true, false},
		"too many":  {pg("53300"), false, true},
		"disk full": {pg("53100"), true, false}, "read-only": {pg("25006"), true, false}, "no rights": {pg("42501"), true, false},
		"no table": {pg("42P01"), true, false}, "starting": {pg("57P03"), false, true},
		"refused": {&net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}, false, true},
	} {
		var p *Problem
		if !errors.As(Explain(c.err), &p) {
			t.Errorf("%s: nothing is said", name)
			continue
		}
		if p.Refused != c.refused || Away(c.err) != c.away || p.Hint == "" || seen[p.Hint] {
			t.Errorf("%s: %+v, away %v", name, p, Away(c.err))
		}
		seen[p.Hint] = true
	}
	for _, e := range []error{io.ErrUnexpectedEOF, context.DeadlineExceeded, pg("57P01"), pg("08006")} {
		if !Away(e) {
			t.Errorf("%v: another attempt may succeed", e)
		}
	}
	for _, e := range []error{pg("23505"), pg("LS001"), errors.New("x")} {
		if Away(e) || !errors.Is(Explain(e), e) {
			t.Errorf("%v: it stays", e)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	if got := Text("a\x00b\xff漢"); got != "a\uFFFDb\uFFFD漢" {
		t.Errorf("got %q", got)
	}
}
