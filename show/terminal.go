package show

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/term"

	"lockstep"
)

// Terminal is where one invocation of a program shows what it has to show: data
// on stdout, everything else on stderr. It says what it says to a person, or as
// JSON to another program. Before settle it shows plain text.
type Terminal struct {
	stdout, stderr io.Writer
	env            []string
	now            func() time.Time
	// Out and err style what goes to stdout and stderr.
	Out, Err Palette
	look     Look
	Console  *console
	Log      *slog.Logger
}

// Look is how things are shown.
type Look struct {
	// json: data is JSON; logJSON: lines on stderr are.
	JSON, LogJSON bool
	// verbose: with the lines for debugging.
	Verbose bool
	// plain: without colours; still: without a live view.
	Plain, Still bool
	// Config is the configuration file that the command line named, or "": commands
	// in hints name it again.
	Config string
}

// NewTerminal shows on these streams; env is the environment of the program.
func NewTerminal(stdout, stderr io.Writer, env []string, now func() time.Time) *Terminal {
	c := &console{to: stderr}
	return &Terminal{stdout: stdout, stderr: stderr, env: env, now: now, Console: c, Log: newLogger(c, Look{}, false)}
}

// Settle says how things are shown from here on.
func (t *Terminal) Settle(l Look) {
	t.look = l
	t.Out = Palette{On: IsTerminal(t.stdout) && !l.Plain}
	t.Err = Palette{On: IsTerminal(t.stderr) && !l.Plain}
	t.Log = newLogger(t.Console, l, t.Err.On)
}

// JSON reports whether data is shown as JSON.
func (t *Terminal) JSON() bool { return t.look.JSON }

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// Say writes one line to stderr.
func (t *Terminal) Say(format string, args ...any) {
	text := t.typed(fmt.Sprintf(format, args...))
	if t.look.LogJSON {
		t.Log.Warn(text)
		return
	}
	t.Console.WriteString(t.Err.Warn("lockstep: "+Line(text)) + "\n")
}

// whyLines is how much of a long cause is shown.
const whyLines = 6

// Complain writes what failed, why, and what to type: a line each. The words of
// the whole error are for those who ask for more.
func (t *Terminal) Complain(m lockstep.Message) {
	m.Hint = t.typed(m.Hint)
	if t.look.LogJSON {
		t.Log.Error(m.What, "why", m.Why, "hint", m.Hint, "error", cmp.Or(m.Chain, m.String()))
		return
	}
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s %s\n", t.Err.Strong(name), Indent(Clean(text), "    "))
		}
	}
	fmt.Fprintf(&b, "%s %s\n", t.Err.Bad("lockstep:"), Indent(Clean(m.What), "    "))
	line("why:", brief(m.Why, whyLines))
	for hint := range strings.SplitSeq(m.Hint, "\n") {
		line("hint:", hint)
	}
	if t.look.Verbose {
		line("chain:", m.Chain)
	}
	t.Console.WriteString(b.String())
}

// ComplainOf is Complain for each thing that an error says.
func (t *Terminal) ComplainOf(err error) {
	for _, m := range lockstep.MessagesOf(err) {
		t.Complain(m)
	}
}

// SayHeld says per deployment which jobs may still be locked and what settles
// it.
func (t *Terminal) SayHeld(held []lockstep.Hold) {
	var order []string
	slots, flag := map[string][]string{}, map[string]string{}
	for _, h := range held {
		if slots[h.Deployment] == nil {
			order = append(order, h.Deployment)
		}
		if h.Restore {
			flag[h.Deployment] = " --restore"
		}
		slots[h.Deployment] = append(slots[h.Deployment], h.Slot.String())
	}
	for _, d := range order {
		t.Say("%s of %s may still be locked: %s cleanup %s%s", strings.Join(slots[d], ", "), d, t.program(), d, flag[d])
	}
}

// Reporter is the live view on a terminal, plain lines elsewhere.
func (t *Terminal) Reporter() Reporter {
	if IsTerminal(t.stderr) && !t.look.LogJSON && !t.look.Still {
		return newLiveReporter(t)
	}
	return NewPlainReporter(t)
}

// Reporter tells a person how a run goes while it runs. Its methods are called
// by one goroutine.
type Reporter interface {
	// Event is called with each event after it was folded into run; seq 0 is
	// progress. tail is what a script that failed printed last.
	Event(run *lockstep.Run, e lockstep.Event, tail []string)
	// Say shows a line about the following itself.
	Say(line string)
	// Close ends the reporting; what comes after it may write to stderr.
	Close()
}
