//go:build pgtest

package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/internal/pgtest"
)

// minutes is how many minutes of slots a leader is killed in, or the number in
// LOCKSTEP_TEST_MINUTES: a schedule is due once a minute at most.
func minutes() int {
	if n, err := strconv.Atoi(os.Getenv("LOCKSTEP_TEST_MINUTES")); err == nil {
		return n
	}
	return 3
}

// ears is a receiver of notices.
type ears struct {
	*httptest.Server
	mu    sync.Mutex
	heard map[lockstep.RunID]map[string]int // how often, by run and id of the notice
}

func newEars(t *testing.T) *ears {
	e := &ears{heard: map[lockstep.RunID]map[string]int{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var notice struct{ Data lockstep.Notice }
		if err := json.NewDecoder(r.Body).Decode(&notice); err != nil {
			t.Error(err)
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.heard[notice.Data.Run] == nil {
			e.heard[notice.Data.Run] = map[string]int{}
		}
		e.heard[notice.Data.Run][notice.Data.ID]++
	}))
	t.Cleanup(e.Close)
	return e
}

// fate is a way in which a leader goes.
type fate struct {
	name string
	do   func(leader *host)
}

// fates: it is killed, it is stopped, or the database ends its sessions.
func fates(s *site) []fate {
	back := func(h *host) {
		time.Sleep(2 * time.Second)
		h.start()
	}
	return []fate{
		{"killed", func(h *host) { h.kill(); back(h) }},
		{"stopped", func(h *host) { h.stop(); back(h) }},
		{"cut off", func(*host) {
			pgtest.Exec(s.t, s.url, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		}},
	}
}

// TestLeadersAreKilled: the leader is killed, stopped and cut off, again and again, around
// the moments in which schedules are due. Each slot is begun once, none is lost, each run
// ends, and of each that ended a notice arrives.
//
//fault:leader-killed the leader of two servers is killed, stopped, or loses its sessions while schedules are due | the other one leads within seconds; each slot is begun once, and each notice arrives
func TestLeadersAreKilled(t *testing.T) {
	names := []string{"shop", "blog", "wiki", "mail", "bank"}
	s, heard := newSite(t, names...), newEars(t)
	s.write("secret", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=\n", 0o600)
	s.more = fmt.Sprintf("notify:\n- name: ears\n  events: [succeeded, failed]\n  webhook: {url: %q, secret_file: %q, plain_http: true, allow: [127.0.0.0/8]}\nschedules:\n",
		heard.URL, filepath.Join(s.dir, "secret"))
	for _, name := range names {
		s.more += fmt.Sprintf("  each-%s: {deployment: %s, operation: check, cron: \"* * * * *\"}\n", name, name)
	}
	a, b := two(s)
	first := time.Now().Truncate(time.Minute).Add(time.Minute) // the next slot
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	last := first
	for n := range 2 * minutes() { // at a slot, and half a minute after it, in turns
		at := first.Add(time.Duration(n) * 30 * time.Second).Add(time.Duration(random.IntN(3000)-1500) * time.Millisecond)
		time.Sleep(time.Until(at))
		var leader *host
		s.until("somebody leads", func() bool {
			for _, h := range []*host{a, b} {
				if h.leads() {
					leader = h
				}
			}
			return leader != nil
		})
		how := fates(s)[n%3]
		t.Logf("%s the leader is %s", time.Now().Format("04:05.000"), how.name)
		how.do(leader)
		last = time.Now()
	}
	time.Sleep(10 * time.Second) // what fell due meanwhile is begun
	c := s.anyone(a, b).client("")
	s.until("all runs have ended", func() bool {
		open, err := c.Runs(t.Context(), lockstep.RunFilter{State: lockstep.RunRunning})
		return err == nil && len(open) == 0
	})
	s.until("all notices are delivered", func() bool {
		wait, err := c.Notices().Deliveries(t.Context(), lockstep.DeliveryFilter{State: lockstep.DeliveryPending, Limit: 100})
		return err == nil && len(wait) == 0 && heard.all(t, s, a, b)
	})
	if both := a.leads() && b.leads(); both {
		t.Error("both say that they lead")
	}
	s.slotsOnce(a, first, last.Truncate(time.Minute))
}

// anyone is a server that is ready.
func (s *site) anyone(hosts ...*host) *host {
	s.t.Helper()
	var found *host
	s.until("a server is ready", func() bool {
		i := slices.IndexFunc(hosts, func(h *host) bool { return h.leads() })
		if i >= 0 {
			found = hosts[i]
		}
		return i >= 0
	})
	return found
}

// all reports whether something was heard of each run.
func (e *ears) all(t *testing.T, s *site, hosts ...*host) bool {
	t.Helper()
	runs, err := s.anyone(hosts...).client("").Runs(t.Context(), lockstep.RunFilter{})
	if err != nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return !slices.ContainsFunc(runs, func(r lockstep.RunSummary) bool { return e.heard[r.ID] == nil })
}

// slotsOnce demands that each minute from first to last was decided on once by each
// schedule, and that the runs that there are are those of the slots.
func (s *site) slotsOnce(h *host, first, last time.Time) {
	s.t.Helper()
	c := h.client("")
	runs, err := c.Runs(context.Background(), lockstep.RunFilter{})
	if err != nil {
		s.t.Fatal(err)
	}
	left := map[lockstep.RunID]bool{}
	for _, r := range runs {
		left[r.ID] = true
	}
	begun, skipped := 0, 0
	for _, name := range s.names {
		records, err := c.Schedules().History(context.Background(), "each-"+name, 0, 1000)
		if err != nil {
			s.t.Fatal(err)
		}
		decided := map[int64]int{}
		for _, r := range records {
			for at := r.Slot; !at.After(r.Last); at = at.Add(time.Minute) {
				decided[at.Unix()]++
			}
			switch r.State {
			case lockstep.SlotBegun:
				begun++
				if !left[r.Run] {
					s.t.Errorf("%s: the run %s of the slot %s is not there, or is that of another slot", name, r.Run, r.Slot)
				}
				delete(left, r.Run)
			case lockstep.SlotSkipped:
				skipped++
				s.t.Logf("%s: %s is skipped: %s", name, r.Slot.Format("15:04"), r.Reason)
			case lockstep.SlotClaimed, lockstep.SlotDone, lockstep.SlotFailed:
				s.t.Errorf("%s: the slot %s is %s: %s", name, r.Slot, r.State, r.Reason)
			}
		}
		for at := first; !at.After(last); at = at.Add(time.Minute) {
			if n := decided[at.Unix()]; n != 1 {
				s.t.Errorf("%s: the slot %s was decided on %d times", name, at.Format("15:04"), n)
			}
		}
	}
	for id := range left {
		s.t.Errorf("run %s is of no slot", id)
	}
	s.t.Logf("%d slots were begun, %d skipped", begun, skipped)
	if begun < 2*skipped || begun == 0 {
		s.t.Errorf("%d slots were begun, %d skipped", begun, skipped)
	}
}

// TestRollingRestart: two servers are stopped and started again, one after the other,
// while requests come all the time. Whoever does not reach one asks the other, with the
// same key. Each request is answered, and each key has begun one run.
//
//fault:rolling-restart servers are restarted one after the other under load | requests see broken connections and servers that stop, and are answered by the other one; one run for each key
func TestRollingRestart(t *testing.T) {
	s := newSite(t, "shop", "blog")
	a, b := two(s)
	hosts, urls := []*host{a, b}, []string{a.url, b.url}
	token := a.token("ci", "backup-operator").Secret
	stop := make(chan struct{})
	var load sync.WaitGroup
	answered := make([][]string, 2)
	for i, name := range s.names {
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := s.insist(urls, i, token, fmt.Sprintf("%s-%d", name, n), fmt.Sprintf(`{"operation":"check","deployment":%q}`, name))
				answered[i] = append(answered[i], id)
				time.Sleep(300 * time.Millisecond)
			}
		})
	}
	for range 2 {
		for i, h := range hosts {
			time.Sleep(time.Second)
			began := time.Now()
			h.stop()
			other := hosts[1-i]
			s.until("the other one leads", func() bool { return other.leads() })
			t.Logf("stopped, and the other one leads, %s after the signal", time.Since(began).Round(time.Millisecond))
			h.start()
		}
	}
	close(stop)
	load.Wait()
	runs, err := a.client("").Runs(t.Context(), lockstep.RunFilter{})
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(answered...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != len(runs) || n != len(answered[0])+len(answered[1]) {
		t.Errorf("%d keys were answered with %d runs, and there are %d", len(answered[0])+len(answered[1]), n, len(runs))
	}
	t.Logf("%d requests were answered", len(all))
}

// insist asks both servers in turns, beginning with the first-th, until one begins the
// run. What it may be refused for is that a server is not there, or stops, or that the
// run before has not let go.
func (s *site) insist(urls []string, first int, token, key, body string) string {
	for n := first; n < first+400; n++ {
		h := &host{s: s, url: urls[n%2]}
		status, id, err := h.post(token, key, body)
		switch {
		case err != nil, status == http.StatusServiceUnavailable, status == http.StatusConflict, status == http.StatusTooManyRequests:
			time.Sleep(50 * time.Millisecond)
		case status == http.StatusAccepted || status == http.StatusOK:
			return id
		default:
			s.t.Errorf("key %s: %d, %s", key, status, id)
			return ""
		}
	}
	s.t.Errorf("key %s was never answered", key)
	return ""
}
