package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep/internal/golden"
)

// provoked is a message that a test really provokes. Both parts are shell, in a
// folder with the deployment of layOutShop.
type provoked struct {
	// when says what happened, for who reads the golden file.
	when string
	// do makes it happen; what it prints is not looked at.
	do string
	// ask is the command whose message is shown.
	ask string
}

// TestMessages provokes each message of provokedMessages and keeps them in one
// file that is read from top to bottom: testdata/golden/messages.txt.
func TestMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole backups")
	}
	var mu sync.Mutex
	said := map[string]string{}
	t.Run("provoke", func(t *testing.T) {
		for _, group := range provokedMessages {
			for _, p := range group.messages {
				t.Run(p.when, func(t *testing.T) {
					t.Parallel()
					text := p.provoke(t)
					mu.Lock()
					defer mu.Unlock()
					if said[p.when] != "" {
						t.Fatalf("two messages are of %q", p.when)
					}
					said[p.when] = text
				})
			}
		}
	})
	if t.Failed() {
		return
	}
	var all strings.Builder
	all.WriteString("Messages of lockstep, each as a test has provoked it (cli/messages_test.go).\n")
	for _, group := range provokedMessages {
		fmt.Fprintf(&all, "\n\n== %s\n", group.title)
		for _, p := range group.messages {
			fmt.Fprintf(&all, "\n# %s\n%s", p.when, said[p.when])
		}
	}
	golden.Check(t, "golden/messages.txt", all.String())
}

// provoke makes the message happen and gives it with its command and exit code.
func (p provoked) provoke(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := layOutShop(dir); err != nil {
		t.Fatal(err)
	}
	shell := func(script string) (string, int) {
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute) // more than any needs: it hangs
		defer stop()
		c := exec.CommandContext(ctx, "sh", "-c", script)
		c.WaitDelay = time.Second
		c.Dir = dir
		c.Env = append(os.Environ(), "HOME="+dir, "TZ=UTC", "LC_ALL=C", "NO_COLOR=1", "SSH_AUTH_SOCK=")
		var stderr strings.Builder
		c.Stderr = &stderr
		err := c.Run()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return stderr.String(), c.ProcessState.ExitCode()
	}
	if p.do != "" {
		if text, code := shell("set -e\n" + shellHelp + p.do); code != 0 {
			t.Fatalf("it could not be brought about: exit code %d\n%s", code, text)
		}
	}
	text, code := shell(p.ask)
	message := plainOf(dir, messageIn(text))
	switch {
	case code == 0:
		t.Errorf("exit code 0:\n%s", text)
	case message == "":
		t.Errorf("no message:\n%s", text)
	case strings.Count(message, "hint:") == 0:
		t.Logf("nothing to type:\n%s", message)
	}
	return fmt.Sprintf("$ %s   [exit %d]\n%s", strings.TrimSuffix(p.ask, letGo), code, message)
}

// shellHelp are words for what the messages need.
const shellHelp = `
put() { # put SCRIPT BODY: a script of the shop
	printf '%s\n' "$2" >"shop/$1" && chmod 755 "shop/$1"
}
add() { # add LINE: one more line of the deployment
	sed -i "s|^    local: {}|    local: {}\n    $1|" lockstep.yaml
}
ssh_config() { # ssh_config OPTIONS HOST: one instance, over SSH
	cat >lockstep.yaml <<END
state_dir: state
repository: {dir: backups}
deployments:
  shop:
    ssh: {user: ops, config_file: none, identity_agent: none, dial_timeout: 2s, $1}
    instance_groups: [{name: db, instances: [{id: "0", host: $2}]}]
END
}
quietly() { "$@" >/dev/null 2>&1; }
backup() { quietly lockstep backup shop; }
manifest() { ls -d backups/shop/* | tail -n 1; }
`

// messageIn are the messages in what a command printed on stderr, without the
// lines that tell how it went.
func messageIn(stderr string) string {
	var out strings.Builder
	within := false
	for line := range strings.Lines(stderr) {
		named := strings.HasPrefix(line, "lockstep: ") || strings.HasPrefix(line, "why: ") || strings.HasPrefix(line, "hint: ")
		within = named || within && strings.HasPrefix(line, "    ")
		if within {
			out.WriteString(line)
		}
	}
	return out.String()
}

// changing are the parts of messages that are others each time.
var changing = []struct {
	is *regexp.Regexp
	as string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "RUN"},
	{regexp.MustCompile(`shop_[0-9]{8}T[0-9]{6}Z(_[0-9a-z]+)?`), "shop_TIME"},
	{regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`), "TIME"},
	{regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2})?`), "TIME"},
	{regexp.MustCompile(`since [0-9]{4}-[0-9]{2}-[0-9]{2}`), "since DAY"},
	{regexp.MustCompile(`CRC-32C is [0-9a-f]{8} instead of [0-9a-f]{8}`), "CRC-32C is THIS instead of THAT"},
	{regexp.MustCompile(`[^ ]+ pid [0-9]+ since [^,]+, process [0-9]+, since TIME`), "HOST pid PID since TIME"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "DIGEST"},
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`), "FINGERPRINT"},
	{regexp.MustCompile(`lockstep-audit\+[0-9a-f]{8}`), "lockstep-audit+KEY"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "NAME"},
	{regexp.MustCompile(`(by|process) [0-9]+\b`), "$1 PID"},
}

func plainOf(dir, text string) string {
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		text = strings.ReplaceAll(text, real, "$DIR")
	}
	text = strings.ReplaceAll(text, dir, "$DIR")
	text = strings.ReplaceAll(text, whoAmI(), "USER@HOST")
	host, _ := os.Hostname()
	text = regexp.MustCompile(regexp.QuoteMeta(cmp.Or(host, "localhost"))+`/[0-9]+(/[0-9a-z]+)?`).ReplaceAllString(text, "HOST/PID")
	for _, c := range changing {
		text = c.is.ReplaceAllString(text, c.as)
	}
	return text
}
