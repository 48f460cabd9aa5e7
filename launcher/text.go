package launcher

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"

	"lockstep/target"
)

//go:embed sh/*.sh
var parts embed.FS

// text is the launcher as it is pushed: the parts in the order of their names,
// without comment lines and indentation, because an instance parses it anew
// for every step.
var text = sync.OnceValue(func() string {
	entries, err := parts.ReadDir("sh")
	if err != nil {
		panic("launcher: embedded files: " + err.Error())
	}
	var b strings.Builder
	for _, e := range entries {
		part, err := parts.ReadFile("sh/" + e.Name())
		if err != nil {
			panic("launcher: embedded files: " + err.Error())
		}
		for line := range strings.Lines(string(part)) {
			line = strings.TrimLeft(line, "\t")
			if line != "\n" && !strings.HasPrefix(line, "#") {
				b.WriteString(line)
			}
		}
	}
	return b.String()
})

// digest is the SHA-256 of text in hex; it is in the stored file's name.
var digest = sync.OnceValue(func() string {
	sum := sha256.Sum256([]byte(text()))
	return hex.EncodeToString(sum[:])
})

// Exit codes of the bootstrap, see its text.
const (
	exitFolder = 91
	exitDigest = 92
	exitStore  = 93
	exitFenced = 96 // of a stream
)

// bootstrap receives the launcher and becomes it. It has no single quote in
// it, so that every login shell hands it over as it is. Its words: length,
// digest, run folder, state folder, shell.
const bootstrap = `um=$(umask); umask 077
case $3 in /*) r=$3 ;; *) r=$PWD/$3 ;; esac
case $4 in /*) s=$4 ;; *) s=$PWD/$4 ;; esac
mkdir -p -- "$r" || exit 93
for d in "$r" "$s"; do
  [ -e "$d" ] || [ -L "$d" ] || continue
  m=$(stat -c %a -- "$d")
  if [ -L "$d" ] || [ ! -d "$d" ] || [ ! -O "$d" ] || [ "${m%00}" = "$m" ]; then
    printf "%s must be a folder of our own with mode 0700\n" "$d" >&2; exit 91
  fi
done
t=$r/new-$$
head -c "$1" >"$t" || { rm -f "$t"; exit 93; }
sum=$(sha256sum <"$t")
[ "${sum%% *}" = "$2" ] || { rm -f "$t"; exit 92; }
mv -f "$t" "$r/launcher-$2" || exit 93
exec "$5" "$r/launcher-$2" serve "$r" "$s" "$um" - "$5"`

// bootCommand is the command line of the control session.
func (c *Client) bootCommand() string {
	return c.asRoot("sh", "-c", bootstrap, "lockstep",
		strconv.Itoa(len(text())), digest(), c.cfg.RunDir, c.cfg.StateDir, c.shell)
}

// streamCommand is the command line of a stream; runDir is the run folder as
// the launcher named it.
func (c *Client) streamCommand(runDir, verb string, words ...string) string {
	file := runDir + "/launcher-" + digest()
	args := []string{c.shell, file, verb, runDir, c.cfg.StateDir, "-", "-", c.shell}
	if strings.HasPrefix(verb, "deal") { // so that it can end all that it started
		args = append([]string{"setsid", "-w"}, args...)
	}
	return c.asRoot(append(args, words...)...)
}

func (c *Client) asRoot(words ...string) string {
	line := target.QuoteAll(words...)
	if c.cfg.Sudo {
		line = "sudo -n " + line
	}
	return line
}
