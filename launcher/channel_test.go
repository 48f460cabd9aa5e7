package launcher

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/target"
	"lockstep/target/targettest"
)

// TestLoginsThatRunNoCommand: a control session says at once what is wrong with
// the login, and sends its text to nobody else.
//
//fault:login-start-files a start file of the login reads standard input or starts another shell | the run says so at once, and nothing is locked
func TestLoginsThatRunNoCommand(t *testing.T) {
	t.Parallel()
	for _, login := range targettest.Logins() {
		t.Run(login.Name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, "sh")
			i.Client.target = login.Through(i.target)
			if login.Silent {
				i.Client.answerWithin = time.Second
			}
			_, err := i.Claim(i.ctx(), ClaimRequest{Key: "k", Owner: "o", Run: "r1", Term: 1})
			if login.Later {
				if err != nil {
					t.Errorf("what comes after a session cannot harm it: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), login.Says) || !strings.Contains(lockstep.HintOf(err), login.Hint) {
				t.Errorf("%v\nhint: %s", err, lockstep.HintOf(err))
			}
			if stored, _ := filepath.Glob(filepath.Join(i.dir, "run/lockstep/launcher-*")); stored != nil {
				t.Error("the launcher's text was taken")
			}
		})
	}
}

// TestTheTextIsForNobodyElse: what reads in the launcher's place gets the two lines
// that would end a shell, and no more.
func TestTheTextIsForNobodyElse(t *testing.T) {
	t.Parallel()
	i := newInstance(t, "sh")
	i.Client.target = login{i.target, "cat >'" + i.dir + "/eaten'; "}
	i.Client.answerWithin = time.Second
	if _, err := i.Claim(i.ctx(), ClaimRequest{Key: "k", Owner: "o", Run: "r1", Term: 1}); err == nil {
		t.Error("it answered")
	}
	if eaten, err := os.ReadFile(filepath.Join(i.dir, "eaten")); err != nil || string(eaten) != target.Challenge {
		t.Errorf("%q, %v", eaten, err)
	}
}

// TestALoginThatWaits: it neither answers nor ends.
//
//fault:login-start-files a start file of the login waits for something else than input | the run says so after 30 s, and nothing is locked
func TestALoginThatWaits(t *testing.T) {
	t.Parallel()
	i := newInstance(t, "sh")
	i.Client.target = login{i.target, "sleep 300; "}
	i.Client.answerWithin = time.Second
	_, err := i.Claim(i.ctx(), ClaimRequest{Key: "k", Owner: "o", Run: "r1", Term: 1})
	if err == nil || !strings.Contains(err.Error(), "does not answer within 1s") || lockstep.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}

// TestALoginThatIsGivenUp: somebody knows that nothing will come of it; a session that
// has said hello is not touched by that.
//
//fault:login-start-files a start file of the login starts a program in place of the command, which waits for more input | the run says so within seconds, and nothing is locked
func TestALoginThatIsGivenUp(t *testing.T) {
	t.Parallel()
	i := newInstance(t, "sh")
	i.claim("r1")
	i.Client.GiveUp()
	if err := i.Release(i.ctx(), ReleaseDone); err != nil {
		t.Errorf("a good session: %v", err)
	}
	silent := newInstance(t, "sh")
	silent.Client.target = login{silent.target, "cat >/dev/null; touch '" + silent.dir + "/ended'; exit 97; "}
	silent.Client.answerWithin = time.Hour // so that nothing else ends it
	silent.Client.GiveUp()                 // before there is any
	failed := make(chan error, 1)
	go func() {
		_, err := silent.Claim(silent.ctx(), ClaimRequest{Key: "k", Owner: "o", Run: "r1", Term: 1})
		failed <- err
	}()
	silent.until("the end of its input", func() bool {
		silent.Client.GiveUp()
		return silent.exists("ended")
	})
	if err := <-failed; err == nil || lockstep.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}

// TestShellsAndToolsThatCannotServe: they are named before anything is asked of
// them that they cannot do.
//
//fault:unfit-shell the instance's sh is mksh, or its tools are busybox's | the run says so at once, with what to install
func TestShellsAndToolsThatCannotServe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ tool, text, says string }{
		"descriptors are not handed on": {"sh", "exec 7>&-; exec /bin/sh \"$@\"", "mksh"},
		"setsid of busybox":             {"setsid", "echo \"setsid: invalid option -- 'f'\" >&2; exit 1", "busybox"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, "sh")
			bin := filepath.Join(i.dir, "bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				t.Fatal(err)
			}
			i.script("bin/"+c.tool, "#!/bin/sh\n"+c.text+"\n")
			if c.tool == "sh" {
				i.Client = i.another(filepath.Join(bin, "sh"))
			}
			i.Client.target = login{i.target, "PATH=" + bin + ":$PATH; export PATH; "}
			_, err := i.Claim(i.ctx(), ClaimRequest{Key: "k", Owner: "o", Run: "r1", Term: 1})
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(lockstep.HintOf(err), "dash, bash or busybox") {
				t.Errorf("%v\nhint: %s", err, lockstep.HintOf(err))
			}
		})
	}
}

// TestRealShellsThatCannotServe: those of them that are here.
func TestRealShellsThatCannotServe(t *testing.T) {
	t.Parallel()
	for shell, says := range map[string]string{"mksh": "as mksh does not", "yash": "as yash does"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		i := newInstance(t, asSh(t, path))
		_, err = i.Claim(i.ctx(), ClaimRequest{Key: "k", Owner: "o", Run: "r1", Term: 1})
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(lockstep.HintOf(err), "dash, bash or busybox") {
			t.Errorf("%s: %v", shell, err)
		}
	}
}
