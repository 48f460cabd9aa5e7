package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep"
	"lockstep/auditlog"
)

// approvalTest has bank, whose restores need a second person, and shop, whose
// do not.
type approvalTest struct {
	guarded
	*Approvals
	clock *clock
}

func newApprovals(t *testing.T) approvalTest {
	t.Helper()
	x := approvalTest{guarded: guarded{svc: newFakeService(), log: &memoryLog{}}, clock: newClock()}
	x.Approvals = NewApprovals(ApprovalsConfig{Store: openStore(t), Audit: x.log, Deployments: []string{"ban?"}, Now: x.clock.now})
	x.Service = Guard(GuardConfig{Service: x.guarded.svc, Audit: x.log, Approvals: x.Approvals, Log: slog.New(slog.DiscardHandler)})
	return x
}

func person(name string, grants ...Grant) context.Context {
	return WithPrincipal(context.Background(), Principal{Name: name, Kind: KindOIDC, Grants: grants})
}

var (
	ann = person("ann", Grant{RoleRestoreOperator, "*"})
	bob = person("bob", Grant{RoleApprover, "*"})
)

func restoreOf(deployment string) lockstep.Request {
	return lockstep.Request{Operation: lockstep.OperationRestore, Deployment: deployment, Backup: "latest"}
}

func (x approvalTest) ask(t *testing.T) Approval {
	t.Helper()
	a, err := x.Ask(ann, restoreOf("bank"), "the ledger is broken")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (x approvalTest) approvedOne(t *testing.T) Approval {
	t.Helper()
	a, err := x.Approve(bob, x.ask(t).ID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (x approvalTest) restores() (n int) {
	for _, e := range x.guarded.svc.effects {
		if strings.HasPrefix(e, "start restore") {
			n++
		}
	}
	return n
}

func TestApprovals_TwoPeopleRestore(t *testing.T) {
	x := newApprovals(t)
	a := x.ask(t)
	if a.State != ApprovalWaiting || a.Request.Backup != "bank_1" || a.PlanDigest != "sha256:plan-of-bank-bank_1" || a.PlanRun == "" {
		t.Fatalf("asked for: %+v", a)
	}
	a, err := x.Approve(bob, a.ID)
	if err != nil || a.State != ApprovalApproved || a.DecidedBy != "oidc:bob" || a.AskedBy != "oidc:ann" {
		t.Fatalf("approved: %+v, %v", a, err)
	}
	req := restoreOf("bank")
	req.Approval, req.ID = a.ID, newRunID()
	for range 2 { // asked again, as after a crash, it is the same run
		if _, err := x.Start(ann, req); err != nil {
			t.Fatal(err)
		}
	}
	if got := x.guarded.svc.last; got.PlanDigest != a.PlanDigest || got.Backup != "bank_1" || got.By != "oidc:ann" {
		t.Errorf("it was started as %+v", got)
	}
	first := req.ID
	req.ID = newRunID()
	if _, err := x.Start(ann, req); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("for a second run: %v; want it refused", err)
	}
	if a, err = x.Get(bob, a.ID); err != nil || a.State != ApprovalUsed || a.Run != first {
		t.Errorf("afterwards it is %+v, %v", a, err)
	}
}

func TestApprovals_WhatNeedsOne(t *testing.T) {
	x := newApprovals(t)
	from := restoreOf("shop")
	from.From = "bank"
	for name, req := range map[string]lockstep.Request{"a restore of it": restoreOf("bank"), "its data going elsewhere": from} {
		if _, err := x.Start(ann, req); lockstep.KindOf(err) != lockstep.KindRefused || !strings.Contains(lockstep.HintOf(err), "--ask") {
			t.Errorf("%s: %v, %s", name, err, lockstep.HintOf(err))
		}
	}
	if x.restores() > 0 {
		t.Fatal("it was started")
	}
	if _, err := x.Start(ann, restoreOf("shop")); err != nil {
		t.Errorf("one that needs none: %v", err)
	}
	// Letting go never waits for anybody.
	for _, c := range calls() {
		if c.unlocks {
			if err := c.do(ann, x, "bank"); err != nil {
				t.Errorf("%s: %v", c.method, err)
			}
		}
	}
}

func TestApprovals_TheSecondPersonIsAnother(t *testing.T) {
	both := []Grant{{RoleRestoreOperator, "*"}, {RoleApprover, "*"}}
	for name, tc := range map[string]struct {
		asker, approver Principal
		want            lockstep.Kind
	}{
		"the same":               {Principal{Name: "a", Kind: KindOIDC}, Principal{Name: "a", Kind: KindOIDC}, lockstep.KindForbidden},
		"the same by a token":    {Principal{Name: "a", Kind: KindOIDC}, Principal{Name: "a", Kind: KindToken}, lockstep.KindForbidden},
		"a token of the asker":   {Principal{Name: "a", Kind: KindOIDC}, Principal{Name: "b", Kind: KindToken, Issuer: "oidc:a"}, lockstep.KindForbidden},
		"a token of the decider": {Principal{Name: "a", Kind: KindToken, Issuer: "oidc:b"}, Principal{Name: "b", Kind: KindOIDC}, lockstep.KindForbidden},
		"another":                {Principal{Name: "a", Kind: KindOIDC}, Principal{Name: "b", Kind: KindToken, Issuer: "oidc:c"}, ""},
	} {
		x := newApprovals(t)
		tc.asker.Grants, tc.approver.Grants = both, both
		a, err := x.Ask(WithPrincipal(context.Background(), tc.asker), restoreOf("bank"), "r")
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.Approve(WithPrincipal(context.Background(), tc.approver), a.ID)
		if lockstep.KindOf(err) != tc.want || (err == nil) != (tc.want == "") {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestApprovals_WhoMayDecide(t *testing.T) {
	x := newApprovals(t)
	for name, tc := range map[string]struct {
		ctx           context.Context
		approve, deny lockstep.Kind
	}{
		"nobody":                       {context.Background(), lockstep.KindUnauthenticated, lockstep.KindUnauthenticated},
		"who asked":                    {ann, lockstep.KindForbidden, "ok"},
		"who may not see it":           {person("eve", Grant{RoleApprover, "shop"}), lockstep.KindNotFound, lockstep.KindNotFound},
		"an admin is not an approver":  {person("eve", Grant{RoleAdmin, "*"}), lockstep.KindForbidden, lockstep.KindForbidden},
		"another operator is none":     {person("eve", Grant{RoleRestoreOperator, "*"}), lockstep.KindForbidden, lockstep.KindForbidden},
		"an approver of that":          {person("eve", Grant{RoleApprover, "bank"}), "ok", "ok"},
		"a viewer does not see it":     {person("eve", Grant{RoleViewer, "*"}), lockstep.KindNotFound, lockstep.KindNotFound},
		"an auditor sees it, and that": {person("eve", Grant{RoleAuditor, "*"}), lockstep.KindForbidden, lockstep.KindForbidden},
	} {
		for kind, decide := range map[string]func(context.Context, string) (Approval, error){"approve": x.Approve, "deny": x.Deny} {
			want := map[string]lockstep.Kind{"approve": tc.approve, "deny": tc.deny}[kind]
			_, err := decide(tc.ctx, x.ask(t).ID)
			if want == "ok" && err != nil || want != "ok" && lockstep.KindOf(err) != want {
				t.Errorf("%s to %s: %v, want %s", name, kind, err, want)
			}
		}
	}
}

func TestApprovals_AreRefusedFor(t *testing.T) {
	other := func(change func(*lockstep.Request)) func(*approvalTest, *lockstep.Request) {
		return func(_ *approvalTest, r *lockstep.Request) { change(r) }
	}
	for name, tc := range map[string]struct {
		ctx    context.Context
		change func(*approvalTest, *lockstep.Request)
		want   lockstep.Kind
	}{
		"another plan":          {ann, other(func(r *lockstep.Request) { r.PlanDigest = "sha256:other" }), lockstep.KindRefused},
		"a part of it":          {ann, other(func(r *lockstep.Request) { r.Jobs = []string{"db"} }), lockstep.KindRefused},
		"other slots":           {ann, other(func(r *lockstep.Request) { r.Map = map[string]string{"a/0": "b/0"} }), lockstep.KindRefused},
		"an incomplete one":     {ann, other(func(r *lockstep.Request) { r.AllowIncomplete = true }), lockstep.KindRefused},
		"another deployment":    {ann, other(func(r *lockstep.Request) { r.Deployment, r.Backup = "shop", "shop_1" }), lockstep.KindRefused},
		"no such approval":      {ann, other(func(r *lockstep.Request) { r.Approval = "none" }), lockstep.KindNotFound},
		"somebody else":         {person("eve", Grant{RoleRestoreOperator, "*"}), nil, lockstep.KindRefused},
		"who approved it":       {person("bob", Grant{RoleRestoreOperator, "*"}, Grant{RoleApprover, "*"}), nil, lockstep.KindRefused},
		"after an hour":         {ann, func(x *approvalTest, _ *lockstep.Request) { x.clock.forward(ApprovalLife) }, lockstep.KindRefused},
		"just before":           {ann, func(x *approvalTest, _ *lockstep.Request) { x.clock.forward(ApprovalLife - 1) }, "ok"},
		"the id of what it was": {ann, other(func(r *lockstep.Request) { r.Backup = "bank_1" }), "ok"},
	} {
		x := newApprovals(t)
		req := restoreOf("bank")
		req.Approval = x.approvedOne(t).ID
		if tc.change != nil {
			tc.change(&x, &req)
		}
		_, err := x.Start(tc.ctx, req)
		if tc.want == "ok" && err != nil || tc.want != "ok" && (lockstep.KindOf(err) != tc.want || x.restores() > 0) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	for name, prepare := range map[string]func(approvalTest) Approval{
		"undecided": func(x approvalTest) Approval { return x.ask(t) },
		"denied":    func(x approvalTest) Approval { a, _ := x.Deny(bob, x.ask(t).ID); return a },
	} {
		x := newApprovals(t)
		req := restoreOf("bank")
		req.Approval = prepare(x).ID
		if _, err := x.Start(ann, req); lockstep.KindOf(err) != lockstep.KindRefused || x.restores() > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestApprovals_AreDecidedOnceAndInTime(t *testing.T) {
	x := newApprovals(t)
	late := x.ask(t)
	x.clock.forward(ApprovalLife)
	if _, err := x.Approve(bob, late.ID); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("after an hour: %v", err)
	}
	a := x.approvedOne(t)
	if _, err := x.Deny(bob, a.ID); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Errorf("decided again: %v", err)
	}
}

// A start that another run stands in the way of spends nothing.
func TestApprovals_AreGivenBackWhereNothingBegan(t *testing.T) {
	x := newApprovals(t)
	req := restoreOf("bank")
	req.Approval = x.approvedOne(t).ID
	x.guarded.svc.fail = &lockstep.Error{Kind: lockstep.KindConflict, Err: errors.New("another run")}
	if _, err := x.Start(ann, req); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Fatalf("%v", err)
	}
	x.guarded.svc.fail = errors.New("nobody knows whether it was written")
	held := req
	held.ID = newRunID()
	if _, err := x.Start(ann, held); err == nil {
		t.Fatal("want an error")
	}
	x.guarded.svc.fail = nil
	if _, err := x.Start(ann, req); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("after a start whose end is unknown, for another run: %v", err)
	}
	if _, err := x.Start(ann, held); err != nil {
		t.Errorf("and for that run: %v", err)
	}
}

// overlapping is a service that is asked for a run again while it still refuses
// the first time.
type overlapping struct {
	lockstep.Service
	starts  atomic.Int32
	again   func()
	entered chan struct{} // closed by the second start
	refused chan struct{} // closed when the first one was answered
}

func (o *overlapping) Start(_ context.Context, req lockstep.Request) (lockstep.RunID, error) {
	if o.starts.Add(1) > 1 {
		close(o.entered)
		<-o.refused
		return req.ID, nil
	}
	go o.again()
	select {
	case <-o.entered:
	case <-time.After(100 * time.Millisecond): // it is not let in, which is well
	}
	return "", &lockstep.Error{Kind: lockstep.KindConflict, Err: errors.New("another run")}
}

// Whoever asks for one run many times at once gets no second one.
func TestApprovals_AreNotGivenBackUnderARunThatBegins(t *testing.T) {
	x := newApprovals(t)
	x.asksTwiceAtOnce(t, x.Approvals)
}

// Nor who asks two servers: each has approvals of its own, over one store.
func TestApprovals_OfTwoServers(t *testing.T) {
	x := newApprovals(t)
	var one sync.Mutex
	x.cfg.Alone = func(context.Context) (func(), error) { one.Lock(); return one.Unlock, nil }
	x.asksTwiceAtOnce(t, NewApprovals(x.cfg))
}

// TestApprovals_NoServerIsAlone: where that cannot be had, nothing is begun.
func TestApprovals_NoServerIsAlone(t *testing.T) {
	x := newApprovals(t)
	req := restoreOf("bank")
	req.Approval = x.approvedOne(t).ID
	x.cfg.Alone = func(context.Context) (func(), error) { return nil, errUnavailable(errors.New("no database")) }
	if _, err := x.Start(ann, req); lockstep.KindOf(err) != lockstep.KindUnavailable || x.restores() != 0 {
		t.Errorf("%v, and %d restores", err, x.restores())
	}
}

// asksTwiceAtOnce asks for one restore, and, before that is refused, over others once
// more, which begins it: its approval must be used then.
func (x approvalTest) asksTwiceAtOnce(t *testing.T, others *Approvals) {
	t.Helper()
	req := restoreOf("bank")
	req.Approval, req.ID = x.approvedOne(t).ID, newRunID()
	svc := &overlapping{Service: x.guarded.svc, entered: make(chan struct{}), refused: make(chan struct{})}
	guardWith := func(a *Approvals) lockstep.Service {
		return Guard(GuardConfig{Service: svc, Audit: x.log, Approvals: a, Log: slog.New(slog.DiscardHandler)})
	}
	guard, again := guardWith(x.Approvals), guardWith(others)
	second := make(chan error, 1)
	svc.again = func() {
		_, err := again.Start(ann, req)
		second <- err
	}
	if _, err := guard.Start(ann, req); lockstep.KindOf(err) != lockstep.KindConflict {
		t.Fatalf("the first time: %v", err)
	}
	close(svc.refused)
	if err := <-second; err != nil {
		t.Fatalf("the second time: %v", err)
	}
	if a, err := x.Get(bob, req.Approval); err != nil || a.State != ApprovalUsed || a.Run != req.ID {
		t.Errorf("it began a run, and is %+v, %v", a, err)
	}
}

// A run that has begun has used its approval, whatever is answered when it is
// asked for again.
func TestApprovals_AreNotGivenBackByWhoAsksAgain(t *testing.T) {
	x := newApprovals(t)
	req := restoreOf("bank")
	req.Approval, req.ID = x.approvedOne(t).ID, newRunID()
	if _, err := x.Start(ann, req); err != nil {
		t.Fatal(err)
	}
	x.guarded.svc.fail = &lockstep.Error{Kind: lockstep.KindNotFound, Err: errors.New("not in the configuration")}
	if _, err := x.Start(ann, req); err == nil {
		t.Fatal("want an error")
	}
	if a, err := x.Get(bob, req.Approval); err != nil || a.State != ApprovalUsed {
		t.Errorf("it is %+v, %v", a, err)
	}
}

func TestApprovals_AskingTakesPermission(t *testing.T) {
	x := newApprovals(t)
	elsewhere := restoreOf("shop")
	elsewhere.From = "bank"
	for name, tc := range map[string]struct {
		ctx  context.Context
		req  lockstep.Request
		why  string
		want lockstep.Kind
	}{
		"nobody":            {context.Background(), restoreOf("bank"), "r", lockstep.KindUnauthenticated},
		"a viewer":          {person("v", Grant{RoleViewer, "*"}), restoreOf("bank"), "r", lockstep.KindForbidden},
		"of another":        {person("v", Grant{RoleRestoreOperator, "shop"}), restoreOf("bank"), "r", lockstep.KindNotFound},
		"of one of the two": {person("v", Grant{RoleRestoreOperator, "shop"}), elsewhere, "r", lockstep.KindNotFound},
		"no reason":         {ann, restoreOf("bank"), "", lockstep.KindUsage},
		"no restore":        {ann, lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "bank", Backup: "x"}, "r", lockstep.KindUsage},
		"no backup":         {ann, lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "bank"}, "r", lockstep.KindUsage},
	} {
		if _, err := x.Ask(tc.ctx, tc.req, tc.why); lockstep.KindOf(err) != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
	x.log.fail = errors.New("disk full")
	if _, err := x.Ask(ann, restoreOf("bank"), "r"); lockstep.KindOf(err) != lockstep.KindUnavailable {
		t.Errorf("without an audit log: %v", err)
	}
}

// Who tries to be their own second person is found in the audit log.
func TestApprovals_WhoIsKeptFromThemIsRecorded(t *testing.T) {
	x := newApprovals(t)
	a := x.ask(t)
	both := person("ann", Grant{RoleRestoreOperator, "*"}, Grant{RoleApprover, "*"})
	if _, err := x.Approve(both, a.ID); lockstep.KindOf(err) != lockstep.KindForbidden {
		t.Fatalf("%v", err)
	}
	if e := x.log.last(); e.Result != auditlog.Denied || e.Action != string(ApprovalsGive) || e.Object != a.ID || e.By != "oidc:ann" {
		t.Errorf("deciding left %+v", e)
	}
	if _, err := x.Ask(person("eve", Grant{RoleViewer, "*"}), restoreOf("bank"), "r"); lockstep.KindOf(err) != lockstep.KindForbidden {
		t.Fatalf("%v", err)
	}
	if e := x.log.last(); e.Result != auditlog.Denied || e.Action != "approvals:ask" || e.Deployment != "bank" || e.By != "oidc:eve" {
		t.Errorf("asking left %+v", e)
	}
}

func TestApprovals_List(t *testing.T) {
	x := newApprovals(t)
	var ids []string
	for range 5 {
		ids = append([]string{x.ask(t).ID}, ids...)
		x.clock.forward(time.Second)
	}
	page, err := x.List(bob, "", 3)
	if err != nil || len(page) != 3 {
		t.Fatalf("%d, %v", len(page), err)
	}
	rest, err := x.List(bob, page[2].ID, 3)
	var got []string
	for _, a := range append(page, rest...) {
		got = append(got, a.ID)
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(ids) {
		t.Errorf("%v, %v; want %v", got, err, ids)
	}
	if seen, err := x.List(person("v", Grant{RoleApprover, "shop"}), "", 0); err != nil || len(seen) != 0 {
		t.Errorf("of another deployment: %v, %v", seen, err)
	}
}
