package ui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// sent is one server-sent event.
type sent struct {
	name, id string
	patch    Patch
}

// reader reads a stream; next fails the test when nothing comes.
type reader struct {
	t    *testing.T
	scan *bufio.Scanner
	stop context.CancelFunc
}

func open(t *testing.T, server, last string) *reader {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	r, err := http.NewRequestWithContext(ctx, "GET", server+runPath+"/stream?after=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = answer.Body.Close() })
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%s: %s", answer.Status, got)
	}
	scan := bufio.NewScanner(answer.Body)
	scan.Buffer(nil, 1<<20)
	return &reader{t, scan, cancel}
}

func (r *reader) next() (s sent) {
	r.t.Helper()
	for r.scan.Scan() {
		field, value, _ := strings.Cut(r.scan.Text(), ": ")
		switch field {
		case "event":
			s.name = value
		case "id":
			s.id = value
		case "data":
			if err := json.Unmarshal([]byte(value), &s.patch); err != nil {
				r.t.Fatal(err)
			}
		case "":
			if s.name != "" {
				return s
			}
		}
	}
	r.t.Fatalf("the stream ended: %v", r.scan.Err())
	return s
}

// until reads until a mark has that state, and gives all that was read.
func (r *reader) until(key, state string) (got map[string]Mark, last sent) {
	r.t.Helper()
	got = map[string]Mark{}
	for {
		last = r.next()
		for _, m := range last.patch.Marks {
			got[m.Key] = m
		}
		if got[key].State == state {
			return got, last
		}
	}
}

func stream(t *testing.T) (*fakeService, *Pages, string) {
	f := newFake(newPlay().open(lockstep.OperationBackup).drive(2500 * time.Millisecond))
	pages := New(Config{Service: f, Now: func() time.Time { return begin }})
	server := httptest.NewServer(asAdmin(pages))
	t.Cleanup(server.Close)
	return f, pages, server.URL
}

func TestStreamFollowsARunToItsEnd(t *testing.T) {
	f, _, server := stream(t)
	r := open(t, server, "")
	got, first := r.until("s-check", stateOK)
	if first.id != fmt.Sprint(f.play.run.Seq) || got["lock"].State != "locked" {
		t.Errorf("the first patch has the number %s, the run %d; lock is %v", first.id, f.play.run.Seq, got["lock"])
	}
	f.emit(func(p *play) { p.drive(7 * time.Second) })
	got, _ = r.until("s-work", stateRunning)
	if got["b5"].State != "open" || got["b6"].State != "closed" {
		t.Errorf("in the work stage: %v", got)
	}
	if _, again := got["s-check"]; again {
		t.Error("a mark that did not change was sent again")
	}
	f.emit(func(p *play) { p.drive(0) })
	if got, _ := r.until("s-clean", stateOK); got["lock"].State != "released" {
		t.Errorf("at the end: %v", got["lock"])
	}
	if s := r.next(); s.name != "end" {
		t.Errorf("behind the last patch: %+v", s)
	}
}

// A reader that was cut off gets what changed since, and no more.
func TestStreamGoesOnWhereItWasCut(t *testing.T) {
	f, _, server := stream(t)
	r := open(t, server, "")
	_, last := r.until("s-check", stateOK)
	r.stop()
	f.emit(func(p *play) { p.drive(7 * time.Second) })
	keep := open(t, server, "") // somebody else looks on, so that the fold goes on
	keep.until("s-work", stateRunning)
	got, _ := open(t, server, last.id).until("s-work", stateRunning)
	whole := len(PictureOf(f.play.run, &lockstep.Meter{}).Marks())
	if len(got) == 0 || len(got) > whole {
		t.Errorf("%d marks of %d after event %s", len(got), whole, last.id)
	}
	if got["b5"].State != "open" {
		t.Errorf("what changed in between is missing: %v", got["b5"])
	}
}

func TestProgressIsShown(t *testing.T) {
	f, _, server := stream(t)
	f.emit(func(p *play) { p.drive(18 * time.Second) })
	r := open(t, server, "")
	r.until("s-collect", stateRunning)
	f.emit(func(p *play) {
		id := p.run.Running()[0]
		for _, s := range []int{1, 2} {
			f.extra = append(f.extra, lockstep.Event{V: 1, Run: playedRun, Time: p.now.Add(time.Duration(s) * time.Second), Data: lockstep.Progress{Step: id, Bytes: int64(s) << 20, Total: 4 << 20}})
		}
	})
	if got, _ := r.until("flow", stateRunning); !strings.Contains(got["flow"].Text, "of 4.0 MiB") {
		t.Errorf("flow: %+v", got["flow"])
	}
}

// Whoever looks at the same run shares one fold, and it ends with the last of
// them.
func TestWatchersShareOneFold(t *testing.T) {
	f, pages, server := stream(t)
	var readers []*reader
	for range 20 {
		r := open(t, server, "")
		r.until("s-check", stateOK)
		readers = append(readers, r)
	}
	count := func() (feeds, watchers int) {
		pages.feeds.mu.Lock()
		defer pages.feeds.mu.Unlock()
		for _, w := range pages.feeds.feeds {
			watchers += w.watchers
		}
		return len(pages.feeds.feeds), watchers
	}
	if feeds, watchers := count(); feeds != 1 || watchers != 20 {
		t.Errorf("%d folds for %d watchers", feeds, watchers)
	}
	for _, r := range readers {
		r.stop()
	}
	for range 200 {
		if feeds, _ := count(); feeds == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a fold goes on although nobody looks")
	_ = f
}

func TestStreamOfNoRun(t *testing.T) {
	_, _, server := stream(t)
	answer, err := http.Get(server + "/runs/0198c0de-0000-7000-8000-000000000000/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusNotFound {
		t.Errorf("status %s", answer.Status)
	}
}
