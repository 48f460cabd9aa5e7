package lockstep

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Message is one failure as an operator is told of it, wherever: on a terminal,
// in JSON, on a page, in a notice. Faces show its parts, a line each, and make
// none of their own.
type Message struct {
	// What failed: what was being done, to what.
	What string `json:"what"`
	// Why is the cause; "" where What says it all.
	Why string `json:"why,omitempty"`
	// Hint is what to type or to look at next; "" where nobody knows. Where there
	// are several they have a line each.
	Hint string `json:"hint,omitempty"`
	// Chain is the whole error, where it has more words than What and Why.
	Chain string `json:"-"`
}

// String is what failed and why, in one text.
func (m Message) String() string {
	if m.Why == "" {
		return m.What
	}
	return m.What + ": " + m.Why
}

// Teller is an error that knows its message, as one that came from another
// orchestrator does.
type Teller interface {
	error
	Message() Message
}

// MessagesOf is what an error says: a message for each error that errors.Join
// put together, in their order, those that say the same once. Of nil it is nil.
//
// What failed is the outermost Op in the error's chain, or else its outermost
// words; why are the Ops below it, and the chain's end with the words just before
// it.
func MessagesOf(err error) []Message {
	if err == nil {
		return nil
	}
	var out []Message
	seen := map[string]bool{}
	for _, e := range apart(err) {
		if m := messageOf(e); !seen[m.String()] {
			seen[m.String()] = true
			out = append(out, m)
		}
	}
	return out
}

// MessageOf is what an error says in one message. Of several that were joined
// the cause has a line for each.
func MessageOf(err error) Message {
	all := MessagesOf(err)
	if len(all) < 2 {
		return append(all, Message{})[0]
	}
	m := Message{What: "several things failed", Chain: err.Error()}
	var hints []string
	for _, x := range all {
		hints = append(hints, strings.Split(x.Hint, "\n")...)
	}
	m.Why, m.Hint = strings.Join(linesOf(all), "\n"), strings.Join(OnceEach(hints), "\n")
	return m
}

// apart are the errors that errors.Join put together.
func apart(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	var texts []string
	for _, e := range joined.Unwrap() {
		out, texts = append(out, apart(e)...), append(texts, e.Error())
	}
	if strings.Join(texts, "\n") != err.Error() {
		return []error{err}
	}
	return out
}

func messageOf(err error) Message {
	m := Message{Hint: HintOf(err), Chain: err.Error()}
	var words []string // those that say what was being done, outermost first
	ops := map[int]bool{}
	what := -1 // the first Op among them
	e := err
	for {
		said, inner := step(e)
		if _, ok := e.(*Error); ok && said != "" {
			ops[len(words)] = true
			if what < 0 {
				what = len(words)
			}
		}
		if said != "" {
			words = append(words, said)
		}
		if inner == nil {
			break
		}
		e = inner
	}
	if len(words) == 0 {
		words = []string{"it failed"}
	}
	what = max(what, 0)
	m.What = words[what]
	if t, ok := e.(Teller); ok {
		m.What, m.Why = t.Message().What, t.Message().Why
	} else {
		var why []string
		for i := what + 1; i < len(words); i++ {
			if ops[i] || i >= len(words)-2 {
				why = append(why, words[i])
			}
		}
		m.Why = strings.Join(why, ": ")
	}
	if m.String() == m.Chain {
		m.Chain = ""
	}
	return m
}

// step takes the outermost words off an error. At the chain's end, which is all
// that the environment said, there is nothing below.
func step(err error) (words string, inner error) {
	if e, ok := err.(*Error); ok {
		return e.Op, together(e.Err)
	}
	inner = below(err)
	if inner == nil || environment(err) {
		return err.Error(), nil
	}
	if words, ok := strings.CutSuffix(err.Error(), ": "+inner.Error()); ok {
		return words, together(inner)
	}
	if err.Error() == inner.Error() {
		return "", together(inner)
	}
	return err.Error(), nil
}

// below is what an error wraps: of several the last, which is the cause where the
// others only say what kind of error it is.
func below(err error) error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		all := several.Unwrap()
		return all[len(all)-1]
	}
	return errors.Unwrap(err)
}

// together is one error of those that errors.Join put together.
func together(err error) error {
	if err == nil {
		return nil
	}
	if all := apart(err); len(all) > 1 {
		return errors.New(strings.Join(linesOf(messagesOf(all)), "\n"))
	} else if len(all) == 1 {
		return all[0]
	}
	return err
}

func messagesOf(all []error) []Message {
	out := make([]Message, 0, len(all))
	for _, e := range all {
		out = append(out, messageOf(e))
	}
	return out
}

// linesOf is several messages as the end of a chain, a line each. Where many
// instances have one trouble, the first one tells it and the others are named.
func linesOf(all []Message) []string {
	var lines, keys []string
	others := map[string][]string{}
	for _, m := range all {
		about, subject := cutLastWord(m.What)
		key := about + "\x00" + placeless(m.Why)
		if m.Why == "" {
			key = m.What // that is what happened, and to nothing that could be named beside others
		}
		switch first := slices.Index(keys, key); {
		case first < 0:
			lines, keys = append(lines, m.String()), append(keys, key)
		case lines[first] != m.String():
			others[key] = appendOnce(others[key], subject)
		}
	}
	var out []string
	for i, line := range lines {
		out = append(out, line)
		if more := others[keys[i]]; len(more) > 0 {
			out = append(out, fmt.Sprintf("    the same on %d more: %s", len(more), strings.Join(more, ", ")))
		}
	}
	return out
}

// OnceEach gives the texts that say something, of those that differ in an address
// alone the first.
func OnceEach(texts []string) []string {
	var out []string
	seen := map[string]bool{"": true}
	for _, t := range texts {
		if key := placeless(t); !seen[key] {
			seen[key] = true
			out = append(out, t)
		}
	}
	return out
}

// address is USER@HOST:PORT, or an IP address with or without a port.
var address = regexp.MustCompile(`[^\s@"]+@[^\s",;]*[^\s",;:]|\b\d{1,3}(\.\d{1,3}){3}(:\d+)?|\[[0-9a-f:]+\](:\d+)?`)

// placeless is a text without the addresses in it.
func placeless(text string) string { return address.ReplaceAllString(text, "@") }

func cutLastWord(s string) (rest, last string) {
	i := strings.LastIndexByte(s, ' ')
	return s[:i+1], s[i+1:]
}

// environment reports whether the error is one of the system's own (of a file, of
// a network), whose words belong together. All of those know of timeouts.
func environment(err error) bool {
	_, ok := err.(interface{ Timeout() bool })
	return ok
}

func appendOnce(list []string, s string) []string {
	if s == "" {
		return list
	}
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
