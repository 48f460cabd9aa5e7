package lockstep_test

import (
	"testing"
	"time"

	"lockstep"
)

func TestNext(t *testing.T) {
	const (
		backup  = lockstep.OperationBackup
		restore = lockstep.OperationRestore
		cleanup = lockstep.OperationCleanup
	)
	unlockAll := func(p *lockstep.Policy) { p.UnlockAll = true }
	hold := func(p *lockstep.Policy) { p.HoldFailedRestore = true }
	minute := func(p *lockstep.Policy) { p.MaxLock = time.Minute }
	locked := "@check @lock "
	worked := locked + "@work "
	silent := worked + "b.unlock b.unlock=abandoned a.unlock a.unlock=0 "
	for _, c := range []struct {
		name   string
		op     lockstep.Operation
		policy func(*lockstep.Policy)
		story  string
		want   string
	}{
		{"a run begins with its checks", backup, nil, "", "start a.check#1, start b.check#1"},
		{"a wave waits for all of the wave before", backup, nil, "a.check b.check a.check=0", "wait"},
		{"locks go wave by wave", backup, nil, "@check a.lock a.lock=0", "start b.lock#1"},
		{"work begins when all are locked", backup, nil, locked, "start a.work#1, start b.work#1"},
		{"unlock waits for all work", backup, nil, locked + "a.work b.work b.work=0", "wait"},
		{"unlock goes the other way round", backup, nil, worked, "start b.unlock#1"},
		{"a failed check locks nothing", backup, nil, "a.check b.check a.check=1 b.check=0", "start a.clean#1, start b.clean#1"},
		{"a failed lock is unlocked, and nothing else is locked", backup, nil, "@check a.lock a.lock=1", "start a.unlock#1"},
		{"a failed lock unlocks all under the bbr policy", backup, unlockAll, "@check a.lock a.lock=1", "start b.unlock#1"},
		{"failed work is unlocked", backup, nil, locked + "a.work b.work a.work=1 b.work=0", "start b.unlock#1"},

		{"a cancel stops what locks", backup, nil, "@check a.lock cancel", "stop a.lock"},
		{"a cancel stops work", backup, nil, locked + "a.work b.work cancel", "stop a.work, stop b.work"},
		{"a cancel leaves a restore script alone", restore, nil, "@check @read @place @lock a.work b.work cancel", "wait"},
		{"a cancel does not cut unlock", backup, nil, worked + "b.unlock cancel", "wait"},
		{"a cancel unlocks", backup, nil, "@check a.lock cancel a.lock=never", "start a.unlock#1"},
		{"after a cancel nothing is collected", backup, nil, worked + "@unlock cancel", "start a.clean#1, start b.clean#1"},

		{"a failed unlock is tried again after 10 s, beside the next wave", backup, nil, worked + "b.unlock b.unlock=1", "start a.unlock#1, wake 10s"},
		{"and not earlier", backup, nil, worked + "b.unlock b.unlock=1 +9s a.unlock a.unlock=0", "wake 1s"},
		{"its second try is due", backup, nil, worked + "b.unlock b.unlock=1 a.unlock a.unlock=0 +10s", "start b.unlock#2"},
		{"the times count from the end of the first try", backup, nil,
			worked + "b.unlock b.unlock=1 a.unlock a.unlock=0 +10s b.unlock b.unlock=1 +49s", "wake 1s"},
		{"a later wave starts beside a running retry", backup, nil, worked + "b.unlock b.unlock=1 +10s b.unlock", "start a.unlock#1"},
		{"collecting waits for the retries", backup, nil, worked + "b.unlock b.unlock=1 a.unlock a.unlock=0 +10s b.unlock", "wait"},
		{"after four tries it is collected all the same", backup, nil,
			worked + "b.unlock b.unlock=1 a.unlock a.unlock=0 +10s b.unlock b.unlock=1 +1m b.unlock b.unlock=1 +5m b.unlock b.unlock=1",
			"start a.collect#1, start b.collect#1"},

		{"nothing else is unlocked later for an instance that does not answer", backup, nil, worked + "b.unlock b.unlock=abandoned", "start a.unlock#1, wake 10s"},
		{"nor collected before", backup, nil, worked + "b.unlock b.unlock=abandoned a.unlock", "wake 10s"},
		{"others are collected beside its tries", backup, nil, silent, "start a.collect#1, wake 10s"},
		{"also beside one that runs", backup, nil, silent + "+10s b.unlock", "start a.collect#1"},
		{"and beside one whose end nobody knows", backup, nil, silent + "+10s b.unlock b.unlock=?", "settle b.unlock#2, start a.collect#1"},
		{"not when it answers and fails", backup, nil, silent + "+10s b.unlock b.unlock=1", "wake 50s"},
		{"nor beside the tries of another that fails", backup, nil, worked + "b.unlock b.unlock=abandoned a.unlock a.unlock=1", "wake 10s"},
		{"what follows waits for its tries", backup, nil, silent + "a.collect a.collect=0", "wake 10s"},
		{"its tries go on beside the collect", backup, nil, silent + "a.collect +10s", "start b.unlock#2"},
		{"it is collected when it is unlocked", backup, nil, silent + "a.collect +10s b.unlock b.unlock=0", "start b.collect#1"},
		{"or has spent its tries", backup, nil,
			silent + "a.collect a.collect=0 +10s b.unlock b.unlock=abandoned +1m b.unlock b.unlock=abandoned +5m b.unlock b.unlock=abandoned", "start b.collect#1"},
		{"a cancel stops the collect, not the tries", backup, nil, silent + "a.collect cancel", "stop a.collect, wake 10s"},
		{"a lost unlock has had no try yet", backup, nil, worked + "b.unlock b.unlock=? a.unlock a.unlock=0", "settle b.unlock#1"},
		{"a recovery unlocks it, and collects no more", backup, nil, silent + "a.collect recover", "settle a.collect#1 stop, start b.unlock#2"},
		{"nor beside its own tries", backup, nil, silent + "a.collect recover a.collect=dead b.unlock b.unlock=abandoned", "wake 10s"},
		{"a restore cleans after all tries", restore, nil, "@check @read @place @lock @work b.unlock b.unlock=abandoned a.unlock a.unlock=0", "wake 10s"},

		{"what is unknown is settled before anything else", backup, nil, locked + "a.work b.work a.work=0 b.work=?", "settle b.work#1 stop"},
		{"an unknown unlock is waited for", backup, nil, worked + "b.unlock b.unlock=?", "settle b.unlock#1"},
		{"an unlock on an instance that another run owns is not tried again", backup, nil,
			worked + "b.unlock b.unlock=taken a.unlock a.unlock=0", "start a.collect#1, start b.collect#1"},
		{"an unknown restore script is waited for", restore, nil, "@check @read @place @lock a.work a.work=?", "settle a.work#1"},
		{"never started is unlocked too", backup, nil, "@check a.lock a.lock=? a.lock=never", "start a.unlock#1"},

		{"a recovery settles what ran", backup, nil, "@check a.lock recover", "settle a.lock#1 stop"},
		{"a recovery unlocks what was locked", backup, nil, locked + "recover", "start b.unlock#1"},
		{"a recovery before any lock only cleans", backup, nil, "@check recover", "start a.clean#1, start b.clean#1"},
		{"a recovery has all its unlock tries again", backup, nil,
			worked + "b.unlock b.unlock=1 a.unlock a.unlock=0 +10s b.unlock b.unlock=1 recover", "start b.unlock#3"},
		{"a recovery collects what was unlocked at once", backup, nil, worked + "@unlock a.collect b.collect a.collect=0 recover b.collect=dead", "start b.collect#2"},
		{"a recovery does not collect after a second try of unlock", backup, nil,
			worked + "b.unlock b.unlock=1 a.unlock a.unlock=0 +10s b.unlock b.unlock=0 recover", "start a.clean#1, start b.clean#1"},
		{"a recovery adds nothing to a committed backup", backup, nil,
			worked + "@unlock a.collect b.collect a.collect=0 b.collect=1 a.verify a.verify=0 @commit recover", "start a.clean#1, start b.clean#1"},
		{"a recovery verifies nothing again before it knows of the commit", backup, nil,
			worked + "@unlock @collect a.verify b.verify a.verify=0 b.verify=1 r.commit recover", "settle r.commit#1 stop"},
		{"and collects nothing", backup, nil,
			worked + "@unlock a.collect b.collect a.collect=0 b.collect=1 a.verify a.verify=0 r.commit recover", "settle r.commit#1 stop"},
		{"a commit that died is made again, with what it lacked", backup, nil,
			worked + "@unlock @collect a.verify b.verify a.verify=0 b.verify=1 r.commit recover r.commit=dead", "start b.verify#2"},
		{"a recovery cleans again", backup, nil, worked + "@unlock @collect @verify @commit @clean recover", "start a.clean#2, start b.clean#2"},

		{"max_lock wakes", backup, minute, "@check a.lock", "wake 1m0s"},
		{"max_lock is over", backup, minute, "@check a.lock +1m", "record lock-window-exceeded"},
		{"and stops what locks", backup, minute, "@check a.lock +1m overrun", "stop a.lock"},
		{"max_lock goes on when another job has failed", backup, minute, locked + "a.work b.work a.work=1 +1m", "record lock-window-exceeded"},
		{"max_lock does not touch unlock", backup, minute, worked + "b.unlock +1h", "wait"},

		{"a lease that fired stops the backup", backup, nil, locked + "a.work b.work lease:a", "stop a.work, stop b.work"},
		{"and everything is unlocked", backup, nil, locked + "a.work b.work a.work=0! b.work=0", "start b.unlock#1"},
		{"a failed restore is unlocked", restore, nil, "@check @read @place @lock a.work b.work a.work=1 b.work=0", "start b.unlock#1"},
		{"or held, if the policy says so", restore, hold, "@check @read @place @lock a.work b.work a.work=1 b.work=0", "start a.clean#1, start b.clean#1"},
		{"a restore locks only when everything is in place", restore, nil, "@check @read a.place b.place a.place=0 b.place=1", "start a.clean#1, start b.clean#1"},
		{"a cleanup unlocks everything", cleanup, nil, "", "start b.unlock#1"},
		{"an ended story has nothing next", cleanup, nil, "@unlock @clean", "end succeeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := newStory(t, storyPlan(c.op, c.policy)).tell(c.story).next(); got != c.want {
				t.Errorf("after %q next is\n%s, want\n%s", c.story, got, c.want)
			}
		})
	}
}

// TestAnUnknownUnlockHoldsUpNoOther: what is locked on one instance does not
// wait until somebody knows how an unlock on another one ended; the next wave
// does.
func TestAnUnknownUnlockHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	plan := func() *lockstep.Plan {
		p := storyPlan(lockstep.OperationBackup, nil)
		p.Waves = waves("check a b c", "lock a", "lock b c", "work a b c", "unlock b c", "unlock a", "clean a b c")
		return p
	}
	worked := "@check @lock @work "
	for story, want := range map[string]string{
		worked + "b.unlock recover":                                "settle b.unlock#1, start c.unlock#1",
		worked + "b.unlock recover c.unlock c.unlock=0":            "settle b.unlock#1",
		worked + "b.unlock c.unlock b.unlock=? c.unlock=0":         "settle b.unlock#1",
		worked + "b.unlock recover c.unlock b.unlock=dead":         "start b.unlock#2",
		worked + "b.unlock recover c.unlock b.unlock=0":            "wait",
		worked + "b.unlock recover b.unlock=0 c.unlock c.unlock=0": "start a.unlock#1",
	} {
		if got := newStory(t, plan()).tell(story).next(); got != want {
			t.Errorf("after %q next is\n%s, want\n%s", story, got, want)
		}
	}
}

func TestNextWithoutPlan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fact lockstep.EventData
		want string
	}{
		{nil, "wait"},
		{lockstep.CancelRequested{}, "end canceled"},
		{lockstep.RunFailed{Error: "no such host"}, "end failed"},
		{lockstep.RunRecovering{}, "end interrupted"},
	} {
		s := &story{t: t, run: &lockstep.Run{}, now: epoch}
		s.must(lockstep.RunOpened{Operation: lockstep.OperationBackup})
		if c.fact != nil {
			s.must(c.fact)
		}
		if got := s.next(); got != c.want {
			t.Errorf("after %v next is %s, want %s", c.fact, got, c.want)
		}
	}
}

func TestTaskTellsUnlockTheTruth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ story, want string }{
		{"@check @lock @work", "true"},
		{"@check @lock @work cancel", "false"},
		{"@check @lock @work recover", "false"},
		{"@check @lock @work lease:a", "false"},
		{"@check @lock @work failed", "false"},
		{"@check @lock a.work b.work a.work=0 b.work=1", "false"},
		{"@check a.lock a.lock=0 b.lock b.lock=1", "false"},
	} {
		s := newStory(t, storyPlan(lockstep.OperationBackup, nil)).tell(c.story)
		step, _ := s.run.Plan.Step("b.unlock")
		env := s.run.Task(lockstep.Attempt{Step: step, N: 1}).Env
		if len(env) != 1 || env[0] != lockstep.EnvBackupSuccessful+"="+c.want {
			t.Errorf("after %q unlock is told %q, want %s", c.story, env, c.want)
		}
	}
}

func TestTaskStopsWhatWasAbandoned(t *testing.T) {
	t.Parallel()
	s := newStory(t, storyPlan(lockstep.OperationBackup, nil)).tell("@check a.lock a.lock=abandoned")
	step, _ := s.run.Plan.Step("a.unlock")
	stop := s.run.Task(lockstep.Attempt{Step: step, N: 1}).Stop
	if len(stop) != 1 || stop[0].Step.ID != "a.lock" || stop[0].N != 1 {
		t.Errorf("unlock stops %v first, want try 1 of a.lock", stop)
	}
}
