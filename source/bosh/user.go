package bosh

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"lockstep"
	"lockstep/target"
)

// removeScript removes a user, detached, when its last session has ended, or
// after five minutes. A user that is not there is no error.
const removeScript = `u=$1
id "$u" >/dev/null 2>&1 || exit 0
command -v userdel >/dev/null && command -v setsid >/dev/null && command -v find >/dev/null || exit 3
setsid sh -c '
i=0
while [ $i -lt 300 ] && [ -n "$(find /proc -maxdepth 1 -user "$0" 2>/dev/null)" ]; do sleep 1; i=$((i+1)); done
userdel -r -f "$0"
' "$u" </dev/null >/dev/null 2>&1 &`

// guardScript removes a user, detached, when it had no session for so many
// seconds. It ends when the user is gone.
const guardScript = `u=$1 grace=$2 pause=$3
command -v userdel >/dev/null && command -v setsid >/dev/null && command -v find >/dev/null || exit 3
setsid sh -c '
idle=0
while id "$0" >/dev/null 2>&1; do
  if [ -n "$(find /proc -maxdepth 1 -user "$0" 2>/dev/null)" ]; then idle=0; else idle=$((idle+$2)); fi
  if [ $idle -ge "$1" ]; then userdel -r -f "$0"; exit; fi
  sleep "$2"
done
' "$u" "$grace" "$pause" </dev/null >/dev/null 2>&1 &`

// asRoot is the command line that runs a script there as root.
func asRoot(script string, args ...string) string {
	return "sudo -n -- " + target.QuoteAll(append([]string{"sh", "-c", script, "lockstep"}, args...)...)
}

// removeTimeout bounds having an instance remove a user.
const removeTimeout = 20 * time.Second

// RemoveUserOn has an instance remove a user that a director made for one of
// our runs, as soon as its last session there has ended. It returns when that
// is under way. The target may be logged in as that user or as another.
func RemoveUserOn(ctx context.Context, t target.Target, user string) error {
	if !ourUser(user) {
		return fmt.Errorf("remove SSH user %q: it is none of ours", user)
	}
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	return runThere(ctx, t, asRoot(removeScript, user))
}

func runThere(ctx context.Context, t target.Target, command string) error {
	var complaint bytes.Buffer
	exit, err := t.Run(ctx, command, target.Streams{Stderr: &limited{to: &complaint, left: 4096}})
	if err != nil {
		return err
	}
	if !exit.OK() {
		return fmt.Errorf("%s: %s", exit, strings.TrimSpace(complaint.String()))
	}
	return nil
}

// ourUser reports whether a name is one that makeKey gives.
func ourUser(name string) bool {
	digits, ok := strings.CutPrefix(name, "bosh_")
	return ok && len(digits) == 15 && strings.Trim(digits, "0123456789abcdef") == ""
}

func cutInstance(id lockstep.InstanceID) (group, name string, ok bool) {
	return strings.Cut(string(id), "/")
}

// limited keeps the first bytes and drops the rest.
type limited struct {
	to   *bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.to.Write(p[:n])
	l.left -= n
	return len(p), nil
}

// guardedTarget is a target that starts the guard of its user with its first
// command.
type guardedTarget struct {
	target.Target
	command string
	once    sync.Once
	started sync.WaitGroup
	stop    context.CancelFunc
	ctx     context.Context // of the guard's start, which belongs to no command
}

func guarded(t target.Target, user string, grace time.Duration) target.Target {
	ctx, stop := context.WithCancel(context.Background())
	seconds := max(1, int(grace.Seconds()))
	return &guardedTarget{
		Target: t, ctx: ctx, stop: stop,
		command: asRoot(guardScript, user, strconv.Itoa(seconds), strconv.Itoa(min(seconds, 10))),
	}
}

// Run runs a command, and beside the first one starts the guard. A guard that
// does not start is not an error: the director removes the user.
func (g *guardedTarget) Run(ctx context.Context, command string, streams target.Streams) (target.Exit, error) {
	g.once.Do(func() {
		g.started.Go(func() {
			ctx, cancel := context.WithTimeout(g.ctx, removeTimeout)
			defer cancel()
			_ = runThere(ctx, g.Target, g.command)
		})
	})
	return g.Target.Run(ctx, command, streams)
}

// Close closes the target.
func (g *guardedTarget) Close() error {
	g.stop()
	err := g.Target.Close()
	g.started.Wait()
	return err
}
