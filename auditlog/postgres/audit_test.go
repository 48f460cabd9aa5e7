//go:build pgtest

package postgres_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"lockstep/auditlog"
	"lockstep/auditlog/postgres"
	"lockstep/internal/pgdb"
	"lockstep/internal/pgtest"
)

var ctx = context.Background()

// open opens the log as a host does whose state folder is dir.
func open(t *testing.T, url, dir string) *auditlog.Shared {
	t.Helper()
	lines, err := postgres.Open(ctx, pgtest.Parse(t, url))
	if err != nil {
		t.Fatal(err)
	}
	l, err := auditlog.OpenShared(ctx, dir, lines, auditlog.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func fill(t *testing.T, l *auditlog.Shared, n int) {
	t.Helper()
	for i := range n {
		e := auditlog.Entry{By: "token:ann", Action: "runs:backup", Result: auditlog.Allowed, Deployment: []string{"shop", "bank"}[i%2], Object: "odd: \x00 漢字"}
		if err := l.Record(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
}

func verify(t *testing.T, l *auditlog.Shared, trust auditlog.Trust) auditlog.Report {
	t.Helper()
	r, err := l.Verify(ctx, trust)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestManyHosts: hosts write one chain at once, and each signs heads with its own key.
func TestManyHosts(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	var wg sync.WaitGroup
	var all []*auditlog.Shared
	for range 4 {
		l := open(t, url, t.TempDir())
		all = append(all, l)
		wg.Go(func() {
			fill(t, l, 25)
			l.Sign(ctx)
		})
	}
	wg.Wait()
	if r := verify(t, all[0], auditlog.Trust{}); !r.OK || r.Records != 100 || r.Heads < 1 || r.Signed != 100 {
		t.Errorf("%+v", r)
	}
}

// TestVerify_FindsEveryChange: what somebody changed behind the tables' own guards.
func TestVerify_FindsEveryChange(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a record that is gone":    `DELETE FROM audit_records WHERE n = 5`,
		"the end cut off":          `DELETE FROM audit_records WHERE n > 9`,
		"somebody else did it":     `UPDATE audit_records SET line = convert_to(replace(convert_from(line, 'UTF8'), 'ann', 'bob'), 'UTF8') WHERE n = 5`,
		"the last one was changed": `UPDATE audit_records SET line = convert_to(replace(convert_from(line, 'UTF8'), 'ann', 'bob'), 'UTF8') WHERE n = 12`,
		"a head was changed":       `UPDATE audit_heads SET note = replace(note, '12', '11')`,
	} {
		url, dir := pgtest.URL(t), t.TempDir()
		l := open(t, url, dir)
		fill(t, l, 12)
		l.Sign(ctx)
		if r := verify(t, l, auditlog.Trust{}); !r.OK || r.Signed != 12 {
			t.Errorf("%s: before: %+v", name, r)
		}
		pgtest.Unguarded(t, url, change)
		if r := verify(t, l, auditlog.Trust{}); r.OK || len(r.Problems) == 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestAShortLogIsTold: a log that lost its end, in a fail-over say, says so itself.
func TestAShortLogIsTold(t *testing.T) {
	t.Parallel()
	url, dir := pgtest.URL(t), t.TempDir()
	l := open(t, url, dir)
	fill(t, l, 12)
	_ = l.Close()
	pgtest.Unguarded(t, url, `DELETE FROM audit_records WHERE n > 9`)
	p, err := open(t, url, dir).Read(ctx, auditlog.Query{Action: "audit:short"})
	if err != nil || len(p.Records) != 1 || p.Records[0].N != 10 || p.Records[0].Detail["signed"] != "12" {
		t.Errorf("%+v, %v", p.Records, err)
	}
}

// TestTheDatabaseHoldsTheRules: whoever writes to the tables.
func TestTheDatabaseHoldsTheRules(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	l := open(t, url, t.TempDir())
	fill(t, l, 3)
	for name, bad := range map[string]struct{ code, statement string }{
		"a gap":            {"LS001", `INSERT INTO audit_records (n, line) SELECT 5, line FROM audit_records WHERE n = 3`},
		"a wrong link":     {"LS001", `INSERT INTO audit_records (n, line) SELECT 4, convert_to(replace(convert_from(line, 'UTF8'), '"n":3', '"n":4'), 'UTF8') FROM audit_records WHERE n = 3`},
		"a number twice":   {"23505", `INSERT INTO audit_records (n, line) SELECT n, line FROM audit_records WHERE n = 3`},
		"a changed record": {"LS002", `UPDATE audit_records SET line = 'x'`},
		"a record gone":    {"LS002", `DELETE FROM audit_records`},
		"all gone":         {"LS002", `TRUNCATE audit_records`},
		"a head gone":      {"LS002", `DELETE FROM audit_heads`},
	} {
		if err := pgtest.TryExec(t, url, bad.statement); pgdb.Code(err) != bad.code {
			t.Errorf("%s: %v, want SQLSTATE %s", name, err, bad.code)
		}
	}
}

// TestPages: all records once, newest first, whatever the page.
func TestPages(t *testing.T) {
	t.Parallel()
	l := open(t, pgtest.URL(t), t.TempDir())
	if p, err := l.Read(ctx, auditlog.Query{}); err != nil || len(p.Records) != 0 || p.Next != "" {
		t.Errorf("an empty one: %+v, %v", p, err)
	}
	fill(t, l, 61)
	for _, limit := range []int{1, 7, 500} {
		for _, deployment := range []string{"", "shop"} {
			var got, want []int64
			for cursor, pages := "", 0; ; pages++ {
				p, err := l.Read(ctx, auditlog.Query{Limit: limit, Deployment: deployment, Cursor: cursor})
				if err != nil || len(p.Records) > limit || pages > 100 {
					t.Fatal(p, err)
				}
				for _, r := range p.Records {
					got = append(got, r.N)
				}
				if cursor = p.Next; cursor == "" {
					break
				}
			}
			for n := int64(61); n > 0; n-- {
				if deployment == "" || n%2 == 1 {
					want = append(want, n)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d of %q: %v, want %v", limit, deployment, got, want)
			}
		}
	}
	for _, cursor := range []string{"x", "-1", "0"} {
		if _, err := l.Read(ctx, auditlog.Query{Cursor: cursor}); err == nil {
			t.Errorf("cursor %q: no error", cursor)
		}
	}
}

// TestTrust: a head of somebody else, and another key, do not count.
func TestTrust(t *testing.T) {
	t.Parallel()
	l, other := open(t, pgtest.URL(t), t.TempDir()), open(t, pgtest.URL(t), t.TempDir())
	fill(t, l, 3)
	l.Sign(ctx)
	key, err := auditlog.LoadKey(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(t, l, auditlog.Trust{Key: key.Public()}); r.OK {
		t.Errorf("another key: %+v", r)
	}
	fill(t, other, 3)
	if _, err := l.Verify(ctx, auditlog.Trust{Heads: []byte("hello")}); err == nil {
		t.Error("heads that hold none: no error")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := other.Record(ctx, auditlog.Entry{By: "x"}); err == nil {
		t.Error("a record after Close")
	}
}
