package launcher

import (
	"testing"

	"lockstep"
)

func TestRunOneScript(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "db/0/pg/backup", i.script("s", "#!/bin/sh\necho hello; echo oops >&2; exit 3\n"))
		if got := i.start(s); got != (StartReply{}) {
			t.Errorf("first start: %+v", got)
		}
		st, o := i.wait(s)
		if st.Outcome != lockstep.Exited(3) || st.Started.IsZero() || st.Ended.Before(st.Started) {
			t.Errorf("status %+v", st)
		}
		if o.stdout() != "hello\n" || o.err.String() != "oops\n" {
			t.Errorf("output %q %q", o.stdout(), o.err.String())
		}
		if err := i.Release(i.ctx(), ReleaseDone); err != nil {
			t.Fatal(err)
		}
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		if i.exists("run/lockstep") || i.exists("var/lockstep") {
			t.Error("something was left")
		}
	})
}
