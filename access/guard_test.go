package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"lockstep"
	"lockstep/auditlog"
)

// call is one way to use a Service on a deployment, its run or its backup.
type call struct {
	method string
	perm   Permission
	// effect: it must be in the audit log before it happens; unlocks: but does
	// not wait for that.
	effect, unlocks bool
	do              func(ctx context.Context, s lockstep.Service, deployment string) error
}

func start(op lockstep.Operation, backup string) func(context.Context, lockstep.Service, string) error {
	return func(ctx context.Context, s lockstep.Service, d string) error {
		req := lockstep.Request{Operation: op, Deployment: d, By: "somebody else", Proven: true}
		if backup != "" {
			req.Backup = lockstep.BackupID(d + backup)
		}
		_, err := s.Start(ctx, req)
		return err
	}
}

func calls() []call {
	return []call{
		{"Plan", PlansMake, true, false, func(ctx context.Context, s lockstep.Service, d string) error {
			_, err := s.Plan(ctx, lockstep.Request{Deployment: d})
			return err
		}},
		{"Start", RunsBackup, true, false, start(lockstep.OperationBackup, "")},
		{"Start", RunsBackup, true, false, start(lockstep.OperationCheck, "")},
		{"Start", RunsRestore, true, false, start(lockstep.OperationRestore, "_1")},
		{"Start", RunsUnlock, true, true, start(lockstep.OperationCleanup, "")},
		{"Run", RunsRead, false, false, func(ctx context.Context, s lockstep.Service, d string) error {
			_, err := s.Run(ctx, lockstep.RunID("run-"+d))
			return err
		}},
		{"Events", RunsRead, false, false, func(ctx context.Context, s lockstep.Service, d string) error {
			for _, err := range s.Events(ctx, lockstep.RunID("run-"+d), 0) {
				return err
			}
			return errors.New("no event")
		}},
		{"Cancel", RunsCancel, true, true, func(ctx context.Context, s lockstep.Service, d string) error {
			return s.Cancel(ctx, lockstep.RunID("run-"+d), "somebody else")
		}},
		{"Settle", RunsUnlock, true, true, func(ctx context.Context, s lockstep.Service, d string) error {
			_, err := s.Settle(ctx, lockstep.SettleRequest{Deployment: d})
			return err
		}},
		{"Held", RunsRead, false, false, func(ctx context.Context, s lockstep.Service, d string) error {
			_, err := s.Held(ctx, d)
			return err
		}},
		{"Acknowledge", RunsUnlock, true, true, func(ctx context.Context, s lockstep.Service, d string) error {
			return s.Acknowledge(ctx, lockstep.Acknowledgement{Run: lockstep.RunID("run-" + d), Job: "x", By: "somebody else", Reason: "y"})
		}},
		{"Audit", RunsRead, false, false, func(ctx context.Context, s lockstep.Service, d string) error {
			_, err := s.Audit(ctx, lockstep.RunID("run-"+d))
			return err
		}},
		{"Output", OutputRead, false, false, func(ctx context.Context, s lockstep.Service, d string) error {
			_, err := s.Output(ctx, lockstep.RunID("run-"+d), "step")
			return err
		}},
		{"Backup", BackupsRead, false, false, func(ctx context.Context, s lockstep.Service, d string) error {
			_, err := s.Backup(ctx, "", lockstep.BackupID(d+"_1"))
			return err
		}},
		{"Verify", BackupsVerify, false, false, func(ctx context.Context, s lockstep.Service, d string) error {
			_, err := s.Verify(ctx, lockstep.BackupID(d+"_1"))
			return err
		}},
		{"Forget", BackupsForget, true, false, func(ctx context.Context, s lockstep.Service, d string) error {
			return s.Forget(ctx, lockstep.BackupID(d+"_1"))
		}},
		{"Entries", BackupsBrowse, false, false, func(ctx context.Context, s lockstep.Service, d string) (err error) {
			for _, e := range s.Entries(ctx, lockstep.BackupID(d+"_1"), "x") {
				err = e
			}
			return err
		}},
		{"OpenArtifact", BackupsExport, true, false, func(ctx context.Context, s lockstep.Service, d string) error {
			rc, err := s.OpenArtifact(ctx, lockstep.BackupID(d+"_1"), "x")
			if err == nil {
				err = rc.Close()
			}
			return err
		}},
	}
}

// listed are the methods that no single deployment concerns; they have tests
// of their own below.
var listed = []string{"Deployments", "Runs", "Backups", "PruneRuns"}

func TestEveryMethodIsInTheTable(t *testing.T) {
	known := map[string]bool{}
	for _, c := range calls() {
		known[c.method] = true
	}
	for _, m := range listed {
		known[m] = true
	}
	for m := range reflect.TypeFor[lockstep.Service]().Methods() {
		if !known[m.Name] {
			t.Errorf("no test says who may call Service.%s", m.Name)
		}
	}
}

func as(grants ...Grant) context.Context {
	return WithPrincipal(context.Background(), Principal{Name: "ann", Kind: KindToken, Token: "id1", Grants: grants})
}

type guarded struct {
	svc *fakeService
	log *memoryLog
	lockstep.Service
}

func newGuarded() guarded {
	g := guarded{svc: newFakeService(), log: &memoryLog{}}
	g.Service = Guard(GuardConfig{Service: g.svc, Audit: g.log, Log: slog.New(slog.DiscardHandler)})
	return g
}

// Every role, on its own deployment and on another one, with every call.
func TestGuard_EveryCallWithEveryRole(t *testing.T) {
	for _, role := range Roles() {
		for _, c := range calls() {
			t.Run(fmt.Sprintf("%s/%s/%s", role, c.method, c.perm), func(t *testing.T) {
				g := newGuarded()
				ctx := as(Grant{role, "sho?"})
				own, other := c.do(ctx, g, "shop"), error(nil)
				if may := role.Permits(c.perm); may != (own == nil) {
					t.Errorf("on its own deployment: %v; role permits %s: %v", own, c.perm, may)
				} else if !may && lockstep.KindOf(own) != lockstep.KindForbidden {
					t.Errorf("on its own deployment: %v; want it forbidden: it may be seen", own)
				}
				before := len(g.svc.effects)
				other = c.do(ctx, g, "bank")
				if lockstep.KindOf(other) != lockstep.KindNotFound || len(g.svc.effects) != before {
					t.Errorf("on another deployment: %v, effects %v; want not found, and nothing done", other, g.svc.effects[before:])
				}
				// What is not there must look the same.
				none := c.do(ctx, g, "cafe")
				if none == nil || strings.ReplaceAll(none.Error()+lockstep.HintOf(none), "cafe", "bank") != other.Error()+lockstep.HintOf(other) {
					t.Errorf("another deployment and none at all can be told apart:\n%v\n%v", other, none)
				}
			})
		}
	}
}

func TestGuard_NobodyMayDoAnything(t *testing.T) {
	for _, c := range calls() {
		g := newGuarded()
		for name, ctx := range map[string]context.Context{
			"no principal": context.Background(), "the zero principal": WithPrincipal(context.Background(), Principal{}),
		} {
			if err := c.do(ctx, g, "shop"); lockstep.KindOf(err) != lockstep.KindUnauthenticated || len(g.svc.effects) > 0 {
				t.Errorf("%s, %s: %v, %v", c.method, name, err, g.svc.effects)
			}
		}
		if err := c.do(as(), g, "shop"); lockstep.KindOf(err) != lockstep.KindNotFound {
			t.Errorf("%s without grants: %v", c.method, err)
		}
	}
}

// An unknown role and an empty pattern must never match anything.
func TestMay_DeniesByDefault(t *testing.T) {
	for _, g := range []Grant{{}, {RoleAdmin, ""}, {"root", "*"}, {RoleAdmin, "["}, {RoleAdmin, "bank"}} {
		for _, perm := range Permissions() {
			p := Principal{Name: "x", Grants: []Grant{g}}
			if p.May(perm, "shop") || g.Deployments != "*" && p.May(perm, ServerWide) {
				t.Errorf("grant %v allows %s", g, perm)
			}
		}
	}
	if (Principal{Name: "x", Grants: []Grant{{RoleAdmin, "**"}}}).May(TokensManage, ServerWide) {
		t.Error("only \"*\" itself is server-wide")
	}
}

// What has an effect is written ahead; without a log nothing is done, and
// unlocking is.
func TestGuard_WritesAheadExceptToUnlock(t *testing.T) {
	for _, c := range calls() {
		t.Run(c.method+"/"+string(c.perm), func(t *testing.T) {
			g := newGuarded()
			ctx := as(Grant{RoleAdmin, "*"})
			if err := c.do(WithAddress(ctx, "10.1.2.3"), g, "shop"); err != nil {
				t.Fatal(err)
			}
			e := g.log.last()
			if c.effect != (e.Action != "") {
				t.Fatalf("logged: %+v; want one: %v", e, c.effect)
			}
			if c.effect && (e.Action != string(c.perm) || e.Result != auditlog.Allowed || e.By != "token:ann" || e.Token != "id1" || e.From != "10.1.2.3") {
				t.Errorf("the entry is %+v", e)
			}
			g.log.fail = errors.New("disk full")
			before := len(g.svc.effects)
			err := c.do(ctx, g, "shop")
			if want := !c.effect || c.unlocks; want != (err == nil) {
				t.Errorf("with a log that cannot be written: %v", err)
			}
			if c.effect && !c.unlocks && (len(g.svc.effects) != before || lockstep.KindOf(err) != lockstep.KindUnavailable) {
				t.Errorf("done without a log: %v; %v", g.svc.effects[before:], err)
			}
		})
	}
}

func TestGuard_TellsOfWhatFailedAndWhatWasDenied(t *testing.T) {
	g := newGuarded()
	g.svc.fail = errors.New("no instance answers")
	if err := start(lockstep.OperationBackup, "")(as(Grant{RoleAdmin, "*"}), g, "shop"); err == nil {
		t.Fatal("want an error")
	}
	if e := g.log.last(); e.Result != auditlog.Failed || e.Detail["error"] != "no instance answers" || e.Object == "" {
		t.Errorf("after a failure: %+v", e)
	}
	_ = start(lockstep.OperationBackup, "")(as(Grant{RoleViewer, "*"}), g, "shop")
	if e := g.log.last(); e.Result != auditlog.Denied || e.Action != string(RunsBackup) {
		t.Errorf("after a denial: %+v", e)
	}
	for range 1000 {
		_ = start(lockstep.OperationBackup, "")(as(Grant{RoleViewer, "*"}), g, "shop")
	}
	if n := len(g.log.entries); n > 200 {
		t.Errorf("a thousand denials wrote %d entries", n)
	}
}

// Who asks, and whether a backup is proven, is not the client's to say.
func TestGuard_SaysWhoAsks(t *testing.T) {
	g := newGuarded()
	for _, c := range calls() {
		if err := c.do(as(Grant{RoleAdmin, "*"}), g, "shop"); err != nil {
			t.Fatal(err)
		}
		if g.svc.last.Proven {
			t.Errorf("%s: the client's word that the backup is proven was passed on", c.method)
		}
	}
	for _, e := range g.svc.effects {
		if strings.Contains(e, "somebody") {
			t.Errorf("the client said who asks: %s", e)
		}
	}
}

func TestGuard_ListsHoldWhatMayBeSeen(t *testing.T) {
	for _, tc := range []struct {
		grants []Grant
		want   string
	}{
		{nil, ""},
		{[]Grant{{RoleViewer, "shop"}}, "shop"},
		{[]Grant{{RoleViewer, "shop"}, {RoleAuditor, "b*"}}, "bank shop"},
		{[]Grant{{RoleViewer, "*"}}, "bank shop"},
	} {
		g, ctx := newGuarded(), as(tc.grants...)
		got := map[string][]string{"Deployments": {}, "Runs": {}, "Backups": {}, "Held": {}, "Lost": {}}
		deployments, _ := g.Deployments(ctx)
		for _, d := range deployments {
			got["Deployments"] = append(got["Deployments"], d.Name)
		}
		runs, _ := g.Runs(ctx, lockstep.RunFilter{})
		for i := range runs { // newest first
			got["Runs"] = append(got["Runs"], runs[len(runs)-1-i].Deployment)
		}
		backups, _ := g.Backups(ctx, "")
		for _, b := range backups {
			got["Backups"] = append(got["Backups"], b.Deployment)
		}
		held, _ := g.Held(ctx, "")
		for _, h := range held {
			got["Held"] = append(got["Held"], h.Deployment)
		}
		lost, _ := g.Service.(lockstep.LostRuns).LostRuns(ctx)
		for _, l := range lost {
			got["Lost"] = append(got["Lost"], l.Deployment)
		}
		for what, names := range got {
			if strings.Join(names, " ") != tc.want {
				t.Errorf("%v: %s are %v, want %s", tc.grants, what, names, tc.want)
			}
		}
		if runs, err := g.Runs(ctx, lockstep.RunFilter{Deployment: "cafe"}); err != nil || len(runs) > 0 {
			t.Errorf("runs of no deployment: %v, %v", runs, err)
		}
	}
}

func TestGuard_SettlesWhatMayBeUnlocked(t *testing.T) {
	for _, tc := range []struct {
		grant Grant
		want  string
	}{
		{Grant{RoleBackupOperator, "*"}, "settle "},
		{Grant{RoleBackupOperator, "shop"}, "settle shop"},
		{Grant{RoleViewer, "*"}, ""},
	} {
		g := newGuarded()
		if _, err := g.Settle(as(tc.grant), lockstep.SettleRequest{}); err != nil {
			t.Errorf("%v: %v", tc.grant, err)
		}
		if got := strings.Join(g.svc.effects, ","); got != tc.want {
			t.Errorf("%v settled %q, want %q", tc.grant, got, tc.want)
		}
	}
}

func TestGuard_PruningIsServerWide(t *testing.T) {
	g := newGuarded()
	if _, err := g.PruneRuns(as(Grant{RoleAdmin, "shop"}), 0); lockstep.KindOf(err) != lockstep.KindForbidden || len(g.svc.effects) > 0 {
		t.Errorf("an admin of one deployment: %v", err)
	}
	if n, err := g.PruneRuns(as(Grant{RoleAdmin, "*"}), 0); err != nil || n != 1 {
		t.Errorf("an admin: %d, %v", n, err)
	}
}

// The repository is everybody's: only who may do that everywhere prunes it, and it is in
// the log.
func TestGuard_TheRepositoryIsEverybodys(t *testing.T) {
	g := newGuarded()
	prune := func(grant Grant) error {
		_, err := g.Service.(lockstep.Pruner).PruneRepository(as(grant), func(lockstep.Pruning) error { return nil })
		return err
	}
	for _, grant := range []Grant{{RoleAdmin, "shop"}, {RoleBackupOperator, "*"}} {
		if err := prune(grant); lockstep.KindOf(err) != lockstep.KindForbidden || len(g.svc.effects) > 0 {
			t.Errorf("%v: %v", grant, err)
		}
	}
	if err := prune(Grant{RoleAdmin, "*"}); err != nil || len(g.svc.effects) != 1 || g.log.last().Action != string(RepositoryPrune) {
		t.Errorf("an admin: %v, did %v, wrote %+v", err, g.svc.effects, g.log.last())
	}
}

// Restoring another deployment's data takes the permission there too: else its
// data could be had by restoring it elsewhere.
func TestGuard_RestoreFromElsewhere(t *testing.T) {
	from := lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", From: "bank", Backup: "bank_1"}
	hidden := lockstep.Request{Operation: lockstep.OperationRestore, Deployment: "shop", Backup: "bank_1"}
	for _, tc := range []struct {
		name   string
		req    lockstep.Request
		grants []Grant
		want   lockstep.Kind
	}{
		{"restore here only", from, []Grant{{RoleRestoreOperator, "shop"}}, lockstep.KindNotFound},
		{"may only see the other", from, []Grant{{RoleRestoreOperator, "shop"}, {RoleViewer, "bank"}}, lockstep.KindForbidden},
		{"both", from, []Grant{{RoleRestoreOperator, "shop"}, {RoleRestoreOperator, "bank"}}, lockstep.KindInternal},
		{"a backup that may not be seen", hidden, []Grant{{RoleRestoreOperator, "shop"}}, lockstep.KindNotFound},
	} {
		g := newGuarded()
		_, err := g.Start(as(tc.grants...), tc.req)
		if (err == nil) != (tc.want == "") || lockstep.KindOf(err) != tc.want {
			t.Errorf("%s: %v, want kind %q", tc.name, err, tc.want)
		}
		if (len(g.svc.effects) > 0) != (err == nil) {
			t.Errorf("%s: did %v", tc.name, g.svc.effects)
		}
	}
}

// Naming somebody else's run as one's own must not make it so.
func TestGuard_ARunIsNotTakenByStartingItsID(t *testing.T) {
	g, ctx := newGuarded(), as(Grant{RoleBackupOperator, "shop"})
	_, _ = g.Start(ctx, lockstep.Request{ID: "run-bank", Operation: lockstep.OperationBackup, Deployment: "shop"})
	if err := g.Cancel(ctx, "run-bank", ""); lockstep.KindOf(err) != lockstep.KindNotFound {
		t.Errorf("then canceling it: %v; want not found", err)
	}
}

// A cancel by whoever may cancel everything needs no look at the journal.
func TestGuard_CancelsWithoutReadingTheRun(t *testing.T) {
	g := newGuarded()
	g.svc.fail = errors.New("the journal cannot be read")
	if err := g.Cancel(as(Grant{RoleAdmin, "*"}), "run-shop", ""); err != nil {
		t.Error(err)
	}
}

// A plan runs metadata scripts, and its error may quote them.
func TestGuard_WhatAScriptPrintedIsNotInTheAuditLog(t *testing.T) {
	svc, log := newFakeService(), &memoryLog{}
	g := Guard(GuardConfig{Service: svc, Audit: log, Log: slog.New(slog.DiscardHandler)})
	svc.fail = &lockstep.Error{Kind: lockstep.KindInvalid, Err: errors.New("exit 1: password=hunter2")}
	if _, err := g.Plan(ann, lockstep.Request{Deployment: "shop"}); err == nil || !strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("who asks is told %v", err)
	}
	if e := log.last(); e.Result != auditlog.Failed || strings.Contains(e.Detail["error"], "hunter2") || !strings.Contains(e.Detail["error"], "invalid") {
		t.Errorf("it holds %+v", e)
	}
}

// latestService has a backup that is the latest, and notes which one is verified.
type latestService struct {
	lockstep.Service
	verified lockstep.BackupID
}

func (l *latestService) Backup(context.Context, string, lockstep.BackupID) (lockstep.Backup, error) {
	return backupOf("shop"), nil
}

func (l *latestService) Verify(_ context.Context, id lockstep.BackupID) (lockstep.VerifyReport, error) {
	l.verified = id
	return lockstep.VerifyReport{OK: true}, nil
}

// What is allowed is what is done: "latest" may be another deployment's a moment
// later.
func TestGuard_VerifiesWhatItLookedAt(t *testing.T) {
	svc := &latestService{}
	g := Guard(GuardConfig{Service: svc, Audit: &memoryLog{}})
	if _, err := g.Verify(person("ann", Grant{RoleBackupOperator, "shop"}), "latest"); err != nil || svc.verified != "shop_1" {
		t.Errorf("%q was verified, %v", svc.verified, err)
	}
}

// Copies take data out: whoever may export may make them, and they are in the log.
func TestCopiesTakeDataOut(t *testing.T) {
	g := newGuarded()
	copies := g.Service.(lockstep.Copies)
	if _, err := copies.CopyNew(as(Grant{RoleBackupOperator, "*"}), "shop", "offsite"); lockstep.KindOf(err) != lockstep.KindForbidden || len(g.svc.effects) > 0 {
		t.Errorf("a backup operator: %v", err)
	}
	if _, err := copies.CopyNew(as(Grant{RoleAdmin, "shop"}), "shop", "offsite"); err != nil || len(g.svc.effects) != 1 {
		t.Errorf("an admin: %v, %v", g.svc.effects, err)
	}
	if last := g.log.entries[len(g.log.entries)-1]; last.Action != string(BackupsExport) || last.Detail["copy_to"] != "offsite" {
		t.Errorf("the log says %+v", last)
	}
}
