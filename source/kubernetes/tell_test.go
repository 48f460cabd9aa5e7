package kubernetes

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"lockstep"
	"lockstep/internal/kubetest"
)

// tale is a run of a deployment as its events tell it.
type tale struct {
	reach     string
	operation lockstep.Operation
	outcome   lockstep.Outcome // of its unlock
	state     lockstep.RunState
}

func (s tale) plan() lockstep.Plan {
	slot := lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}
	step := func(id lockstep.StepID, stage lockstep.Stage, kind lockstep.ScriptKind) lockstep.Step {
		out := lockstep.Step{ID: id, Stage: stage, Instance: "db/0", Slot: slot}
		if kind != "" {
			out.Script = &lockstep.Script{Kind: kind}
		}
		return out
	}
	return lockstep.Plan{
		Deployment: "shop", Operation: s.operation, Backup: "shop-1",
		Instances: []lockstep.Instance{{Group: "db", ID: "0", Index: "0", Address: "db-0"}, {Group: "far", ID: "0", Index: "0", Address: "10.0.0.1"}},
		Waves: []lockstep.Wave{
			{Stage: lockstep.StageLock, Steps: []lockstep.Step{step("l", lockstep.StageLock, lockstep.ScriptPreBackupLock)}},
			{Stage: lockstep.StageWork, Steps: []lockstep.Step{step("w", lockstep.StageWork, lockstep.ScriptBackup)}},
			{Stage: lockstep.StageUnlock, Steps: []lockstep.Step{step("u", lockstep.StageUnlock, lockstep.ScriptPostBackupUnlock)}},
			{Stage: lockstep.StageCollect, Steps: []lockstep.Step{step("c", lockstep.StageCollect, "")}},
		},
	}
}

func (s tale) opened() lockstep.RunOpened {
	return lockstep.RunOpened{Operation: s.operation, Deployment: "shop", Reach: s.reach}
}

// events are those from its plan on.
func (s tale) events() []lockstep.EventData {
	unknown := lockstep.Outcome{Kind: lockstep.OutcomeUnknown}
	return []lockstep.EventData{
		lockstep.StepStarted{Step: "l"}, lockstep.StepFinished{Step: "l", Outcome: unknown}, lockstep.StepFinished{Step: "l", Outcome: lockstep.Exited(0)},
		lockstep.StepFinished{Step: "w", Outcome: lockstep.Exited(0)}, lockstep.StepFinished{Step: "u", Outcome: s.outcome},
		lockstep.RunEnded{Ending: lockstep.Ending{State: s.state}},
	}
}

// heard has a Teller hear runs whole, each as one of its own, and gives what the server's
// events say.
func heard(t *testing.T, s *kubetest.Server, tales ...tale) []string {
	t.Helper()
	teller := NewTeller(nil, func(reach string) []string { return strings.Split(reach, "\n") }, "here-1")
	for i, one := range tales {
		for _, d := range append([]lockstep.EventData{one.opened(), lockstep.RunPlanned{Plan: one.plan()}}, one.events()...) {
			teller.Observe(lockstep.Event{Run: lockstep.RunID(rune('a' + i)), Seq: 1, Time: time.Now(), Data: d})
		}
	}
	teller.Close(t.Context())
	return said(s)
}

func said(s *kubetest.Server) []string {
	var out []string
	for _, e := range s.Events() {
		out = append(out, strings.Join([]string{e.Type, e.Reason, string(e.Regarding.UID), e.Note}, " | "))
	}
	return out
}

// TestTeller: what becomes of a pod in a run is an event that is the pod's own.
func TestTeller(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Specification){
		"of a set": nil, "selected": func(s *Specification) { s.Selector = "app=shop" },
		"listed": func(s *Specification) { s.Instances = []Instance{{Group: "db", ID: "0", Index: "0", Pod: "db-0"}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := kubetest.Start(t)
			s.Put(pod("db-0"), pod("db-1"))
			reach := "not of ours\n" + made(t, specification(t, s, change)).Reach()
			got := heard(t, s,
				tale{reach, lockstep.OperationBackup, lockstep.Exited(0), lockstep.RunSucceeded},
				tale{reach, lockstep.OperationRestore, lockstep.Exited(3), lockstep.RunFailedState},
				tale{reach, lockstep.OperationRestore, lockstep.Exited(0), lockstep.RunSucceeded})
			want := []string{
				`Normal | Locked | uid-of-db-0 | backup of "shop": job postgres is locked`,
				`Normal | Unlocked | uid-of-db-0 | backup of "shop": job postgres is unlocked`,
				`Normal | BackedUp | uid-of-db-0 | backup of "shop": it is in backup shop-1`,
				`Normal | Locked | uid-of-db-0 | restore of "shop": job postgres is locked`,
				`Warning | UnlockFailed | uid-of-db-0 | restore of "shop": post-backup-unlock of job postgres did not end well: exit 3`,
				`Normal | Locked | uid-of-db-0 | restore of "shop": job postgres is locked`,
				`Normal | Unlocked | uid-of-db-0 | restore of "shop": job postgres is unlocked`,
				`Normal | Restored | uid-of-db-0 | restore of "shop": it is as in backup shop-1`,
			}
			if !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			for _, not := range []string{"get pods", "list pods"} {
				if (not == "get pods") != (name == "listed") && slices.Contains(s.Requests(), not) {
					t.Errorf("it asks to %s, which the role does not let it", not)
				}
			}
		})
	}
}

// TestTeller_Forbidden: where events may not be written the run is told no more, and
// nothing is said of it; the next run is tried again.
func TestTeller_Forbidden(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(pod("db-0"))
	s.Forbid("create events")
	one := tale{made(t, specification(t, s, nil)).Reach(), lockstep.OperationBackup, lockstep.Exited(0), lockstep.RunSucceeded}
	heard(t, s, one, one)
	tried := 0
	for _, r := range s.Requests() {
		if r == "create events" {
			tried++
		}
	}
	if tried != 2 {
		t.Errorf("it tried %d times in two runs", tried)
	}
}

// TestTeller_TakenOver: a run that another process began is told from where it is.
func TestTeller_TakenOver(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(pod("db-0"))
	one := tale{made(t, specification(t, s, nil)).Reach(), lockstep.OperationBackup, lockstep.Exited(0), lockstep.RunFailedState}
	known := func(context.Context, lockstep.RunID) (*lockstep.Run, error) {
		plan := one.plan()
		return &lockstep.Run{Opened: one.opened(), Plan: &plan}, nil
	}
	teller := NewTeller(known, func(reach string) []string { return []string{reach} }, "there-2")
	teller.Observe(lockstep.Event{Run: "r", Time: time.Now(), Data: lockstep.LeaseFired{Instance: "db/0"}})
	teller.Observe(lockstep.Event{Run: "r", Time: time.Now(), Data: lockstep.StepFinished{Step: "u", Outcome: lockstep.Exited(0)}})
	teller.Close(t.Context())
	if got := said(s); len(got) != 2 || !strings.HasPrefix(got[0], "Warning | LeaseFired") || !strings.HasPrefix(got[1], "Normal | Unlocked") {
		t.Errorf("got %q", got)
	}
}

// TestTeller_NobodyAnswers: no run waits for an API server, and no process that ends waits
// for longer than it wants.
func TestTeller_NobodyAnswers(t *testing.T) {
	t.Parallel()
	hangs := make(chan struct{})
	defer close(hangs)
	known := func(ctx context.Context, _ lockstep.RunID) (*lockstep.Run, error) {
		select {
		case <-hangs:
		case <-ctx.Done():
		}
		return nil, context.Canceled
	}
	teller := NewTeller(known, func(reach string) []string { return []string{reach} }, "x")
	for range 3 * waiting { // more than may wait
		teller.Observe(lockstep.Event{Run: "r", Data: lockstep.LeaseFired{Instance: "db/0"}})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	teller.Close(ctx)
	teller.Observe(lockstep.Event{Run: "r", Data: lockstep.LeaseFired{}}) // after its end
	teller.Close(ctx)
}

// TestAdvice: a check is told that events may not be written, and no more than that.
func TestAdvice(t *testing.T) {
	t.Parallel()
	s := kubetest.Start(t)
	s.Put(pod("web-0", func(p *corev1.Pod) { p.Labels = map[string]string{"app": "shop"} }))
	resolved, err := made(t, specification(t, s, func(s *Specification) { s.Selector = "app=shop" })).Resolve(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resolved.Release(t.Context()) })
	if got := resolved.Advice(t.Context()); len(got) != 0 {
		t.Errorf("without a reason: %q", got)
	}
	s.Forbid("create events")
	if got := resolved.Advice(t.Context()); len(got) != 1 || !strings.Contains(got[0], "events.events.k8s.io") || !strings.Contains(got[0], "lockstep kubernetes rbac") {
		t.Errorf("got %q", got)
	}
	s.Forbid("create selfsubjectaccessreviews")
	if got := resolved.Advice(t.Context()); len(got) != 0 {
		t.Errorf("where it cannot be known: %q", got)
	}
}
