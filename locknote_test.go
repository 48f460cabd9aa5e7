package lockstep_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// TestTheEndIsOneStatement: what an instance that died, or whose lease ran out,
// leaves behind is told once, and as it is known: as locked perhaps, or as
// unlocked.
func TestTheEndIsOneStatement(t *testing.T) {
	t.Parallel()
	worked := "@check @lock @work "
	silent := worked + "b.unlock b.unlock=abandoned a.unlock a.unlock=0 a.collect a.collect=0 "
	spent := silent + strings.Repeat("+5m b.unlock b.unlock=abandoned ", 3)
	rest := "b.collect b.collect=abandoned a.verify a.verify=0 @commit a.clean a.clean=0 b.clean b.clean=abandoned end"
	noLease := func(p *lockstep.Policy) { p.Lease = 0 }
	for _, c := range []struct {
		name, story string
		policy      func(*lockstep.Policy)
		want        string
	}{
		{"it stays away", spent + rest, nil,
			"may still be locked: b/0/b | b/0: it did not answer when it was to be unlocked (4 tries); if it stays up, it unlocks by itself when its lease of 10m0s runs out"},
		{"for longer than its lease", spent + "lease:b " + rest, nil,
			"may still be locked: b/0/b | b/0: not reached before its lease ran out; if it has stayed up, it has unlocked by itself"},
		{"and has no lease", spent + rest, noLease,
			"may still be locked: b/0/b | b/0: it did not answer when it was to be unlocked (4 tries)"},
		{"it comes back, unlocked by its lease", silent + "+10s b.unlock b.unlock=0! b.collect b.collect=0 @verify @commit @clean end", nil,
			"b/0: unlocked by itself when its lease ran out | nobody reached it in time to renew the lease\nb.unlock failed | abandoned"},
		{"it comes back, and the run unlocks it", silent + "lease:b +10s b.unlock b.unlock=0 b.collect b.collect=0 @verify @commit @clean end", nil,
			"b/0: its lease ran out before it was unlocked | nobody reached it in time to renew the lease\nb.unlock failed | abandoned"},
		{"it comes back, and its unlock fails", silent + "lease:b +10s b.unlock b.unlock=1 +1m b.unlock b.unlock=1 +5m b.unlock b.unlock=1 @verify @commit @clean end", nil,
			"b.unlock failed | abandoned\nb.unlock failed | exit 1\nstill locked: b/0/b | b/0: its lease ran out, and no unlock since has ended well"},
		{"its unlock fails", worked + strings.Repeat("+5m b.unlock b.unlock=1 ", 4) + "a.unlock a.unlock=0 @collect @verify @commit @clean end", nil,
			"b.unlock failed | exit 1\nstill locked: b/0/b | its unlock did not succeed"},
		{"its unlock fails, and another one is silent", worked + strings.Repeat("+5m b.unlock b.unlock=1 ", 4) +
			"a.unlock a.unlock=abandoned b.collect b.collect=0 @verify @commit @clean end", nil,
			"b.unlock failed | exit 1\nstill locked: b/0/b, a/0/a | a/0: it did not answer when it was to be unlocked (1 try); if it stays up, it unlocks by itself when its lease of 10m0s runs out\nthe unlocks of the others did not succeed"},
		{"another run has it", worked + "b.unlock b.unlock=taken a.unlock a.unlock=0 @collect @verify @commit @clean end", nil,
			"b.unlock failed | abandoned\nstill locked: b/0/b | its unlock did not succeed"},
		{"while it goes on", worked + "lease:b", nil,
			"b/0: its lease ran out before it was unlocked | nobody reached it in time to renew the lease"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			story, ends := strings.CutSuffix(c.story, "end")
			s := newStory(t, storyPlan(lockstep.OperationBackup, c.policy)).tell(story)
			if ends {
				s.must(lockstep.RunEnded{Ending: lockstep.Ending{State: lockstep.RunFailedState, ExitCode: 1, Held: s.run.Locked(), Locks: lockstep.LocksHeld}})
			}
			var lines []string
			for _, x := range s.run.Troubles() {
				lines = append(lines, fmt.Sprintf("%s | %s", x.What, x.Why))
			}
			got := strings.Join(lines, "\n")
			if got != c.want {
				t.Errorf("told is\n%s, want\n%s", got, c.want)
			}
			if strings.Contains(got, "locked: ") && strings.Contains(got, "unlocked by itself when") {
				t.Errorf("both are told:\n%s", got)
			}
		})
	}
}

// TestSettledSilence: what a later run has let go of is not told of as locked any
// more; that its instance did not answer is.
func TestSettledSilence(t *testing.T) {
	t.Parallel()
	s := newStory(t, storyPlan(lockstep.OperationCleanup, nil)).tell("b.unlock b.unlock=abandoned a.unlock a.unlock=1 ")
	s.must(lockstep.RunEnded{Ending: lockstep.Ending{State: lockstep.RunFailedState, ExitCode: 1, Locks: lockstep.LocksHeld, Held: []lockstep.Slot{slotOf("b"), slotOf("a")}}})
	rep := s.run.Report(time.Now())
	rep.See(lockstep.RunSummary{ID: s.run.ID, SettledBy: "r2"})
	var got []string
	for _, f := range rep.Failures {
		got = append(got, fmt.Sprintf("%s | %s", f.What, f.Why))
	}
	want := "a.unlock failed | exit 1\nnot every instance answered when it was to be unlocked | b/0: no answer in 1 try"
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("told is\n%s, want\n%s", text, want)
	}
}
