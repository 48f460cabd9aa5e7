package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/api/client"
)

// besieged is a server in a process of its own, with the deployment of
// layOutShop, whose database's backup script waits for the file go.
type besieged struct {
	*served
	t      *testing.T
	token  string
	client *client.Client
	tries  http.Client
}

const waitsForGo = "#!/bin/sh\ncd \"${0%/jobs/*}\"\ntouch working\ni=0\nwhile [ ! -e go ] && [ $i -lt 6000 ]; do sleep 0.02; i=$((i+1)); done\n" + backupBody

func besiege(t *testing.T, dir string) *besieged {
	t.Helper()
	if testing.Short() {
		t.Skip("runs whole backups")
	}
	b := &besieged{served: &served{dir: dir}, t: t}
	b.must(os.WriteFile(filepath.Join(dir, "shop/db/jobs/postgres/bin/backup"), []byte(waitsForGo), 0o755))
	t.Cleanup(func() { _ = b.stop(os.Kill) })
	b.must(b.start())
	secret, err := access.ReadAdminToken(filepath.Join(dir, "state"))
	b.must(err)
	b.token = secret.Reveal()
	b.client, err = client.New(client.Config{URL: b.url, Token: b.token})
	b.must(err)
	b.tries.Transport = &http.Transport{MaxConnsPerHost: 64, MaxIdleConnsPerHost: 64}
	return b
}

func (b *besieged) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// locked begins a backup and waits until its jobs are locked.
func (b *besieged) locked(ctx context.Context) lockstep.RunID {
	b.t.Helper()
	id, err := b.client.Start(ctx, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	b.must(err)
	b.until(func() bool { return exists(filepath.Join(b.dir, "shop/db/working")) })
	return id
}

func (b *besieged) until(ready func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ready(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatal("waited a minute")
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// ended follows a run to its end and says how that was.
func (b *besieged) ended(ctx context.Context, id lockstep.RunID) lockstep.Ending {
	b.t.Helper()
	run := &lockstep.Run{}
	for e, err := range b.client.Events(ctx, id, 0) {
		b.must(err)
		if e.Seq > 0 {
			b.must(run.Apply(e))
		}
	}
	if run.Ending == nil {
		b.t.Fatalf("run %s has no end", id)
	}
	for _, dir := range []string{"db", "web"} {
		if exists(filepath.Join(b.dir, "shop", dir, "locked")) {
			b.t.Errorf("%s is still locked", dir)
		}
	}
	return *run.Ending
}

// ask sends a request and gives its status; 0 is a connection that broke.
func (b *besieged) ask(ctx context.Context, method, path string, body io.Reader) int {
	req, err := http.NewRequestWithContext(ctx, method, b.url+path, body)
	if err != nil {
		return -1
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.tries.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode >= 400 && !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
		b.t.Errorf("%s %s: %s without a reason", method, path, resp.Status)
	}
	return resp.StatusCode
}

// answerCount counts what came of many tries.
type answerCount struct {
	mu sync.Mutex
	n  map[int]int
}

func (t *answerCount) add(status int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[int]int{}
	}
	t.n[status]++
}

func (t *answerCount) only(statuses ...int) bool {
	for status := range t.n {
		if !slices.Contains(statuses, status) {
			return false
		}
	}
	return len(t.n) > 0
}

// connections is how many this test may open, no more than most.
func connections(most int) int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 100
	}
	return max(100, min(most, int(limit.Cur)-1000)) // the server has as many of its own
}

// TestBounds_ARunIsNotDisturbed does everything at once that a server must bear
// while a backup holds its locks: the run ends as if nothing had been.
//
//fault:68 slow senders, floods of requests, huge bodies and dead readers at once, while a backup holds its locks | the run ends as if nothing had been
func TestBounds_ARunIsNotDisturbed(t *testing.T) {
	dir := t.TempDir()
	if err := layOutShop(dir); err != nil {
		t.Fatal(err)
	}
	b := besiege(t, dir)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	id := b.locked(ctx)

	var siege sync.WaitGroup
	var over atomic.Bool
	idle := connections(10_000)
	var opened, closed atomic.Int64
	for range 8 { // connections that never finish their request
		siege.Go(func() {
			for range idle / 8 {
				if conn := b.dial("GET /api/v1/runs HTTP/1.1\r\nAc"); conn != nil {
					opened.Add(1)
					siege.Go(func() {
						defer conn.Close()
						_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
						if _, err := io.Copy(io.Discard, conn); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
							closed.Add(1)
						}
					})
				}
			}
		})
	}
	for range 50 { // watchers that never read
		conn := b.dial("GET /api/v1/runs/" + string(id) + "/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + b.token + "\r\n\r\n")
		if conn == nil {
			t.Fatal("no connection for a watcher")
		}
		_ = conn.(*net.TCPConn).SetReadBuffer(2048)
		defer conn.Close()
	}
	var flood, huge, nested, unknown answerCount
	for range 16 {
		siege.Go(func() {
			for n := 0; n < 40 || !over.Load() && n < 4000; n++ {
				flood.add(b.ask(ctx, "POST", "/api/v1/runs", strings.NewReader(`{"operation":"backup","deployment":"shop"}`)))
			}
		})
	}
	siege.Go(func() {
		for range 5 {
			huge.add(b.ask(ctx, "POST", "/api/v1/runs", bytes.NewReader(make([]byte, 8<<20))))            // says how large
			huge.add(b.ask(ctx, "POST", "/api/v1/runs", io.LimitReader(zeroes{}, 64<<20)))                // does not
			nested.add(b.ask(ctx, "POST", "/api/v1/runs", strings.NewReader(strings.Repeat("[", 1<<19)))) //
			nested.add(b.ask(ctx, "POST", "/api/v1/runs", strings.NewReader(strings.Repeat(`{"a":`, 1<<17))))
			unknown.add(b.ask(ctx, "GET", "/api/v1/nowhere/"+strings.Repeat("x", 8000), nil))
		}
	})

	// In the middle of it the run ends.
	time.Sleep(2 * time.Second)
	b.must(os.WriteFile(filepath.Join(dir, "shop/db/go"), nil, 0o644))
	if end := b.ended(ctx, id); end.State != lockstep.RunSucceeded || end.Data != lockstep.DataVerified || end.Locks != lockstep.LocksReleased {
		t.Errorf("the run ended %+v", end)
	}
	over.Store(true)
	if status := b.ask(ctx, "GET", "/healthz", nil); status != http.StatusOK {
		t.Errorf("/healthz: %d", status)
	}
	siege.Wait()
	t.Logf("%d connections opened, %d closed by the server; flood %v, huge %v, nested %v, unknown %v",
		opened.Load(), closed.Load(), flood.n, huge.n, nested.n, unknown.n)
	if opened.Load() < int64(idle)*9/10 || closed.Load() != opened.Load() {
		t.Errorf("of %d connections %d opened and %d were closed", idle, opened.Load(), closed.Load())
	}
	if !flood.only(http.StatusConflict, http.StatusTooManyRequests, http.StatusAccepted) || flood.n[http.StatusConflict] == 0 || flood.n[http.StatusTooManyRequests] == 0 {
		t.Errorf("the flood was answered %v", flood.n)
	}
	if !huge.only(http.StatusRequestEntityTooLarge, 0) || huge.n[http.StatusRequestEntityTooLarge] == 0 {
		t.Errorf("huge bodies were answered %v", huge.n)
	}
	b.must(b.stop(os.Interrupt)) // what the flood has begun ends unlocked too
	if exists(filepath.Join(dir, "shop/db/locked")) {
		t.Error("something is locked after the flood")
	}
	if !nested.only(http.StatusBadRequest) || !unknown.only(http.StatusNotFound) {
		t.Errorf("nested bodies were answered %v, unknown paths %v", nested.n, unknown.n)
	}
}

// dial opens a connection and writes to it.
func (b *besieged) dial(text string) net.Conn {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(b.url, "http://"), 10*time.Second)
	if err != nil {
		return nil
	}
	if _, err := io.WriteString(conn, text); err != nil {
		_ = conn.Close()
		return nil
	}
	return conn
}

// zeroes is a body without an end.
type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

//fault:69 the server is flooded by one principal | another's cancel passes, and all is unlocked
func TestBounds_ACancelPassesAFlood(t *testing.T) {
	dir := t.TempDir()
	if err := layOutShop(dir); err != nil {
		t.Fatal(err)
	}
	b := besiege(t, dir)
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	id := b.locked(ctx)
	var siege sync.WaitGroup
	var over atomic.Bool
	for range 16 {
		siege.Go(func() {
			for !over.Load() && ctx.Err() == nil {
				b.ask(ctx, "POST", "/api/v1/runs", strings.NewReader(`{"operation":"backup","deployment":"shop"}`))
			}
		})
	}
	defer siege.Wait()
	defer over.Store(true)
	b.must(b.client.Cancel(ctx, id, ""))
	if end := b.ended(ctx, id); end.State != lockstep.RunCanceled || end.Locks != lockstep.LocksReleased {
		t.Errorf("the run ended %+v", end)
	}
}
