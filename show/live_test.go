package show

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"lockstep"
	"lockstep/internal/golden"
	"lockstep/show/showtest"
)

// viewOf is the live view of a play's events so far.
func viewOf(p *showtest.Play) *liveView {
	v := newLiveView(Palette{})
	for _, e := range p.Events {
		v.Event(e)
	}
	return v
}

// backingUp is a backup that has come to the start of that step.
func backingUp(step lockstep.StepID, fates map[lockstep.StepID]lockstep.StepFinished) *showtest.Play {
	p := showtest.NewPlay()
	for id, f := range fates {
		p.Fates[id] = f
	}
	p.Open(lockstep.Request{Operation: lockstep.OperationBackup, Deployment: "shop"})
	p.Drive(step)
	return p
}

func TestLiveView(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	show := func(title string, v *liveView, now time.Time, width, height int) {
		picture := v.Render(now, width, height)
		fmt.Fprintf(&b, "== %s, %d x %d ==\n%s\n\n", title, width, height, picture)
		fits(t, title, picture, width, height)
	}
	show("before the first event", newLiveView(Palette{}), showtest.Begin, 80, 24)

	opened := showtest.NewPlay()
	opened.Fact(lockstep.RunOpened{Operation: lockstep.OperationBackup, Deployment: "shop"})
	show("not planned yet", viewOf(opened), showtest.Begin.Add(time.Second), 80, 24)

	work := backingUp("db/0/postgres/backup", nil)
	show("at work, locked", viewOf(work), work.Now.Add(75*time.Second), 100, 24)
	show("at work, narrow", viewOf(work), work.Now.Add(75*time.Second), 40, 24)

	collect := backingUp("db/0/postgres/collect", nil)
	for k := range int64(5) {
		collect.Now = collect.Now.Add(time.Second)
		collect.Progress(lockstep.Progress{Step: "db/0/postgres/collect", Bytes: k * 10 << 20, Total: 120 << 20})
	}
	show("collecting", viewOf(collect), collect.Now, 100, 24)

	failed := backingUp("db/0/postgres/post-backup-unlock", map[lockstep.StepID]lockstep.StepFinished{
		"db/0/postgres/backup": {Outcome: lockstep.Exited(2), Error: "exit 2: disk\x1b[2J full"},
		"files/0/blobs/backup": {Outcome: lockstep.Outcome{Kind: lockstep.OutcomeSignal, Signal: "KILL"}},
	})
	show("unlocking after a failure", viewOf(failed), failed.Now.Add(2*time.Second), 100, 24)
	show("with little room", viewOf(failed), failed.Now.Add(2*time.Second), 100, 10)

	done := backingUp("", nil)
	show("at its end", viewOf(done), done.Now.Add(time.Hour), 80, 24)
	golden.Check(t, "golden/live.txt", b.String())
}

// fits checks that a picture is no larger than its terminal and harmless.
func fits(t *testing.T, title, picture string, width, height int) {
	t.Helper()
	lines := strings.Split(picture, "\n")
	if len(lines) > height {
		t.Errorf("%s: %d lines on a terminal of %d", title, len(lines), height)
	}
	for _, l := range lines {
		if utf8.RuneCountInString(l) > width {
			t.Errorf("%s: wider than %d: %q", title, width, l)
		}
		if strings.ContainsFunc(l, dangerous) {
			t.Errorf("%s: a terminal would act on %q", title, l)
		}
	}
}

func TestLiveViewFitsEveryTerminal(t *testing.T) {
	t.Parallel()
	failed := backingUp("web/0/web/post-backup-unlock", map[lockstep.StepID]lockstep.StepFinished{
		"db/0/postgres/backup": {Outcome: lockstep.Exited(2), Error: strings.Repeat("very long ", 50)},
	})
	v := viewOf(failed)
	for width := 10; width < 140; width += 7 {
		for height := 12; height < 40; height += 9 {
			fits(t, "every terminal", v.Render(failed.Now, width, height), width, height)
		}
	}
}
