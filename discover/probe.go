package discover

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lockstep"
	"lockstep/source"
	"lockstep/target"
)

//go:embed probe.sh
var probeScript string

// prober probes instances of one deployment.
type prober struct {
	options   Options
	layout    layout
	overrides source.Overrides
}

// ignoredJobs are invisible: their scripts, metadata too, are never run. They
// are jobs of a release that ships scripts of the same names for other ends.
func ignoredJobs() []string { return []string{"mysql-backup", "mysql-restore"} }

// quiet are the jobs whose metadata scripts are not run.
func (p prober) quiet() string {
	quiet := ignoredJobs()
	for job, o := range p.overrides.Jobs {
		if o.Skip || o.Replace {
			quiet = append(quiet, job)
		}
	}
	return strings.Join(quiet, " ")
}

// command is the command line of a probe.
func (p prober) command(marker string, sudo bool) string {
	w := p.layout
	command := target.QuoteAll("sh", "-c", target.ProveInput+probeScript, "lockstep", marker,
		w.base, w.pattern, w.hidden, w.rest,
		w.head, w.tail()+"/"+string(lockstep.ScriptMetadata), p.options.Version,
		strconv.Itoa(max(1, int(p.options.MetadataTimeout.Seconds()))), p.quiet())
	if sudo {
		return "sudo -n -- " + command
	}
	return command
}

// probe asks one instance.
func (p prober) probe(ctx context.Context, in source.Instance) (probed, error) {
	timeout := fmt.Errorf("no answer within %s", p.options.Timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, p.options.Timeout, timeout)
	defer cancel()
	marker := "lockstep-probe-" + rand.Text()
	out := &capture{limit: maxAnswer, strict: true}
	complaint := &capture{limit: 64 << 10}
	exit, err := in.Target.Run(ctx, p.command(marker, in.Sudo), target.Streams{
		Stdin: strings.NewReader(target.Challenge), Stdout: out, Stderr: complaint,
	})
	if err != nil {
		return probed{}, p.unreachable(in, out, err)
	}
	frames, err := parseFrames(out.Bytes(), marker)
	var foreign *target.Foreign
	switch {
	case errors.Is(err, errNoAnswer):
		return probed{}, p.refused(in, exit, firstSaid(out.String()), complaint.String())
	case errors.As(err, &foreign):
		return probed{}, &lockstep.Error{
			Kind: lockstep.KindInvalid, Op: "look for scripts on " + string(in.Name()), Err: foreign,
			Hint: target.LoginHint(foreign.Text, complaint.String(), exit),
		}
	}
	if err != nil || !exit.OK() {
		return probed{}, &lockstep.Error{
			Op:   "look for scripts on " + string(in.Name()),
			Err:  fmt.Errorf("the search broke off (%s): %w", exit, cmp.Or(err, errors.New(lastLines(complaint.String())))),
			Hint: "look at the free space and the permissions of /tmp there, then try again",
		}
	}
	return p.layout.interpret(in.Name(), frames)
}

// loginFailed reports whether err says that a login is not fit for commands.
func loginFailed(err error) bool {
	var foreign *target.Foreign
	return errors.Is(err, errNoAnswer) || errors.As(err, &foreign)
}

// unreachable is the error where no exit status arrived.
func (p prober) unreachable(in source.Instance, out *capture, err error) error {
	e := &lockstep.Error{
		Kind: lockstep.KindOf(err), Op: "look for scripts on " + string(in.Name()), Err: err,
		Hint: fmt.Sprintf("check that %s is up and can be logged in to; a machine that is gone for good is taken out of the specification", where(in)),
	}
	if out.full {
		e.Err = fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)
		e.Hint = "metadata scripts print too much there, or the script location matches too many folders"
	} else if lockstep.HintOf(err) != "" {
		e.Hint = "" // who made the error knows better
	}
	return e
}

func where(in source.Instance) string {
	if in.Address == "" {
		return string(in.Name())
	}
	return fmt.Sprintf("%s (%s)", in.Name(), in.Address)
}

// refused is the error where the probe did not even begin. said is what was on
// standard output, complaint what was on standard error.
func (p prober) refused(in source.Instance, exit target.Exit, said, complaint string) error {
	e := &lockstep.Error{
		Op:   "look for scripts on " + string(in.Name()),
		Err:  fmt.Errorf("%w: %s: %s", errNoAnswer, exit, cmp.Or(lastLines(complaint), "nothing on stderr")),
		Hint: fmt.Sprintf("on %s: %s", where(in), target.LoginHint(said, complaint, exit)),
	}
	if said != "" {
		e.Err = fmt.Errorf("%w: %s: it says %.200q", errNoAnswer, exit, said)
	}
	switch {
	case !in.Sudo || !strings.Contains(complaint, "sudo"):
	case exit.Code == 127 || strings.Contains(complaint, "sudo: not found"):
		e.Hint = "install sudo there, or log in as root with sudo: false"
	default:
		e.Hint = "let the user run commands as root without a password (in /etc/sudoers.d: USER ALL=(root) NOPASSWD: ALL), or log in as root"
	}
	return e
}

// firstSaid is the first line of what was said, or "".
func firstSaid(out string) string {
	if out == "" {
		return ""
	}
	return target.FirstLine(out)
}

// lastLines are the last lines of what a program complained about.
func lastLines(s string) string {
	const lines, length = 10, 2000
	s = strings.ToValidUTF8(strings.TrimSpace(s), "\uFFFD")
	all := strings.Split(s, "\n")
	s = strings.Join(all[max(0, len(all)-lines):], "\n")
	if len(s) > length {
		s = "..." + strings.ToValidUTF8(s[len(s)-length:], "")
	}
	return s
}
