package lockstep_test

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep"
)

// on is a trouble of one instance at 10.0.0.HOST.
func on(instance, host string) error {
	return &lockstep.Error{Op: "ask " + instance, Err: fmt.Errorf("log in as me@10.0.0.%s:22: %w", host, errors.New("no key fits"))}
}

func TestOnceEach(t *testing.T) {
	t.Parallel()
	got := lockstep.OnceEach([]string{"", "scan 10.0.0.1", "look", "scan 10.0.0.2", "scan all", "ssh me@web.example:22", "look", "ssh me@db.example:22"})
	if diff := cmp.Diff([]string{"scan 10.0.0.1", "look", "scan all", "ssh me@web.example:22"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMessages(t *testing.T) {
	t.Parallel()
	missing := &fs.PathError{Op: "open", Path: "/b/x", Err: syscall.ENOENT}
	chain := fmt.Errorf("prepare backup of shop: %w", &lockstep.Error{
		Op: "claim instance db/0", Err: fmt.Errorf("connect: %w", fmt.Errorf("log in: %w", missing)), Hint: "look",
	})
	many := fmt.Errorf("find: %w", errors.Join(on("web/0", "1"), on("web/1", "2"), on("db/0", "3"),
		&lockstep.Error{Op: "ask db/1", Err: errors.New("it sleeps")}, on("db/1", "4")))
	type message = lockstep.Message
	for name, tt := range map[string]struct {
		err  error
		want []message
	}{
		"nothing":                {nil, nil},
		"no words":               {errors.New(""), []message{{What: "it failed"}}},
		"no operation":           {&lockstep.Error{Err: errors.New(""), Hint: "h"}, []message{{What: "it failed", Hint: "h"}}},
		"one text":               {errors.New("no"), []message{{What: "no"}}},
		"what and why":           {&lockstep.Error{Op: "read x", Err: errors.New("gone"), Hint: "h"}, []message{{What: "read x", Why: "gone", Hint: "h"}}},
		"an operation alone":     {&lockstep.Error{Op: "read x", Hint: "h"}, []message{{What: "read x", Hint: "h"}}},
		"a file's own words":     {fmt.Errorf("write y: %w", missing), []message{{What: "write y", Why: "open /b/x: no such file or directory"}}},
		"the system alone":       {missing, []message{{What: "open /b/x: no such file or directory"}}},
		"words around the cause": {fmt.Errorf("%w: is it there?", missing), []message{{What: "open /b/x: no such file or directory: is it there?"}}},
		"a chain": {chain, []message{{
			What: "claim instance db/0", Why: "log in: open /b/x: no such file or directory", Hint: "look", Chain: chain.Error(),
		}}},
		"several": {
			errors.Join(errors.New("a"), errors.Join(&lockstep.Error{Op: "b", Err: errors.New("c")}, errors.New("a"))),
			[]message{{What: "a"}, {What: "b", Why: "c"}},
		},
		"several within": {
			fmt.Errorf("find: %w", errors.Join(&lockstep.Error{Op: "b", Err: errors.New("c")}, errors.New("d"))),
			[]message{{What: "find", Why: "b: c\nd"}},
		},
		"one trouble of many instances": {
			many,
			[]message{{What: "find", Chain: many.Error(), Why: "ask web/0: log in as me@10.0.0.1:22: no key fits\n    the same on 3 more: web/1, db/0, db/1\nask db/1: it sleeps"}},
		},
		"one address of many": {
			fmt.Errorf("find: %w", errors.Join(errors.New("10.0.0.1 is gone"), errors.New("10.0.0.2 is gone"))),
			[]message{{What: "find", Why: "10.0.0.1 is gone\n10.0.0.2 is gone"}},
		},
	} {
		if diff := cmp.Diff(tt.want, lockstep.MessagesOf(tt.err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := lockstep.MessageOf(errors.Join(errors.New("a"), errors.New("b"))); got.Why != "a\nb" {
		t.Errorf("several in one: %+v", got)
	}
}
