//go:build pgtest

package postgres_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep"
	"lockstep/access/accesstest"
)

// two are two servers that share all, the first of which leads.
func two(s *site) (a, b *host) {
	s.t.Helper()
	a = s.host("a").start()
	b = s.host("b").start()
	if got := []string{a.ready(), b.ready()}; !slices.Equal(got, []string{"ready, leader", "ready, follower"}) {
		s.t.Fatalf("they say %q", got)
	}
	return a, b
}

func (h *host) begin(req lockstep.Request) lockstep.RunID {
	h.s.t.Helper()
	id, err := h.client("").Start(context.Background(), req)
	if err != nil {
		h.s.t.Fatal(err)
	}
	return id
}

var backup = lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"}

// TestEventsOfAnothersRun: a server streams the events of a run that another one drives,
// all of them and in order, and says how late they are.
func TestEventsOfAnothersRun(t *testing.T) {
	s := newSite(t, "shop")
	a, b := two(s)
	release := s.hold()
	id := a.begin(backup)
	go func() { time.Sleep(3 * time.Second); release() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var late []time.Duration
	var last uint64
	for e, err := range b.client("").Events(ctx, id, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq == 0 {
			continue
		}
		if e.Seq != last+1 {
			t.Errorf("event %d comes after %d", e.Seq, last)
		}
		last = e.Seq
		late = append(late, time.Since(e.Time))
	}
	run := a.ended(id)
	if run.Ending.State != lockstep.RunSucceeded || last != run.Seq {
		t.Errorf("the run ended as %s with event %d; the other server's last one was %d", run.Ending.State, run.Seq, last)
	}
	slices.Sort(late)
	t.Logf("%d events came %s after they were made, at the most %s", len(late), late[len(late)/2].Round(time.Millisecond), late[len(late)-1].Round(time.Millisecond))
}

// TestCancelOfAnothersRun: a run is canceled through a server that does not drive it, and
// unlocked by the one that does.
func TestCancelOfAnothersRun(t *testing.T) {
	s := newSite(t, "shop")
	a, b := two(s)
	defer s.hold()()
	id := b.begin(backup) // a follower drives what it is asked for
	s.until("the backup is locked", func() bool { return s.locked("shop") })
	began := time.Now()
	if err := a.client("").Cancel(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	if run := a.ended(id); run.Ending.State != lockstep.RunCanceled || run.Ending.Locks != lockstep.LocksReleased || s.locked("shop") {
		t.Errorf("it ended as %+v", run.Ending)
	}
	t.Logf("canceled, unlocked and ended %s after it was asked for", time.Since(began).Round(time.Millisecond))
}

// browser asks for pages, with cookies, and follows no redirect.
type browser struct {
	t       *testing.T
	cookies []*http.Cookie
}

func (x *browser) ask(method, url string, form url.Values) (*http.Response, string) {
	x.t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(form.Encode()))
	if err != nil {
		x.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range x.cookies {
		req.AddCookie(c)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		x.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		x.t.Fatal(err)
	}
	for _, c := range resp.Cookies() {
		x.cookies = slices.DeleteFunc(x.cookies, func(o *http.Cookie) bool { return o.Name == c.Name })
		if c.MaxAge >= 0 {
			x.cookies = append(x.cookies, c)
		}
	}
	return resp, string(body)
}

// sees reports whether the pages of that server are shown.
func (x *browser) sees(h *host) bool {
	x.t.Helper()
	resp, _ := x.ask("GET", h.url+"/", nil)
	return resp.StatusCode == http.StatusOK
}

// TestAccessOnAll: a token and a login of one server are good on the other, and end there
// at once where they are ended.
func TestAccessOnAll(t *testing.T) {
	s := newSite(t, "shop")
	a, b := two(s)
	made := a.token("ann", "admin")
	if _, err := b.client(made.Secret).Runs(t.Context(), lockstep.RunFilter{}); err != nil {
		t.Errorf("a new token, on the other server: %v", err)
	}
	x := &browser{t: t}
	if resp, _ := x.ask("POST", a.url+"/login", url.Values{"token": {made.Secret}}); resp.StatusCode != http.StatusSeeOther || !x.sees(a) || !x.sees(b) {
		t.Fatalf("the login: %s; it is good on the first: %v, on the second: %v", resp.Status, x.sees(a), x.sees(b))
	}
	old := slices.Clone(x.cookies)
	x.ask("POST", b.url+"/logout", url.Values{})
	if x.cookies = old; x.sees(a) {
		t.Error("a session that was ended on one server opens pages of the other")
	}
	if resp, _ := x.ask("POST", b.url+"/login", url.Values{"token": {made.Secret}}); resp.StatusCode != http.StatusSeeOther || !x.sees(a) {
		t.Fatalf("the second login: %s", resp.Status)
	}
	if err := b.client("").RevokeToken(t.Context(), made.Token.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := a.client(made.Secret).Runs(t.Context(), lockstep.RunFilter{}); lockstep.KindOf(err) != lockstep.KindUnauthenticated {
		t.Errorf("a token that was revoked on the other server: %v", err)
	}
	if x.sees(a) {
		t.Error("the session of a token that was revoked on the other server opens pages")
	}
}

// TestALoginGoesFromOneToTheOther: begun on one server at the identity provider, and
// finished on the other.
func TestALoginGoesFromOneToTheOther(t *testing.T) {
	s, is := newSite(t, "shop"), accesstest.NewIssuer(t, time.Now())
	s.more = fmt.Sprintf("server: {public_url: \"http://127.0.0.1:1\"}\naccess: {pepper_file: %q, oidc: {issuer: %q, client_id: lockstep, groups: {ops: {roles: [viewer]}}}}\n", s.pepper(), is.URL)
	a, b := two(s)
	x := &browser{t: t}
	resp, body := x.ask("GET", a.url+"/login/oidc", nil)
	to := resp.Header.Get("Location")
	if resp.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, is.URL) {
		t.Fatalf("begun: %s to %q, %s", resp.Status, to, body)
	}
	back, err := url.Parse(is.Authorize(to))
	if err != nil {
		t.Fatal(err)
	}
	resp, body = x.ask("GET", b.url+back.RequestURI(), nil)
	if resp.StatusCode != http.StatusOK || !x.sees(a) || !x.sees(b) {
		t.Errorf("finished on the other server: %s, %s; it is good on the first: %v, on the second: %v", resp.Status, body, x.sees(a), x.sees(b))
	}
}

// post begins a run with a key.
func (h *host) post(token, key, body string) (status int, id string, err error) {
	req, err := http.NewRequest("POST", h.url+"/api/v1/runs", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var started struct{ ID, Detail string }
	err = json.NewDecoder(resp.Body).Decode(&started)
	if started.ID == "" {
		started.ID = started.Detail
	}
	return resp.StatusCode, started.ID, err
}

const check = `{"operation":"check","deployment":"shop"}`

// TestOneKeyOnTwoServers: the same request with the same key, to both at the same
// moment, again and again: one run each time, and both are told of it.
func TestOneKeyOnTwoServers(t *testing.T) {
	s := newSite(t, "shop")
	a, b := two(s)
	token := a.token("ci", "backup-operator").Secret
	const rounds = 8
	for round := range rounds {
		key, ids := rand.Text(), make([]string, 6)
		var wg sync.WaitGroup
		for i := range ids {
			h := []*host{a, b}[i%2]
			wg.Go(func() {
				status, id, err := h.post(token, key, check)
				if err != nil || status/100 != 2 {
					t.Errorf("round %d: %d, %s, %v", round, status, id, err)
				}
				ids[i] = id
			})
		}
		wg.Wait()
		if slices.ContainsFunc(ids, func(id string) bool { return id != ids[0] }) {
			t.Fatalf("round %d: they were told of %q", round, ids)
		}
		a.ended(lockstep.RunID(ids[0]))
		s.until("nobody drives", func() bool { // the driver lets go after the end
			status, id, err := b.post(token, key+"-next", check)
			if status/100 == 2 && err == nil {
				a.ended(lockstep.RunID(id))
			}
			return status/100 == 2
		})
	}
	if runs, err := b.client("").Runs(t.Context(), lockstep.RunFilter{}); err != nil || len(runs) != 2*rounds {
		t.Errorf("there are %d runs, %v; want %d", len(runs), err, 2*rounds)
	}
}

// TestAnApprovalOnAll: asked for on one server, given on the other, used once.
func TestAnApprovalOnAll(t *testing.T) {
	s := newSite(t, "shop")
	s.more = fmt.Sprintf("access: {pepper_file: %q, restore_approval: [shop]}\n", s.pepper())
	a, b := two(s)
	a.ended(a.begin(backup))
	ann, bob := a.token("ann", "restore-operator").Secret, b.token("bob", "approver", "viewer").Secret
	req := lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Backup: "latest"}
	if _, err := b.client(ann).Start(t.Context(), req); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Fatalf("with no approval: %v", err)
	}
	asked, err := a.client(ann).AskApproval(t.Context(), req, "the ledger is broken")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.client(bob).Approve(t.Context(), asked.ID); err != nil {
		t.Fatal(err)
	}
	// Two runs at the same moment, on two servers: one of them uses it.
	var wg sync.WaitGroup
	ids, errs := make([]lockstep.RunID, 2), make([]error, 2)
	for i, h := range []*host{a, b} {
		c, req := h.client(ann), req
		req.Approval = asked.ID
		wg.Go(func() { ids[i], errs[i] = c.Start(context.Background(), req) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("two restores with one approval: %v, and %v", errs[0], errs[1])
	}
	for i, err := range errs {
		if err == nil {
			if r := b.ended(ids[i]); r.Ending.State != lockstep.RunSucceeded {
				t.Errorf("the restore: %+v", r.Ending)
			}
		}
	}
}

// TestAnotherPepper: a server with another pepper, or with none, does not start, and says
// what to do.
func TestAnotherPepper(t *testing.T) {
	s := newSite(t, "shop")
	s.host("a").start()
	for name, pepper := range map[string]string{"none": s.dir + "/none", "other": s.dir + "/other"} {
		if name == "other" {
			s.write("other", strings.Repeat("ab", 32)+"\n", 0o600)
		}
		h := s.hostWith(name, pepper)
		if err := h.launch(); err == nil || !strings.Contains(h.log(), "pepper") || !strings.Contains(h.log(), "copy the file from another server") {
			t.Errorf("%s: %v\n%s", name, err, h.log())
		}
	}
}

// TestTheLeaderSettlesWhatADeadServerLeft: a server is killed while it drives a run that
// has locked; the leader, which goes on, unlocks and ends it.
func TestTheLeaderSettlesWhatADeadServerLeft(t *testing.T) {
	s := newSite(t, "shop")
	a, b := two(s)
	defer s.hold()()
	id := b.begin(backup)
	s.until("the backup is locked", func() bool { return s.locked("shop") })
	b.kill()
	began := time.Now()
	if run := a.ended(id); run.Ending.State != lockstep.RunInterrupted || run.Ending.Locks != lockstep.LocksReleased || s.locked("shop") {
		t.Errorf("it ended as %+v", run.Ending)
	}
	t.Logf("unlocked and ended %s after its server was killed", time.Since(began).Round(time.Second))
}
