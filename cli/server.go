package cli

import (
	"fmt"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"lockstep"
)

// localOnly marks commands that are about this host: no server answers them.
const localOnly = "local-only"

func local(c *cobra.Command) *cobra.Command {
	c.Annotations = map[string]string{localOnly: "true"}
	return c
}

// settleFor takes the global flags into account for that command.
func (i *invocation) settleFor(c *cobra.Command) error {
	for p := c; p != nil; p = p.Parent() {
		i.local = i.local || p.Annotations[localOnly] != ""
	}
	// A server has the repository of its configuration and no other.
	i.local = i.local || i.flags.repository != ""
	if err := i.settle(); err != nil {
		return err
	}
	if i.local && i.flags.server != "" {
		return usage("leave --server out, or run it where the server is", "%sit is about this host, and asks no server", toSay(c))
	}
	return nil
}

// server is the URL of the server that this invocation asks, "" if it is an
// orchestrator itself.
func (i *invocation) server() string {
	switch {
	case i.local:
		return ""
	case i.flags.server != "":
		return i.flags.server
	}
	return i.getenv("LOCKSTEP_SERVER")
}

// lostLines passes on that a server does not answer: to the view of a run
// while one is followed, whose lines must not be mixed with others.
type lostLines struct {
	mu sync.Mutex
	to chan string
}

func (l *lostLines) begin() <-chan string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = make(chan string, 8)
	return l.to
}

func (l *lostLines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = nil
}

// take reports whether a view takes the line.
func (l *lostLines) take(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.to == nil {
		return false
	}
	select {
	case l.to <- text:
	default: // the view has more than enough to say
	}
	return true
}

// sayLost tells that a server did not answer.
func (i *invocation) sayLost(err error, again time.Duration) {
	text := fmt.Sprintf("%s; asking again in %s. What runs there goes on", lockstep.MessageOf(err), again.Round(10*time.Millisecond))
	if !i.lost.take(text) {
		i.Say("%s", text)
	}
}
