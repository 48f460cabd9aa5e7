package api

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/access"
)

const backupOfShop = `{"operation":"backup","deployment":"shop"}`

func (s *shop) start(key, body string) (int, string) {
	s.t.Helper()
	resp := s.ask("POST", "/runs", body, "Idempotency-Key", key)
	var started struct {
		ID     string `json:"id"`
		Detail string `json:"detail"`
	}
	s.must(json.NewDecoder(resp.Body).Decode(&started))
	if resp.StatusCode == http.StatusAccepted && resp.Header.Get("Location") != "/api/v1/runs/"+started.ID {
		s.t.Errorf("location %q of run %s", resp.Header.Get("Location"), started.ID)
	}
	return resp.StatusCode, started.ID + started.Detail
}

//fault:31 a request is sent again under its key | the same run is the answer; another body under that key is a conflict
func TestStart_TheSameKeyIsTheSameRun(t *testing.T) {
	s := newShop(t)
	var mu sync.Mutex
	ids := map[string]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			status, id := s.start("k", backupOfShop)
			mu.Lock()
			defer mu.Unlock()
			ids[fmt.Sprint(status, id)]++
		})
	}
	wg.Wait()
	s.app.Close()
	s.serve() // the orchestrator was started again
	status, id := s.start("k", backupOfShop)
	ids[fmt.Sprint(status, id)]++
	if len(ids) != 1 || status != http.StatusAccepted {
		t.Errorf("nine requests with one key gave %v", ids)
	}
	if status, detail := s.start("k", `{"operation":"check","deployment":"shop"}`); status != http.StatusConflict {
		t.Errorf("another request with the key: %d %s", status, detail)
	}
	runs, err := s.app.Runs(t.Context(), lockstep.RunFilter{})
	if err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
}

func TestStart_AKeyWhoseRunDidNotBeginMayBeTriedAgain(t *testing.T) {
	s := newShop(t)
	s.script("backup", "i=0; while [ ! -e go ] && [ $i -lt 1500 ]; do sleep 0.02; i=$((i+1)); done; touch \"$BBR_ARTIFACT_DIRECTORY/x\"")
	_, first := s.start("first", backupOfShop)
	if status, detail := s.start("second", backupOfShop); status != http.StatusConflict {
		t.Fatalf("a second run at once: %d %s", status, detail)
	}
	s.must(s.app.Cancel(t.Context(), lockstep.RunID(first), "test"))
	s.app.Close()
	if status, id := s.start("second", backupOfShop); status != http.StatusAccepted || id == first {
		t.Errorf("the second, again: %d %s", status, id)
	}
	s.script("backup", "true")
	for _, id := range s.app.Driving() {
		s.must(s.app.Cancel(t.Context(), id, "test"))
	}
}

// Who may not begin a run leaves nothing behind: their keys would fill the disk.
func TestStart_NoKeyIsKeptForWhoIsRefused(t *testing.T) {
	s := newShop(t)
	s.who.Grants = []access.Grant{{Role: access.RoleViewer, Deployments: "*"}}
	if status, body := s.start("k", `{"operation":"cleanup","deployment":"shop"}`); status != http.StatusForbidden {
		t.Fatalf("%d %s", status, body)
	}
	s.who = access.Local("test")
	if status, body := s.start("k", `{"operation":"check","deployment":"shop"}`); status != http.StatusAccepted {
		t.Errorf("the same key, in another request of somebody who may: %d %s", status, body)
	}
}

//fault:69 one principal begins run after run | too many are refused, with when to ask again
func TestStart_ManyAreTooMany(t *testing.T) {
	s := newShop(t)
	at := time.Now()
	s.api.starts.now = func() time.Time { return at }
	statuses := map[int]int{}
	for range startBurst + 10 {
		resp := s.ask("POST", "/runs", `{"operation":"backup","deployment":"nowhere"}`)
		_, _ = io.Copy(io.Discard, resp.Body)
		statuses[resp.StatusCode]++
		if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
			t.Error("it does not say when to ask again")
		}
	}
	if statuses[http.StatusTooManyRequests] == 0 || statuses[http.StatusNotFound] < startBurst {
		t.Errorf("got %v", statuses)
	}
	// What unlocks is never too much.
	resp := s.ask("POST", "/runs", `{"operation":"cleanup","deployment":"shop"}`)
	if resp.StatusCode != http.StatusAccepted {
		t.Errorf("a cleanup: %s", resp.Status)
	}
}

func TestLimiter_Refills(t *testing.T) {
	now := time.Unix(0, 0)
	l := newLimiter(func() time.Time { return now })
	for range startBurst {
		if err := l.take("a"); err != nil {
			t.Fatal(err)
		}
	}
	if l.take("a") == nil || l.take("b") != nil {
		t.Error("the burst of one is not that of another")
	}
	now = now.Add(startEvery)
	if l.take("a") != nil || l.take("a") == nil {
		t.Error("one more after a while, and no more")
	}
	now = now.Add(time.Hour)
	_ = l.take("c")
	if len(l.by) != 1 {
		t.Errorf("%d are remembered", len(l.by))
	}
}

func TestList_Pages(t *testing.T) {
	s := newShop(t)
	var all []string
	for range 5 {
		id, err := s.app.Start(t.Context(), lockstep.Request{Operation: lockstep.OperationCheck, Deployment: "shop"})
		s.must(err)
		s.app.Close()
		all = append([]string{string(id)}, all...)
	}
	var got []string
	cursor, pages := "", 0
	for {
		resp := s.ask("GET", "/runs?limit=2&cursor="+cursor, "")
		var p Page[lockstep.RunSummary]
		s.must(json.NewDecoder(resp.Body).Decode(&p))
		for _, r := range p.Items {
			got = append(got, string(r.ID))
		}
		pages++
		if cursor = p.Next; cursor == "" {
			break
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(all) || pages != 3 {
		t.Errorf("%d pages: %v, want %v", pages, got, all)
	}
}
