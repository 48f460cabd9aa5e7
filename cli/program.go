package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"lockstep"
)

// Program is one invocation of the command line with its surroundings.
type Program struct {
	// Version is that of the build, "dev" if none was set.
	Version        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env are NAME=value pairs; the last of a name counts.
	Env []string
	// Signals are the wishes to stop. The first cancels what runs, by way of
	// unlock; later ones say what is still locked. Nil is never.
	Signals <-chan os.Signal
	Setup   Setup
	// Now is the clock of ages and summaries; nil is time.Now.
	Now func() time.Time
}

// Run runs one command line, without the program's name, and returns its exit
// code. It returns only when every run that it began has ended. It may be
// called again, one call at a time.
func (p Program) Run(ctx context.Context, args []string) int {
	inv := newInvocation(p)
	root := inv.rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	inv.printError(err)
	code := exitCodeOf(err)
	if err := inv.close(); err != nil {
		inv.printError(err)
		code |= lockstep.ExitError
	}
	return code
}

// invocation is the state of one Run.
type invocation struct {
	Program
	flags globalFlags
	// out and err style what goes to stdout and stderr.
	out, err palette
	inTTY    bool
	outTTY   bool
	errTTY   bool
	console  *console
	log      *slog.Logger
	opened   *Orchestrator
	// local: the command is about this host, whatever server is named.
	local bool
	lost  lostLines
}

func newInvocation(p Program) *invocation {
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Version == "" {
		p.Version = "dev"
	}
	i := &invocation{
		Program: p,
		inTTY:   isTerminal(p.Stdin), outTTY: isTerminal(p.Stdout), errTTY: isTerminal(p.Stderr),
		console: &console{to: p.Stderr},
	}
	i.log = newLogger(i.console, logOptions{})
	return i
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// settle takes the global flags into account, once they are parsed.
func (i *invocation) settle() error {
	if err := i.flags.check(); err != nil {
		return err
	}
	plain := i.flags.noColor || i.getenv("NO_COLOR") != "" || i.getenv("TERM") == "dumb"
	i.out = palette{on: i.outTTY && !plain}
	i.err = palette{on: i.errTTY && !plain}
	i.log = newLogger(i.console, logOptions{
		json: i.flags.logFormat == "json", verbose: i.flags.verbose, color: i.err.on,
	})
	return nil
}

func (i *invocation) getenv(name string) string {
	for k := len(i.Env) - 1; k >= 0; k-- {
		if v, ok := strings.CutPrefix(i.Env[k], name+"="); ok {
			return v
		}
	}
	return ""
}

func (i *invocation) options() Options {
	return Options{
		ConfigPath: i.flags.config, Getenv: i.getenv, Logger: i.log, Version: i.Version,
		Server: i.server(), Lost: i.sayLost,
	}
}

// service opens the Service on first use.
func (i *invocation) service(ctx context.Context) (lockstep.Service, error) {
	if i.opened != nil {
		return i.opened.Service, nil
	}
	open := i.Setup.Open
	if i.server() != "" {
		open = i.Setup.Connect
	}
	if open == nil {
		return nil, &lockstep.Error{Op: "open the orchestrator", Err: errors.New("this build has none")}
	}
	o, err := open(ctx, i.options())
	if err != nil {
		return nil, err
	}
	i.opened = &o
	return o.Service, nil
}

func (i *invocation) close() error {
	if i.opened == nil || i.opened.Close == nil {
		return nil
	}
	return i.opened.Close()
}

// interruptible is ctx, ended by the first signal too. It is for commands that
// only ask; those that run something follow it instead, until it has unlocked.
func (i *invocation) interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case s := <-i.Signals:
			cancel(&lockstep.Error{Op: "stopped", Err: errors.New(s.String())})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}
