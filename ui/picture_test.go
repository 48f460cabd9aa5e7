package ui

import (
	"fmt"
	"lockstep/internal/golden"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// text is a picture as lines: what a page would show, without its looks.
func (p Picture) text() string {
	var b strings.Builder
	for _, s := range p.Stages {
		fmt.Fprintf(&b, "[%s %s %s] ", s.Stage, s.State, s.Text)
	}
	fmt.Fprintf(&b, "\nlock: %s, %s, since %d\nflow: %s %s\nbracket: %d %d %d\n", p.Lock.State, p.Lock.Text, p.Lock.Since, p.Flow.State, p.Flow.Text, p.Before, p.Inside, p.After)
	for _, c := range p.Columns {
		if c.Barrier != nil {
			fmt.Fprintf(&b, "  |%s|", c.Barrier.Word)
		}
		fmt.Fprintf(&b, " %s", c.Title)
		if c.Locked {
			b.WriteString(" (locked)")
		}
	}
	b.WriteString("\n")
	for _, r := range p.Rows {
		fmt.Fprintf(&b, "%s %s:", r.Name, r.Job)
		for _, c := range r.Cells {
			for _, chip := range c.Chips {
				fmt.Fprintf(&b, " | %s: %s %s %s", c.Title, strings.TrimSpace(chip.Name+" "+chip.State), chip.Text, chip.Word)
				if chip.Since > 0 {
					fmt.Fprintf(&b, " since %d", chip.Since)
				}
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func failingPlay() *play {
	p := newPlay()
	p.fates["queue/0/queue/pre-backup-lock"] = lockstep.StepFinished{
		Outcome: lockstep.Exited(1), Error: "exit 1: rabbitmqctl: cannot connect to node <rabbit@queue-0>: nodedown",
		Hint: "read what the script printed; `lockstep cleanup shop` unlocks by hand",
	}
	p.fates["web/1/web/post-backup-unlock"] = lockstep.StepFinished{
		Outcome: lockstep.Outcome{Kind: lockstep.OutcomeAbandoned}, Error: "web/1 could not be reached for 1m00s",
		Hint: "see to the instance, then `lockstep cleanup shop`",
	}
	return p.open(lockstep.OperationBackup).drive(0)
}

func TestPictureOfARunUnderWay(t *testing.T) {
	p := newPlay().open(lockstep.OperationBackup).drive(7 * time.Second)
	golden.Check(t, "picture_working.txt", PictureOf(p.run, &lockstep.Meter{}).text())
}

func TestPictureOfTransfers(t *testing.T) {
	p := newPlay().open(lockstep.OperationBackup).drive(18 * time.Second)
	var m lockstep.Meter
	for i, id := range p.run.Running() {
		for _, s := range []int{0, 1, 2} {
			m.Follow(lockstep.Event{Time: p.now.Add(time.Duration(s) * time.Second), Data: lockstep.Progress{Step: id, Bytes: int64(s*(i+1)) << 20, Total: 64 << 20}})
		}
	}
	golden.Check(t, "picture_collecting.txt", PictureOf(p.run, &m).text())
}

func TestPictureOfAFailure(t *testing.T) {
	golden.Check(t, "picture_failed.txt", PictureOf(failingPlay().run, &lockstep.Meter{}).text())
}

func TestPictureOfARestore(t *testing.T) {
	p := newPlay().open(lockstep.OperationRestore).drive(9 * time.Second)
	golden.Check(t, "picture_restore.txt", PictureOf(p.run, &lockstep.Meter{}).text())
}

func TestNoPictureWithoutAPlan(t *testing.T) {
	p := newPlay()
	p.fact(lockstep.RunOpened{Operation: lockstep.OperationBackup, Deployment: "shop"})
	if marks := PictureOf(p.run, &lockstep.Meter{}).Marks(); marks != nil {
		t.Errorf("marks of a run that has no plan: %v", marks)
	}
}

// What has not happened cannot look as if it had: a barrier is open exactly
// when something behind it was started, at every moment of a run.
func TestBarriersNeverLie(t *testing.T) {
	for name, whole := range map[string]*play{
		"backup": failingPlay(), "restore": newPlay().open(lockstep.OperationRestore).drive(0), "check": newPlay().open(lockstep.OperationCheck).drive(0),
	} {
		t.Run(name, func(t *testing.T) { barriersHold(t, whole) })
	}
}

func barriersHold(t *testing.T, whole *play) {
	run := &lockstep.Run{}
	for _, e := range whole.events {
		if err := run.Apply(e); err != nil {
			t.Fatal(err)
		}
		if run.Plan == nil {
			continue
		}
		p := PictureOf(run, &lockstep.Meter{})
		keys := map[string]bool{}
		for _, m := range p.Marks() {
			if keys[m.Key] {
				t.Fatalf("event %d: two marks have the key %s", e.Seq, m.Key)
			}
			keys[m.Key] = true
		}
		for i, c := range p.Columns {
			begun := false
			for _, s := range run.Plan.Waves[i].Steps {
				begun = begun || run.Steps[s.ID] != nil
			}
			if c.Barrier != nil && (c.Barrier.State == "open") != begun {
				t.Fatalf("event %d: the barrier before %s is %s, and something behind it was started: %v", e.Seq, c.Title, c.Barrier.State, begun)
			}
		}
		if locked := len(run.Locked()) > 0; locked != (p.Lock.State == "locked" || p.Lock.State == "held") {
			t.Fatalf("event %d: the lock mark says %q, and locked is %v", e.Seq, p.Lock.State, run.Locked())
		}
	}
}

func TestTimelineOfAFinishedRun(t *testing.T) {
	p := newPlay().open(lockstep.OperationBackup).drive(0)
	golden.Check(t, "timeline.txt", TimelineOf(p.run, p.now).text())
}

func TestTimelineOfAFailure(t *testing.T) {
	p := failingPlay()
	golden.Check(t, "timeline_failed.txt", TimelineOf(p.run, p.now).text())
}

func (t Timeline) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "took %s, locked %.1f+%.1f\n", t.Took, t.Lock.X, t.Lock.W)
	for _, tick := range t.Ticks {
		fmt.Fprintf(&b, "%s@%.1f ", tick.Text, tick.X)
	}
	b.WriteString("\n")
	for _, g := range t.Groups {
		fmt.Fprintln(&b, g.Title)
		for _, v := range g.Tries {
			fmt.Fprintf(&b, "  %s %s %s try %d: %s %s, %.1f+%.1f, %s, %s\n", v.Instance, v.Job, v.What, v.Attempt, v.Start, v.Took, v.X, v.W, v.State, v.Outcome)
		}
	}
	return b.String()
}

func TestTroublesComeInOrderAndOnce(t *testing.T) {
	got := failingPlay().run.Troubles()
	if len(got) != 2 || got[0].Step != "queue/0/queue/pre-backup-lock" || got[0].Hint == "" || !strings.Contains(got[1].Why, "did not answer") {
		t.Errorf("troubles: %+v", got)
	}
}

func TestHistory(t *testing.T) {
	h := HistoryOf(history(30))
	if len(h.Bars) != historySlots {
		t.Fatalf("%d bars", len(h.Bars))
	}
	if h.Text != "last 8.00s, median 10.6s, longest 31.2s" {
		t.Errorf("text: %s", h.Text)
	}
	for i, b := range h.Bars {
		if b.X < 0 || b.X+b.W > historyWide || b.Y < 0 || b.Y+b.H > historyHigh+.1 || i > 0 && b.X <= h.Bars[i-1].X {
			t.Errorf("bar %d lies outside of the picture or of the order: %+v", i, b)
		}
	}
	night := history(10)
	night[2].LockWindow = 5000
	if h := HistoryOf(night); h.Median > historyHigh*0.7 || !h.Bars[len(h.Bars)-3].Cut {
		t.Errorf("one bad night presses all others flat: median at %.1f, cut %v", h.Median, h.Bars[len(h.Bars)-3].Cut)
	}
	if h := HistoryOf(nil); len(h.Bars) != 0 || h.Text == "" {
		t.Errorf("of nothing: %+v", h)
	}
}

func TestProtection(t *testing.T) {
	old, bad := kept(2), kept(0)
	bad.Data = lockstep.DataIncomplete
	for _, c := range []struct {
		name    string
		backups []lockstep.Backup
		word    string
	}{
		{"none", nil, "never"},
		{"only one that is not proven", []lockstep.Backup{bad}, "never"},
		{"an old one behind one that is not proven", []lockstep.Backup{bad, old}, "late"},
		{"a new one", []lockstep.Backup{kept(0)}, "fine"},
	} {
		if p := ProtectionOf(c.backups, begin, 26*time.Hour); p.Word != c.word {
			t.Errorf("%s: %s, want %s", c.name, p.Word, c.word)
		}
	}
}

func TestHeldGroups(t *testing.T) {
	slot := lockstep.Slot{Group: "db", Index: "0", Job: "postgres"}
	groups := HeldGroupsOf(
		[]lockstep.Hold{{Deployment: "shop", Run: "alive", Slot: slot}, {Deployment: "shop", Run: "ended", Slot: slot}, {Deployment: "cf", Run: "dead", Slot: slot}},
		[]lockstep.RunSummary{{ID: "alive"}, {ID: "dead", Deployment: "cf", Abandoned: true}},
		[]lockstep.LostRun{{Run: "lost", Deployment: "wiki", Since: begin}},
	)
	if len(groups) != 3 || !groups[0].Dead || groups[0].Run != "dead" || len(groups[0].Jobs) != 1 || groups[2].Run != "ended" || groups[2].Dead {
		t.Errorf("groups: %+v", groups)
	}
	if lost := groups[1]; !lost.Lost || lost.Run != "lost" || lost.Deployment != "wiki" || lost.Since != begin.UnixMilli() {
		t.Errorf("groups: %+v", groups)
	}
}

func TestLegible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\n\ttext\r\n":                     "plain\n\ttext\n",
		"\x1b[1;32mgreen\x1b[0m":                "green",
		"\x1b]0;title\x07":                      "␛]0;title␇",
		"a\x00b\x7f":                            "a␀b␡",
		"evil\u202etxt.exe":                     "evil\ufffdtxt.exe",
		"\xff\xfe":                              "\ufffd\ufffd",
		"\u0085next":                            "\ufffdnext",
		"\x1b[" + strings.Repeat("1", 40) + "m": "␛[" + strings.Repeat("1", 40) + "m",
	} {
		if got := legible([]byte(in)); got != want {
			t.Errorf("legible(%q) = %q, want %q", in, got, want)
		}
	}
}
