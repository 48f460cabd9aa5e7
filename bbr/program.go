package bbr

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Program is one invocation of the command line with its surroundings.
type Program struct {
	// Version is that of the build. Job scripts are told it, and many compare
	// it: it must be numbers with dots, 1.4 at least.
	Version        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env are NAME=value pairs; the last of a name counts.
	Env []string
	// Dir is the working directory, "" that of the process.
	Dir string
	// Signals are SIGINT, which opens the dialogue, and others, which end the
	// program at once. Nil is never.
	Signals <-chan os.Signal
	Setup   Setup
	// Now is the clock of log lines and names; nil is time.Now.
	Now func() time.Time
}

// Run runs one command line, without the program's name, and returns its exit
// code. A run may still be going on in this process when it returns after a
// signal: the caller ends the process.
func (p Program) Run(ctx context.Context, args []string) int {
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Version == "" {
		p.Version = "1.9.99"
	}
	if p.Stdin == nil {
		p.Stdin = strings.NewReader("")
	}
	p.Stdout, p.Stderr = &syncWriter{to: p.Stdout}, &syncWriter{to: p.Stderr}
	version, rest, err := parseTop(args)
	switch {
	case err != nil:
		return p.incorrect(err, appHelp(p.Version))
	case version:
		return p.version()
	case len(rest) == 0:
		return p.help(appHelp(p.Version))
	}
	for _, m := range modes() {
		if m.name == rest[0] {
			return p.mode(ctx, m, rest[1:])
		}
	}
	switch rest[0] {
	case "version", "v":
		return p.version()
	case "help", "h":
		return p.helpOf(rest[1:])
	}
	return p.unknown(rest[0], appHelp(p.Version))
}

func (p Program) version() int {
	fmt.Fprintf(p.Stdout, "bbr version %s\n", p.Version)
	return 0
}

func (p Program) help(text string) int {
	_, _ = io.WriteString(p.Stdout, text)
	return 0
}

func (p Program) helpOf(words []string) int {
	for _, m := range modes() {
		if len(words) > 0 && m.name == words[0] {
			return p.help(m.helpText())
		}
	}
	return p.help(appHelp(p.Version))
}

func (p Program) unknown(word, help string) int {
	fmt.Fprintf(p.Stdout, "Error command '%s' not found\n\n%s", word, help)
	return 0
}

// incorrect answers words that cannot be parsed.
func (p Program) incorrect(err error, help string) int {
	fmt.Fprintf(p.Stdout, "Incorrect Usage. %v\n\n%s", err, help)
	return 1
}

// refused answers options that are missing or do not go together.
func (p Program) refused(message, help string) int {
	_, _ = io.WriteString(p.Stdout, help)
	fmt.Fprintf(p.Stderr, "\x1b[0;31m%s\x1b[0m\n", message)
	return 1
}

// mode parses and checks the options of a command, and those of its
// subcommand.
func (p Program) mode(ctx context.Context, m mode, args []string) int {
	v, err := parse(m.options, args, p.getenv)
	switch {
	case err != nil:
		return p.incorrect(err, m.helpText())
	case v.help:
		return p.help(m.helpText())
	}
	if !asksForHelp(v.rest) {
		for _, name := range m.required {
			if v.text[name] == "" {
				return p.refused(fmt.Sprintf("--%s flag is required.", name), m.helpText())
			}
		}
	}
	if !m.director() && (v.text["deployment"] == "") != v.truth["all-deployments"] {
		return p.refused("provide one of '--deployment' or '--all-deployments' flags.", m.helpText())
	}
	if len(v.rest) == 0 || v.rest[0] == "help" || v.rest[0] == "h" {
		return p.subHelp(m, v.rest)
	}
	sub, ok := m.find(v.rest[0])
	if !ok {
		return p.unknown(v.rest[0], m.helpText())
	}
	own, err := parse(sub.options, flagsFirst(sub.options, v.rest[1:]), p.getenv)
	switch {
	case err == flag.ErrHelp || err == nil && own.help:
		return p.help(sub.helpText(m))
	case err != nil:
		return p.incorrect(err, sub.helpText(m))
	}
	return p.subcommand(ctx, m, sub, order{v, own})
}

func (p Program) subHelp(m mode, rest []string) int {
	if len(rest) > 1 {
		sub, ok := m.find(rest[1])
		if !ok {
			return p.unknown(rest[1], m.helpText())
		}
		return p.help(sub.helpText(m))
	}
	return p.help(m.helpText())
}

// order is what one command line asks for: the options of the command and of
// its subcommand.
type order struct{ mode, own values }

func (p Program) subcommand(ctx context.Context, m mode, sub subcommand, o order) int {
	j := p.newJob(m, sub, o)
	if sub.action == actionRestore && o.own.text["artifact-path"] == "" {
		return p.refused("--artifact-path flag is required.", sub.helpText(m))
	}
	defer j.watchSignals()()
	return j.untilLeft(func() int {
		if o.mode.truth["all-deployments"] {
			return j.all(ctx)
		}
		return j.one(ctx)
	})
}

// getenv looks a variable up.
func (p Program) getenv(name string) (string, bool) {
	for i := len(p.Env) - 1; i >= 0; i-- {
		if s, ok := strings.CutPrefix(p.Env[i], name+"="); ok {
			return s, true
		}
	}
	return "", false
}
