package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/api/client"
	"lockstep/journal/sqlite"
)

// longJournal and shortJournal are how many runs are in a journal.
const (
	longJournal  = 100_000
	shortJournal = 100
	watchers     = 1000
)

// servers measures `lockstep serve` in processes of its own: lists over a long
// journal, many watchers of one run, and how soon it is ready.
func servers(b *bench) error {
	short, err := b.server("short", shortJournal)
	if err != nil {
		return err
	}
	long, err := b.server("long", longJournal)
	if err != nil {
		return err
	}
	page := row{Case: fmt.Sprintf("a page of 50 runs, %d runs in the journal / %d", longJournal, shortJournal), Unit: "ms", Limit: 2, Kind: ratioAtMost}
	for i := range 2*b.turns + 3 {
		if err := b.turn(&page, i, short.page, long.page); err != nil {
			return err
		}
	}
	begin := row{Case: fmt.Sprintf("start to ready, %d runs in the journal", longJournal), Unit: "s", Limit: 1, Kind: valueAtMost}
	for range b.turns {
		if err := long.stop(); err != nil {
			return err
		}
		took, err := seconds(long.start)
		if err != nil {
			return err
		}
		begin.Ours = append(begin.Ours, took)
	}
	b.rows = append(b.rows, page, begin)
	return b.watched(short)
}

// watched measures one run with and without many who watch it.
func (b *bench) watched(s *servedShop) error {
	window := row{Case: fmt.Sprintf("lock window, %d watchers / none", watchers), Unit: "s", Limit: 1.1, Kind: ratioAtMost}
	memory := row{Case: fmt.Sprintf("memory of the server with %d watchers, above that before", watchers), Unit: "MiB", Limit: 64, Kind: valueAtMost}
	for i := range b.turns {
		err := b.turn(&window, i, func() (float64, error) { return s.backup(0, nil) }, func() (float64, error) {
			before := resident(s.cmd.Process.Pid)
			took, err := s.backup(watchers, func() {
				memory.Ours = append(memory.Ours, resident(s.cmd.Process.Pid)-before)
			})
			return took, err
		})
		if err != nil {
			return err
		}
	}
	b.rows = append(b.rows, window, memory)
	return nil
}

// servedShop is a server with a deployment of one instance, a folder.
type servedShop struct {
	bench *bench
	dir   string
	cmd   *exec.Cmd
	url   string
	token string
	*client.Client
}

const servedConfig = `state_dir: state
repository: {dir: backups}
deployments:
  shop:
    local: {}
    script_location: jobs/{job}/bin
    artifact_location: store
    launcher_location: run
    claim_location: claim
    instance_groups:
    - {name: db, instances: [{id: "0", dir: db}]}
`

// server makes a server whose journal has that many runs already.
func (b *bench) server(name string, runs int) (*servedShop, error) {
	dir, err := b.folder("server-" + name)
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(dir, "db", "jobs", "postgres", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return nil, err
	}
	for script, body := range map[string]string{
		"pre-backup-lock": "true", "post-backup-unlock": "true", "backup": "sleep 3; echo data > $BBR_ARTIFACT_DIRECTORY/data",
	} {
		if err := os.WriteFile(filepath.Join(bin, script), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "lockstep.yaml"), []byte(servedConfig), 0o600); err != nil {
		return nil, err
	}
	if err := fillJournal(filepath.Join(dir, "state"), runs); err != nil {
		return nil, err
	}
	s := &servedShop{bench: b, dir: dir}
	b.atEnd(func() { _ = s.stop() })
	return s, s.start()
}

// fillJournal makes a journal of ended runs: one is written as every run is,
// the others are copies of its rows.
func fillJournal(dir string, runs int) error {
	ctx := context.Background()
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	began := time.Now().Add(-time.Duration(runs) * time.Minute)
	idOf := func(i int) string {
		return string(lockstep.NewRunID(began.Add(time.Duration(i)*time.Minute), [8]byte{byte(i >> 8), byte(i)}))
	}
	first := lockstep.RunID(idOf(0))
	event := func(seq uint64, data lockstep.EventData) lockstep.Event {
		return lockstep.Event{V: 1, Run: first, Seq: seq, Term: 1, Time: began, Data: data}
	}
	err = firstOf(j.Append(ctx,
		event(1, lockstep.RunOpened{Operation: lockstep.OperationBackup, Deployment: "old", Key: "spec:old"}),
		event(2, lockstep.RunEnded{Ending: lockstep.Ending{State: lockstep.RunSucceeded, Data: lockstep.DataVerified, Locks: lockstep.LocksReleased}}),
	), j.Close())
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "lockstep.db"))
	if err != nil {
		return err
	}
	return firstOf(copyRuns(db, string(first), runs, idOf), db.Close())
}

func copyRuns(db *sql.DB, first string, runs int, idOf func(int) string) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() // after a commit it does nothing
	const others = `seq, term, planned, key, deployment, operation, state, data, locks, backup, started, ended, lock_started, unlock_ended, lock_window, error, exit_code`
	for i := 1; i < runs; i++ {
		id := idOf(i)
		row, err := tx.Exec(`INSERT INTO runs (id, `+others+`) SELECT ?, `+others+` FROM runs WHERE id = ?`, id, first)
		if err != nil {
			return err
		}
		n, err := row.LastInsertId()
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO events (run, seq, body) SELECT ?, seq, CAST(replace(CAST(body AS TEXT), ?, ?) AS BLOB)
			FROM events WHERE run = (SELECT n FROM runs WHERE id = ?)`, n, first, id, first)
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

// start starts the server and returns when it is ready.
func (s *servedShop) start() error {
	s.cmd = exec.Command(s.bench.lockstep, "serve", "--listen", "127.0.0.1:0")
	s.cmd.Dir = s.dir
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server does not listen: %w", err)
	}
	s.url = strings.TrimSpace(line)
	for deadline := time.Now().Add(time.Minute); !s.isReady(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the server was not ready in a minute")
		}
	}
	secret, err := access.ReadAdminToken(filepath.Join(s.dir, "state"))
	if err != nil {
		return err
	}
	s.token = secret.Reveal()
	s.Client, err = client.New(client.Config{URL: s.url, Token: s.token})
	return err
}

func (s *servedShop) isReady() bool {
	resp, err := http.Get(s.url + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (s *servedShop) stop() error {
	if s.cmd == nil || s.cmd.ProcessState != nil {
		return nil
	}
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return s.cmd.Wait()
}

// page measures one page of runs, in ms: the mean of many.
func (s *servedShop) page() (float64, error) {
	const times = 50
	took, err := seconds(func() error {
		for range times {
			runs, err := s.Runs(context.Background(), lockstep.RunFilter{Limit: 50})
			if err == nil && len(runs) != 50 {
				err = fmt.Errorf("a page of %d runs", len(runs))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return took / times * 1000, err
}

// backup runs one backup with that many watchers and gives its lock window.
// during is called in the middle of it.
func (s *servedShop) backup(watchers int, during func()) (float64, error) {
	ctx := context.Background()
	id, err := s.Start(ctx, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err != nil {
		return 0, err
	}
	var wg sync.WaitGroup
	errs := make([]error, watchers)
	for i := range watchers {
		wg.Go(func() { errs[i] = s.watch(id) })
	}
	if during != nil {
		time.Sleep(2500 * time.Millisecond)
		during()
	}
	run := &lockstep.Run{}
	for e, err := range s.Events(ctx, id, 0) {
		if err != nil {
			return 0, err
		}
		if e.Seq > 0 {
			if err := run.Apply(e); err != nil {
				return 0, err
			}
		}
	}
	wg.Wait()
	if run.Ending == nil || run.Ending.State != lockstep.RunSucceeded {
		return 0, fmt.Errorf("the backup ended %+v", run.Ending)
	}
	return run.LockWindow(time.Now()).Seconds(), firstOf(errs...)
}

// watch reads a run's events to their end, over a connection of its own and
// with as little work as can be: it is the server that is measured.
func (s *servedShop) watch(id lockstep.RunID) error {
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET /api/v1/runs/%s/events HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", id, s.token)
	if err != nil {
		return err
	}
	last, err := tail(conn)
	if err == nil && !strings.Contains(last, "run-ended") {
		err = fmt.Errorf("a watcher's stream ended with %q", last)
	}
	return err
}

// tail reads to the end and gives the last part.
func tail(r io.Reader) (string, error) {
	var kept []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		kept = append(kept, buf[:n]...)
		kept = kept[max(0, len(kept)-4096):]
		if err == io.EOF {
			return string(kept), nil
		}
		if err != nil {
			return "", err
		}
	}
}

// resident is the memory of a process, in MiB.
func resident(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var kib float64
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			_, _ = fmt.Sscan(value, &kib)
		}
	}
	return kib / 1024
}
