package show

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// TestHintsNameTheConfigurationAgain: what is pasted must work on the same deployment,
// and not on another one of that name.
func TestHintsNameTheConfigurationAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, hint, want string }{
		{"", "`lockstep cleanup shop` unlocks it", "`lockstep cleanup shop` unlocks it"},
		{"other.yaml", "`lockstep cleanup shop` unlocks it; or `lockstep runs ack X`", "`lockstep --config other.yaml cleanup shop` unlocks it; or `lockstep --config other.yaml runs ack X`"},
		{"b.yaml", "see its runs with: lockstep runs list", "see its runs with: lockstep --config b.yaml runs list"},
		{"b.yaml", "lockstep check shop", "lockstep --config b.yaml check shop"},
		{"it's here.yaml", "`lockstep check shop`", "`lockstep --config 'it'\\''s here.yaml' check shop`"},
		{"a", "make one: lockstep config generate > lockstep.yaml", "make one: lockstep config generate > lockstep.yaml"},
		{"a", "`lockstep --config b cleanup shop`, `lockstep help exit-codes`, `docker ps`", "`lockstep --config b cleanup shop`, `lockstep help exit-codes`, `docker ps`"},
	} {
		var out, err bytes.Buffer
		term := NewTerminal(&out, &err, nil, time.Now)
		term.Settle(Look{Config: c.config})
		if got := term.typed(c.hint); got != c.want {
			t.Errorf("%q with %q: %q", c.hint, c.config, got)
		}
		term.Complain(lockstep.Message{What: "x", Hint: c.hint})
		term.Failures([]lockstep.Trouble{{Message: lockstep.Message{What: "x", Hint: c.hint}}})
		if !strings.Contains(out.String(), c.want) || !strings.Contains(err.String(), c.want) {
			t.Errorf("%q with %q: stdout %q, stderr %q", c.hint, c.config, &out, &err)
		}
		term.SayHeld([]lockstep.Hold{{Deployment: "shop"}})
		if !strings.Contains(err.String(), term.program()+" cleanup shop") {
			t.Errorf("held, with %q: %q", c.config, &err)
		}
	}
}
