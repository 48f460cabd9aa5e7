package lockstep_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lockstep"
)

// A story is a run told in short words, one a line or a field:
//
//	a.lock        the next try of step a.lock starts
//	a.lock=0      its try ends with exit 0; likewise =3, =?, =dead, =abandoned, =never
//	a.lock=0!     it ends with exit 0 and the instance's lease had fired
//	a.collect=∅   it ends with exit 0 and an empty artifact
//	@lock         every step of the stage is tried, and ends well
//	+10s          time passes
//	cancel, overrun, failed, recover, lease:a
//
// Its deployment has the jobs a and b, each on an instance of its own; a is
// locked before b.
type story struct {
	t   tester
	run *lockstep.Run
	now time.Time
	// events are those that were applied.
	events []lockstep.Event
}

// tester is what a story fails: a test or a property.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newStory(t tester, plan *lockstep.Plan) *story {
	s := &story{t: t, run: &lockstep.Run{}, now: epoch}
	s.must(lockstep.RunOpened{Operation: plan.Operation, Deployment: "shop", Policy: plan.Policy})
	s.must(lockstep.RunPlanned{Plan: *plan, Digest: plan.Digest(), Expected: &lockstep.Backup{}})
	return s
}

func (s *story) event(d lockstep.EventData) lockstep.Event {
	term := max(s.run.Term, 1)
	if _, ok := d.(lockstep.RunRecovering); ok {
		term++
	}
	return lockstep.Event{V: 1, Run: "r1", Seq: s.run.Seq + 1, Term: term, Time: s.now, Data: d}
}

func (s *story) apply(d lockstep.EventData) error {
	e := s.event(d)
	err := s.run.Apply(e)
	if err == nil {
		s.events = append(s.events, e)
	}
	return err
}

func (s *story) must(d lockstep.EventData) {
	s.t.Helper()
	if err := s.apply(d); err != nil {
		s.t.Fatalf("apply %s: %v", d.EventType(), err)
	}
}

// tell applies the words of a story.
func (s *story) tell(words string) *story {
	s.t.Helper()
	for _, w := range strings.Fields(words) {
		switch {
		case strings.HasPrefix(w, "+"):
			d, err := time.ParseDuration(w[1:])
			if err != nil {
				s.t.Fatal(err)
			}
			s.now = s.now.Add(d)
		case strings.HasPrefix(w, "@"):
			s.wholeStage(lockstep.Stage(w[1:]))
		default:
			s.must(s.fact(w))
		}
	}
	return s
}

func (s *story) wholeStage(stage lockstep.Stage) {
	for _, st := range s.run.Plan.Steps(stage) {
		s.tell(string(st.ID) + " " + string(st.ID) + "=0")
	}
}

func (s *story) fact(w string) lockstep.EventData {
	if id, ok := strings.CutPrefix(w, "lease:"); ok {
		return lockstep.LeaseFired{Instance: instanceOf(id)}
	}
	switch w {
	case "cancel":
		return lockstep.CancelRequested{By: "ann"}
	case "overrun":
		return lockstep.LockWindowExceeded{}
	case "failed":
		return lockstep.RunFailed{Error: "the roof is on fire"}
	case "recover":
		return lockstep.RunRecovering{Owner: "another"}
	}
	name, end, ended := strings.Cut(w, "=")
	id := lockstep.StepID(name)
	n := 0
	if rec := s.run.Steps[id]; rec != nil {
		n = len(rec.Tries)
	}
	if !ended {
		return lockstep.StepStarted{Step: id, Attempt: n + 1}
	}
	return s.finished(id, n, end)
}

func (s *story) finished(id lockstep.StepID, n int, end string) lockstep.StepFinished {
	f := lockstep.StepFinished{Step: id, Attempt: n}
	end, f.LeaseFired = strings.CutSuffix(end, "!")
	kinds := map[string]lockstep.OutcomeKind{
		"?": lockstep.OutcomeUnknown, "dead": lockstep.OutcomeDead, "abandoned": lockstep.OutcomeAbandoned,
		"never": lockstep.OutcomeNeverStarted,
	}
	if end == "taken" {
		f.Outcome.Kind, f.Displaced = lockstep.OutcomeAbandoned, true
		return f
	}
	if kind, ok := kinds[end]; ok {
		f.Outcome.Kind = kind
		return f
	}
	code, _ := strconv.Atoi(end)
	f.Outcome = lockstep.Exited(code)
	if st, _ := s.run.Plan.Step(id); st.Stage == lockstep.StageCollect && code == 0 {
		f.Artifact = &lockstep.Artifact{Slot: st.Slot, Name: st.Artifact, Entries: 2}
		if end == "∅" {
			f.Artifact.Entries = 0
		}
	}
	return f
}

// next is the decision in words.
func (s *story) next() string {
	d := s.run.Next(s.now)
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	for _, r := range d.Record {
		add("record %s", r.EventType())
	}
	for _, x := range d.Settle {
		add("settle %s#%d%s", x.Step.ID, x.N, map[bool]string{true: " stop"}[x.Stop])
	}
	for _, id := range d.Stop {
		add("stop %s", id)
	}
	for _, a := range d.Start {
		add("start %s#%d", a.Step.ID, a.N)
	}
	if !d.Wake.IsZero() {
		add("wake %s", d.Wake.Sub(s.now))
	}
	if d.End != nil {
		add("end %s", d.End.State)
	}
	if len(parts) == 0 {
		return "wait"
	}
	return strings.Join(parts, ", ")
}

func instanceOf(job string) lockstep.InstanceID { return lockstep.InstanceID(job + "/0") }

// storyPlan is the plan of a story's deployment.
func storyPlan(op lockstep.Operation, change func(*lockstep.Policy)) *lockstep.Plan {
	policy := lockstep.LockstepPolicy()
	if change != nil {
		change(&policy)
	}
	p := &lockstep.Plan{Operation: op, Deployment: "shop", Policy: policy, Backup: "shop_1"}
	for _, job := range []string{"a", "b"} {
		p.Instances = append(p.Instances, lockstep.Instance{Group: job, ID: "0", Index: "0"})
		p.Artifacts = append(p.Artifacts, lockstep.PlannedArtifact{Slot: slotOf(job), Instance: instanceOf(job), Name: job})
	}
	switch op {
	case lockstep.OperationBackup:
		p.Waves = waves("check a b", "lock a", "lock b", "work a b", "unlock b", "unlock a", "collect a b", "verify a b", "commit r", "clean a b")
	case lockstep.OperationRestore:
		p.Waves = waves("check a b", "read a b", "place a b", "lock a", "lock b", "work a b", "unlock b", "unlock a", "clean a b")
	case lockstep.OperationCleanup:
		p.Waves = waves("unlock b", "unlock a", "clean a b")
	case lockstep.OperationCheck, lockstep.OperationPlan:
		p.Waves = waves("check a b", "clean a b")
	}
	return p
}

func waves(lines ...string) []lockstep.Wave {
	var out []lockstep.Wave
	for _, line := range lines {
		f := strings.Fields(line)
		w := lockstep.Wave{Stage: lockstep.Stage(f[0]), Number: 1}
		if n := len(out); n > 0 && out[n-1].Stage == w.Stage {
			w.Number = 2
		}
		for _, job := range f[1:] {
			w.Steps = append(w.Steps, storyStep(job, w))
		}
		out = append(out, w)
	}
	return out
}

func storyStep(job string, w lockstep.Wave) lockstep.Step {
	s := lockstep.Step{
		ID: lockstep.StepID(job + "." + string(w.Stage)), Stage: w.Stage, Wave: w.Number,
		Instance: instanceOf(job), Slot: slotOf(job), Artifact: job, Timeout: time.Hour,
	}
	of := map[lockstep.Stage]string{
		lockstep.StageUnlock: ".lock", lockstep.StageVerify: ".collect", lockstep.StagePlace: ".read",
	}
	if o, ok := of[w.Stage]; ok {
		s.Of = lockstep.StepID(job + o)
	}
	if w.Stage == lockstep.StageUnlock {
		s.Script = &lockstep.Script{Kind: lockstep.ScriptPostBackupUnlock}
	}
	return s
}

func slotOf(job string) lockstep.Slot { return lockstep.Slot{Group: job, Index: "0", Job: job} }
