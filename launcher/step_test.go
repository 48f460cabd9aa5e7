package launcher

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lockstep"
	"lockstep/target"
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
		if d := time.Since(st.Ended); d < -5*time.Second || d > patience {
			t.Errorf("ended %v ago", d)
		}
		if o.stdout() != "hello\n" || o.err.String() != "oops\n" {
			t.Errorf("output %q %q", o.stdout(), o.err.String())
		}
		again, err := i.Status(i.ctx(), s.StepRef)
		if err != nil || again != st {
			t.Errorf("status %+v, %v; wait said %+v", again, err, st)
		}
		i.leavesNothing()
	})
}

// leavesNothing releases, closes and looks.
func (i *instance) leavesNothing() {
	i.t.Helper()
	if err := i.Release(i.ctx(), ReleaseDone); err != nil {
		i.t.Fatal(err)
	}
	if err := i.Close(); err != nil {
		i.t.Fatal(err)
	}
	for _, dir := range []string{"run/lockstep", "var/lockstep"} {
		if i.exists(dir) {
			names, _ := filepath.Glob(filepath.Join(i.dir, dir, "*"))
			i.t.Errorf("left: %s %q", dir, names)
		}
	}
}

// TestWhatScriptsSee: environment, working directory, descriptors, signals,
// session and umask of a script.
func TestWhatScriptsSee(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		value := "it's \"quoted\" $(x) `y` \\0041\n two  blanks \x81\xff*\n"
		s := step("r1", "s", i.script("s", `#!/bin/bash
printf '%s' "$BBR_VALUE" | od -An -vtx1 | tr -d ' \n'; echo
echo "empty=[$EMPTY] path=[$path] lc=[${LC_ALL-unset}]"
pwd; umask
ls /proc/self/fd | tr '\n' ' '; echo
readlink /proc/self/fd/0
read -r line; echo "read=$?"
[ $(ps -o sid= -p $$) = $$ ] && echo own session
grep -E '^Sig(Ign|Blk)' /proc/self/status
`), "BBR_VALUE="+value, "EMPTY=", "path=p q")
		i.start(s)
		st, o := i.wait(s)
		if !st.Outcome.OK() {
			t.Fatalf("%+v %s", st, o.err.String())
		}
		lines := strings.Split(o.stdout(), "\n")
		var plain strings.Builder // what any command inherits here, whoever starts it
		probe := "exec </dev/null; bash -c \"ls /proc/self/fd | tr '\\n' ' '\""
		if _, err := i.target.Run(i.ctx(), probe, target.Streams{Stdout: &plain}); err != nil {
			t.Fatal(err)
		}
		lc := "unset"
		if v, ok := os.LookupEnv("LC_ALL"); ok {
			lc = v
		}
		mask := syscall.Umask(0)
		syscall.Umask(mask)
		want := []string{
			hex.EncodeToString([]byte(value)), "empty=[] path=[p q] lc=[" + lc + "]", "/", fmt.Sprintf("%04o", mask),
			"", "/dev/null", "read=1", "own session",
		}
		// A script has no descriptor that a plain command would not have. Of
		// those, tests that run beside this one may open more in between.
		if got := strings.Fields(lines[4]); slices.ContainsFunc(got, func(fd string) bool { return !slices.Contains(strings.Fields(plain.String()), fd) }) {
			t.Errorf("descriptors %q, those of any command are %q", got, plain.String())
		}
		want[4] = lines[4]
		for n, w := range want {
			if n >= len(lines) || lines[n] != w {
				t.Errorf("line %d: want %q\n%s", n, w, o.stdout())
			}
		}
		// INT (2) and QUIT (3) are not ignored, nothing is blocked.
		for _, l := range lines[len(want):] {
			if name, mask, ok := strings.Cut(l, ":\t"); ok {
				bits, err := strconv.ParseUint(mask, 16, 64)
				if err != nil || bits&0b110 != 0 {
					t.Errorf("%s %s", name, mask)
				}
			}
		}
	})
}

func TestScriptsWithoutShebang(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		for name, text := range map[string]string{
			"empty": "", "bare": "echo bare\n", "comment": "# a comment\n#!/bin/sh\necho late\n", "odd 'n\nme": "#!/bin/sh\necho $0\n",
		} {
			s := step("r1", name, i.script(name, text))
			i.start(s)
			st, o := i.wait(s)
			if !st.Outcome.OK() || (text != "" && o.stdout() == "") {
				t.Errorf("%s: %+v %q %q", name, st, o.stdout(), o.err.String())
			}
		}
		// A relative path is relative to the login directory.
		i.script("relative", "#!/bin/sh\nexit 5\n")
		s := step("r1", "relative", "relative")
		i.start(s)
		if st, _ := i.wait(s); st.Outcome != lockstep.Exited(5) {
			t.Errorf("relative: %+v", st)
		}
		s = step("r1", "absent", "/no/such/script")
		i.start(s)
		if st, _ := i.wait(s); st.Outcome.OK() || st.Outcome.Kind != lockstep.OutcomeExit {
			t.Errorf("absent: %+v", st)
		}
	})
}

func TestSignalOrExit137(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		for text, want := range map[string]lockstep.Outcome{
			"exit 137\n":     lockstep.Exited(137),
			"kill -9 $$\n":   signalled(sh, "KILL", 9),
			"kill -TERM $$ ": signalled(sh, "TERM", 15),
			"exit 255\n":     lockstep.Exited(255),
		} {
			s := step("r1", text, i.script("s", "#!/bin/sh\n"+text))
			i.start(s)
			if st, _ := i.wait(s); st.Outcome != want {
				t.Errorf("%q: %+v", text, st.Outcome)
			}
		}
	})
}

func TestSecondStartRunsNothing(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		s := step("r1", "s", i.script("s", "#!/bin/sh\necho x >>"+i.dir+"/count\n"))
		replies := make(chan StartReply, 8)
		for range cap(replies) {
			go func() {
				reply, err := i.Start(i.ctx(), s)
				if err != nil {
					t.Error(err)
				}
				replies <- reply
			}()
		}
		fresh := 0
		for range cap(replies) {
			if !(<-replies).Existed {
				fresh++
			}
		}
		i.wait(s)
		count, err := os.ReadFile(filepath.Join(i.dir, "count"))
		if fresh != 1 || string(count) != "x\n" || err != nil {
			t.Errorf("%d fresh starts, ran %q, %v", fresh, count, err)
		}
		s.Attempt = 2
		if reply := i.start(s); reply.Existed {
			t.Error("a second attempt is another step")
		}
		i.wait(s)
	})
}

//fault:76 the script on the instance has another digest than the plan | it is not started, and the digest that was found is told
func TestDigestMismatch(t *testing.T) {
	shells(t, func(t *testing.T, sh string) {
		i := newInstance(t, sh)
		i.claim("r1")
		text := "#!/bin/sh\ntouch " + i.dir + "/ran\n"
		s := step("r1", "s", i.script("s", text))
		sum := sha256.Sum256([]byte("another"))
		s.Digest = hex.EncodeToString(sum[:])
		if reply := i.start(s); !reply.Settled {
			t.Errorf("%+v", reply)
		}
		found := sha256.Sum256([]byte(text))
		st, _ := i.wait(s)
		if st.Outcome.Kind != lockstep.OutcomeNeverStarted || st.Reason != "digest:"+hex.EncodeToString(found[:]) || i.exists("ran") {
			t.Errorf("%+v", st)
		}
		s.ID, s.Digest = "t", hex.EncodeToString(found[:])
		i.start(s)
		if st, _ := i.wait(s); !st.Outcome.OK() || !i.exists("ran") {
			t.Errorf("right digest: %+v", st)
		}
	})
}

func TestBadSteps(t *testing.T) {
	i := newInstance(t, "sh")
	i.claim("r1")
	for _, s := range []Step{
		step("r1", "", "/x"), step("r1", strings.Repeat("x", 300), "/x"), step("r1", "s", ""), step("r1", "s", "/a=b"),
		step("r1", "s", "/x", "1X=2"), step("r1", "s", "/x", "NOVALUE"), step("r1", "s", "/x", "A=\x00"),
		{StepRef: StepRef{Run: "r1", ID: "s"}, Path: "/x", Digest: "abc"},
	} {
		if _, err := i.Start(i.ctx(), s); err == nil {
			t.Errorf("started %+v", s)
		}
	}
	if _, err := i.Start(i.ctx(), step("r2", "s", "/x")); !errors.Is(err, ErrFenced) {
		t.Errorf("a run that has not claimed: %v", err)
	}
}
