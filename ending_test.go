package lockstep_test

import (
	"fmt"
	"testing"

	"lockstep"
)

func TestEnding(t *testing.T) {
	const (
		backup  = lockstep.OperationBackup
		restore = lockstep.OperationRestore
	)
	worked := "@check @lock @work "
	whole := worked + "@unlock @collect @verify @commit "
	spent := func(id string) string {
		try := " " + id + " " + id + "=1 "
		return try + "+10s" + try + "+1m" + try + "+5m" + try
	}
	bbr := func(p *lockstep.Policy) { *p = lockstep.BBRPolicy() }
	hold := func(p *lockstep.Policy) { p.HoldFailedRestore = true }
	for _, c := range []struct {
		name   string
		op     lockstep.Operation
		policy func(*lockstep.Policy)
		story  string
		want   string // state, data, locks, exit code, held, error
	}{
		{"all well", backup, nil, whole + "@clean", "succeeded verified released 0 [] "},
		{"a cancel that came too late", backup, nil, whole + "cancel @clean", "succeeded verified released 0 [] "},
		{"a recovery that came too late", backup, nil, whole + "recover @clean", "succeeded verified released 0 [] "},
		{"a lock failed", backup, nil, "@check a.lock a.lock=1 a.unlock a.unlock=0 @clean", "failed none released 4 [] a.lock: exit 1"},
		{"a backup script failed", backup, nil, "@check @lock a.work b.work a.work=1 b.work=0 @unlock @clean", "failed none released 1 [] a.work: exit 1"},
		{"an unlock needed two tries", backup, nil,
			worked + "b.unlock b.unlock=1 a.unlock a.unlock=0 +10s b.unlock b.unlock=0 @collect @verify @commit @clean",
			"failed incomplete released 8 [] b.unlock: exit 1"},
		{"an unlock never ended well", backup, nil, worked + spent("b.unlock") + "a.unlock a.unlock=0 @collect @verify @commit @clean",
			"failed incomplete held 40 [b/0/b] b.unlock: exit 1"},
		{"the same under the bbr policy", backup, bbr,
			worked + "b.unlock b.unlock=1 a.unlock a.unlock=0 +2s b.unlock b.unlock=1 @collect @verify @commit @clean",
			"failed incomplete held 8 [b/0/b] b.unlock: exit 1"},
		{"something was left", backup, nil, whole + "a.clean a.clean=1 b.clean b.clean=0", "failed verified released 16 [] a.clean: exit 1"},
		{"an empty artifact", backup, nil, worked + "@unlock a.collect b.collect a.collect=∅ b.collect=0 @verify @commit @clean",
			"failed incomplete released 1 [] a.collect: the backup script left nothing"},
		{"an empty artifact under the bbr policy", backup, bbr, worked + "@unlock a.collect b.collect a.collect=∅ b.collect=0 @verify @commit @clean",
			"succeeded verified released 0 [] "},
		{"one artifact could not be verified", backup, nil, worked + "@unlock @collect a.verify b.verify a.verify=1 b.verify=0 @commit @clean",
			"failed incomplete released 1 [] a.verify: exit 1"},
		{"a lease fired", backup, nil, worked + "b.unlock b.unlock=0! a.unlock a.unlock=0 @collect @verify @commit @clean",
			"failed incomplete released 1 [] b/0: unlocked by itself when its lease ran out"},
		{"canceled", backup, nil, worked + "cancel @unlock @clean", "canceled none released 1 [] canceled"},
		{"recovered", backup, nil, worked + "recover @unlock @clean", "interrupted none released 1 [] the orchestrator of this run died"},
		{"recovered, and collected", backup, nil, worked + "@unlock recover @collect @verify @commit @clean", "succeeded verified released 0 [] "},
		{"restored", restore, nil, "@check @read @place @lock @work @unlock @clean", "succeeded restored released 0 [] "},
		{"half restored", restore, nil, "@check @read @place @lock a.work b.work a.work=1 b.work=0 @unlock @clean", "failed partial released 1 [] a.work: exit 1"},
		{"half restored and held", restore, hold, "@check @read @place @lock a.work b.work a.work=1 b.work=0 @clean",
			"failed partial held 33 [b/0/b a/0/a] a.work: exit 1"},
		{"not restored", restore, nil, "@check @read a.place b.place a.place=1 b.place=0 @clean", "failed untouched released 1 [] a.place: exit 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, storyPlan(c.op, c.policy)).tell(c.story)
			e := s.run.Next(s.now).End
			if e == nil {
				t.Fatalf("it does not end: %s", s.next())
			}
			got := fmt.Sprintf("%s %s %s %d %v %s", e.State, e.Data, e.Locks, e.ExitCode, e.Held, e.Error)
			if got != c.want {
				t.Errorf("it ends as\n%s, want\n%s", got, c.want)
			}
		})
	}
}
