package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"lockstep"
	"lockstep/show"
)

// ask has a word typed on the terminal before something is destroyed.
func (i *invocation) ask(ctx context.Context, word string) error {
	i.Console.WriteString(fmt.Sprintf("\nType %s to go on: ", i.Err.Strong(show.Line(word))))
	answer := make(chan string, 1)
	go func() {
		// A read from a terminal cannot be interrupted; if a signal comes
		// first, this one ends with the process.
		text, _ := bufio.NewReader(i.Stdin).ReadString('\n')
		answer <- strings.TrimSpace(text)
	}()
	select {
	case text := <-answer:
		if text == word {
			return nil
		}
		return &lockstep.Error{Kind: lockstep.KindRefused, Err: errors.New("not confirmed; nothing was changed")}
	case <-ctx.Done():
		i.Console.WriteString("\n")
		return &lockstep.Error{Kind: lockstep.KindRefused, Err: errors.New("stopped before it was confirmed; nothing was changed")}
	}
}

// mayDestroy is the rule for smaller things that destroy: --yes, or "yes"
// typed on a terminal.
func (i *invocation) mayDestroy(ctx context.Context, yes bool, what string) error {
	if yes {
		return nil
	}
	if !i.inTTY {
		return usage("add --yes if you mean it", "%s, and there is no terminal to ask on", what)
	}
	i.Console.WriteString(what + ".\n")
	return i.ask(ctx, "yes")
}
