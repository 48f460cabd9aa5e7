package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"lockstep"
	"lockstep/serve"
	"lockstep/show"
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
	if lost := inv.out.err; lost != nil && err == nil {
		inv.printError(&lockstep.Error{Op: "write to stdout", Err: lost, Hint: "what was printed is not complete: look at where it goes"})
		code |= lockstep.ExitError
	}
	if err := inv.close(); err != nil {
		inv.printError(err)
		code |= lockstep.ExitError
	}
	return code
}

// invocation is the state of one Run.
type invocation struct {
	Program
	*show.Terminal
	flags  globalFlags
	inTTY  bool
	opened *serve.Orchestrator
	// local: the command is about this host, whatever server is named.
	local bool
	lost  lostLines
	out   *output
}

// output is stdout. It remembers the first error: what prints tables does not look
// for any.
type output struct {
	io.Writer
	err error
}

// Write writes to stdout.
func (o *output) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// Fd is the file's, if stdout is one.
func (o *output) Fd() uintptr {
	if f, ok := o.Writer.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}

func newInvocation(p Program) *invocation {
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Version == "" {
		p.Version = "dev"
	}
	out := &output{Writer: p.Stdout}
	p.Stdout = out
	return &invocation{Program: p, out: out, Terminal: show.NewTerminal(p.Stdout, p.Stderr, p.Env, p.Now), inTTY: show.IsTerminal(p.Stdin)}
}

// settle takes the global flags into account, once they are parsed.
func (i *invocation) settle() error {
	if err := i.flags.check(); err != nil {
		return err
	}
	dumb := i.getenv("TERM") == "dumb"
	i.Terminal.Settle(show.Look{
		JSON: i.flags.output == "json", LogJSON: i.flags.logFormat == "json", Verbose: i.flags.verbose,
		Plain: i.flags.noColor || i.getenv("NO_COLOR") != "" || dumb, Still: dumb, Config: i.flags.config,
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

func (i *invocation) options() serve.Options {
	return serve.Options{
		ConfigPath: i.flags.config, Getenv: i.getenv, Logger: i.Log, Version: i.Version,
		Server: i.server(), Lost: i.sayLost, Repository: i.flags.repository,
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
