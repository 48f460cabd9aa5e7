package launcher

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lockstep"
)

// drop kills the control session as a lost connection would.
func (i *instance) drop() {
	i.t.Helper()
	s, err := i.Client.session(i.ctx())
	if err != nil {
		i.t.Fatal(err)
	}
	s.cancel()
	<-s.done
}

//fault:8 the session is lost in the middle of a script | each byte of output comes once, and the script's own exit status
func TestConnectionLostInTheMiddle(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", `#!/bin/sh
n=0
while [ $n -lt 6 ]; do
	echo line $n; echo error $n >&2; n=$((n + 1))
	while [ ! -e `+i.dir+`/go$n ]; do sleep 0.02; done
done
exit 7
`))
		i.start(s)
		o := &outputs{}
		done := make(chan Status, 1)
		go func() {
			st, err := i.Wait(i.ctx(), s.StepRef, o.take)
			if err != nil {
				t.Error(err)
			}
			done <- st
		}()
		for n := range 6 {
			i.until("output", func() bool { return strings.Contains(o.stdout(), fmt.Sprint("line ", n)) })
			if n%2 == 0 {
				i.drop()
			}
			i.script(fmt.Sprint("go", n+1), "")
		}
		st := <-done
		if st.Outcome != lockstep.Exited(7) || st.Dropped != 0 {
			t.Errorf("%+v", st)
		}
		if want := "line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n"; o.stdout() != want || strings.Count(o.err.String(), "error") != 6 {
			t.Errorf("output %q, %q", o.stdout(), o.err.String())
		}
	})
}

// TestMuchOutput: 20 MB are taken without filling the disk; a client that was
// not there gets the head and the tail.
//
//fault:46 a script prints 20 MB, with and without a reader | all of it comes to who reads, head and tail to who comes later; the disk is not filled
func TestMuchOutput(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\necho first\nhead -c 20000000 /dev/zero | tr '\\0' x\necho last\n"))
		i.start(s)
		i.until("the end", func() bool {
			st, err := i.Status(i.ctx(), s.StepRef)
			return err == nil && !st.Running
		})
		kept := int64(0)
		files, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/r-r1/*.out.*"))
		for _, f := range files {
			fi, err := os.Stat(f)
			if err != nil {
				t.Fatal(err)
			}
			kept += fi.Size()
		}
		if kept > 2<<20 {
			t.Errorf("%d bytes kept", kept)
		}
		st, o := i.wait(s)
		out := o.stdout()
		if !st.Outcome.OK() || !strings.HasPrefix(out, "first\nxxx") || !strings.HasSuffix(out, "xxx\nlast\n") && !strings.HasSuffix(out, "xlast\n") {
			t.Errorf("%+v, %d bytes, ends %q", st, len(out), out[max(0, len(out)-20):])
		}
		if int64(len(out))+st.Dropped != 20000000+11 || len(out) < 1<<20 {
			t.Errorf("%d bytes delivered, %d dropped", len(out), st.Dropped)
		}
	})
}

// TestOutputRemovedWhileRead: the keeper removes old output while somebody who
// waits has just seen it. A link to nothing is such a file for ever: it can be
// listed and not opened.
func TestOutputRemovedWhileRead(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\necho first\n"))
		i.start(s)
		var files []string
		i.until("the end", func() bool {
			st, err := i.Status(i.ctx(), s.StepRef)
			files, _ = filepath.Glob(filepath.Join(i.dir, "run/lockstep/r-r1/*.out.0"))
			return err == nil && !st.Running && len(files) == 1
		})
		if err := os.Symlink("nothing", strings.TrimSuffix(files[0], "0")+"300000"); err != nil {
			t.Fatal(err)
		}
		if st, o := i.wait(s); !st.Outcome.OK() || o.stdout() != "first\n" {
			t.Errorf("%+v, %q", st, o.stdout())
		}
	})
}

//fault:5 a script's child keeps its output open | the step ends with its script's exit status; what it started stays
func TestDaemonKeepsOutputOpen(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\nsetsid sleep 300 &\necho $! >"+i.dir+"/pid\necho done\nexit 4\n"))
		i.start(s)
		st, o := i.wait(s)
		if st.Outcome != lockstep.Exited(4) || o.stdout() != "done\n" {
			t.Errorf("%+v %q", st, o.stdout())
		}
		// What an ended script has started is meant to stay.
		if st, err := i.Kill(i.ctx(), s.StepRef, 0); err != nil || st.Outcome != lockstep.Exited(4) {
			t.Errorf("kill: %+v, %v", st, err)
		}
		pid := i.pid("pid")
		if err := syscall.Kill(pid, 0); err != nil {
			t.Errorf("the daemon is gone: %v", err)
		}
		_ = syscall.Kill(pid, syscall.SIGKILL)
	})
}
