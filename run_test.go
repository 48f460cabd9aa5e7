package lockstep_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"lockstep"
)

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	next := func(s *story, d lockstep.EventData) lockstep.Event { return s.event(d) }
	for _, c := range []struct {
		name, story string
		event       func(*story) lockstep.Event
	}{
		{"a gap", "", func(s *story) lockstep.Event {
			e := next(s, lockstep.Noted{})
			e.Seq++
			return e
		}},
		{"an event twice", "", func(s *story) lockstep.Event {
			e := next(s, lockstep.Noted{})
			e.Seq--
			return e
		}},
		{"another run's event", "", func(s *story) lockstep.Event {
			e := next(s, lockstep.Noted{})
			e.Run = "r2"
			return e
		}},
		{"a lower term", "recover", func(s *story) lockstep.Event {
			e := next(s, lockstep.Noted{})
			e.Term--
			return e
		}},
		{"a second opening", "", fact(lockstep.RunOpened{})},
		{"progress", "", fact(lockstep.Progress{})},
		{"a step out of the plan", "", fact(lockstep.StepStarted{Step: "c.lock", Attempt: 1})},
		{"a second try of a lock", "@check a.lock a.lock=1", fact(lockstep.StepStarted{Step: "a.lock", Attempt: 2})},
		{"a second try of work after a recovery", "@check @lock a.work recover a.work=dead", fact(lockstep.StepStarted{Step: "a.work", Attempt: 2})},
		{"a try while the one before runs", "@check @lock @work b.unlock", fact(lockstep.StepStarted{Step: "b.unlock", Attempt: 2})},
		{"a try while the one before is unknown", "@check @lock @work b.unlock b.unlock=?", fact(lockstep.StepStarted{Step: "b.unlock", Attempt: 2})},
		{"a try that leaves one out", "@check @lock @work", fact(lockstep.StepStarted{Step: "b.unlock", Attempt: 2})},
		{"an end without a start", "", fact(lockstep.StepFinished{Step: "a.lock", Attempt: 1, Outcome: lockstep.Exited(0)})},
		{"a second end", "@check", fact(lockstep.StepFinished{Step: "a.check", Attempt: 1, Outcome: lockstep.Exited(1)})},
		{"an end without an outcome", "a.check", fact(lockstep.StepFinished{Step: "a.check", Attempt: 1})},
		{"a collect again without a recovery", "@check @lock @work @unlock a.collect a.collect=1", fact(lockstep.StepStarted{Step: "a.collect", Attempt: 2})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t, storyPlan(lockstep.OperationBackup, nil)).tell(c.story)
			if err := s.run.Apply(c.event(s)); err == nil {
				t.Fatal("it was applied")
			}
			again, err := lockstep.FoldRun(s.events)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(again, s.run, cmpopts.IgnoreUnexported(lockstep.Run{})); d != "" {
				t.Errorf("the refused event changed the run:\n%s", d)
			}
		})
	}
}

func fact(d lockstep.EventData) func(*story) lockstep.Event {
	return func(s *story) lockstep.Event { return s.event(d) }
}

func TestApplyAfterTheEnd(t *testing.T) {
	t.Parallel()
	s := newStory(t, storyPlan(lockstep.OperationCleanup, nil)).tell("@unlock @clean")
	s.must(lockstep.RunEnded{Ending: *s.run.Next(s.now).End})
	if err := s.apply(lockstep.CancelRequested{}); err == nil {
		t.Error("a cancel after the end was applied")
	}
	if err := s.apply(lockstep.HoldAcknowledged{Slot: slotOf("a")}); err != nil {
		t.Errorf("a held job cannot be acknowledged: %v", err)
	}
}

// TestFold: a run driven by chance folds from any prefix of its journal to the
// same run, and to the same decision.
func TestFold(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		events, asked := randomRun(t)
		cut := rapid.IntRange(0, len(events)).Draw(t, "cut")
		prefix, err := lockstep.FoldRun(events[:cut])
		if err != nil {
			t.Fatalf("fold %d events of %d: %v", cut, len(events), err)
		}
		now := epoch.Add(24 * time.Hour)
		if cut > 0 {
			now = events[cut-1].Time
			prefix.Next(now)
		}
		for _, e := range events[cut:] {
			if err := prefix.Apply(e); err != nil {
				t.Fatal(err)
			}
		}
		whole, err := lockstep.FoldRun(events)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range []*lockstep.Run{prefix, asked} {
			if d := cmp.Diff(whole, r, cmpopts.IgnoreUnexported(lockstep.Run{})); d != "" {
				t.Fatalf("another run:\n%s", d)
			}
			if d := cmp.Diff(whole.Next(now), r.Next(now)); d != "" {
				t.Fatalf("another decision:\n%s", d)
			}
		}
	})
}

// randomRun drives a run by chance to some point and returns its events and
// the run that was asked what is next all along.
func randomRun(t *rapid.T) ([]lockstep.Event, *lockstep.Run) {
	op := rapid.SampledFrom([]lockstep.Operation{
		lockstep.OperationBackup, lockstep.OperationRestore, lockstep.OperationCleanup, lockstep.OperationCheck,
	}).Draw(t, "operation")
	s := newStory(t, storyPlan(op, func(p *lockstep.Policy) {
		p.HoldFailedRestore = rapid.Bool().Draw(t, "hold")
		if rapid.Bool().Draw(t, "max lock") {
			p.MaxLock = time.Minute
		}
	}))
	var open []lockstep.StepID
	for range rapid.IntRange(0, 80).Draw(t, "moves") {
		s.now = s.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
		d := s.run.Next(s.now)
		if d.End != nil {
			s.must(lockstep.RunEnded{Ending: *d.End})
			break
		}
		for _, f := range d.Record {
			s.must(f)
		}
		for _, a := range d.Start {
			s.must(lockstep.StepStarted{Step: a.Step.ID, Attempt: a.N})
			open = append(open, a.Step.ID)
		}
		for _, x := range d.Settle {
			s.must(s.finished(x.Step.ID, x.N, rapid.SampledFrom([]string{"0", "1", "dead", "abandoned", "never"}).Draw(t, "settled")))
		}
		open = s.chance(t, open)
	}
	return s.events, s.run
}

// chance lets one thing happen to a run.
func (s *story) chance(t *rapid.T, open []lockstep.StepID) []lockstep.StepID {
	rare := rapid.IntRange(0, 40).Draw(t, "event")
	switch words := []string{"cancel", "failed", "recover", "lease:a"}; {
	case rare < len(words):
		s.tell(words[rare])
		if words[rare] == "recover" {
			return nil
		}
	case len(open) > 0:
		i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
		end := rapid.SampledFrom([]string{"0", "0", "0", "0", "1", "?", "dead", "0!"}).Draw(t, "end")
		s.must(s.finished(open[i], len(s.run.Steps[open[i]].Tries), end))
		return slices.Delete(open, i, i+1)
	}
	return open
}
