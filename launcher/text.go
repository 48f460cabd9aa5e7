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
	exitFolder  = 91
	exitDigest  = 92
	exitStore   = 93
	exitTools   = 95
	exitFenced  = 96 // of a stream
	exitTouched = 97 // of a stream that is whole
	exitUnlent  = 98 // of a stream that needs the helper, and has said nothing
)

// bootstrap proves that its input is ours, then receives the launcher and becomes
// it. target.Quote hands it over as it is, whatever the login shell. Its words:
// length, digest, run folder, state folder, shell. A login may have closed its
// standard error.
//
// Descriptor 3 is the run folder with a shared lock: see lks_leave. A launcher
// that is there is not stored again, so that a full file system keeps nobody
// from a run that is under way. Who leaves without one leaves no folder either,
// unless another session has it.
const bootstrap = target.ProveInput + `
[ -e /proc/self/fd/2 ] || exec 2>/dev/null
for lks_d in setsid flock sha256sum stat head mkfifo sync date; do
  command -v "$lks_d" >/dev/null || { printf "%s is missing\n" "$lks_d" >&2; exit 95; }
done
setsid -f -w -V >/dev/null 2>&1 || { printf "setsid -f -w does not work, as that of busybox does not\n" >&2; exit 95; }
exec 7>/dev/null
"$5" -c "true >&7 || exit 9; [ -n \"\$1\" ] || exit 8" - "$(printf "\377")" 2>/dev/null
lks_n=$?
exec 7>&-
case $lks_n in
  0) ;;
  8) printf "sh loses bytes that are not text, as yash does\n" >&2; exit 95 ;;
  *) printf "sh does not hand its descriptors on, as mksh does not\n" >&2; exit 95 ;;
esac
printf "0 listening 0\n"
lks_um=$(umask); umask 077
case $3 in /*) lks_r=$3 ;; *) lks_r=$PWD/$3 ;; esac
case $4 in /*) lks_s=$4 ;; *) lks_s=$PWD/$4 ;; esac
lks_n=0
until [ "$lks_r" -ef /proc/self/fd/3 ]; do
  lks_m=
  mkdir -m 0700 -- "$lks_r" 2>/dev/null && lks_m=$lks_r || mkdir -p -- "$lks_r" && [ "$lks_n" -lt 50 ] || exit 93
  for lks_d in "$lks_r" "$lks_s"; do
    [ "$lks_d" != "$lks_m" ] || continue # we have just made it
    [ -e "$lks_d" ] || [ -L "$lks_d" ] || continue
    # A session that ends may take it away, and another one make it again, between two
    # looks: what is not there is nobody else's.
    lks_k=$(stat -c %f -- "$lks_d" 2>/dev/null) || continue
    case $lks_k in
      4?[048c]0) if [ -O "$lks_d" ] || [ ! -e "$lks_d" ] || [ -O "$lks_d" ]; then continue; fi ;;
    esac
    printf "%s must be a folder of our own with mode 0700\n" "$lks_d" >&2; exit 91
  done
  lks_n=$((lks_n + 1))
  { command exec 3<"$lks_r"; } 2>/dev/null || continue
  flock -s -w 10 3 || [ $? != 1 ] || { printf "%s stays locked by a session that ends\n" "$lks_r" >&2; exit 93; }
done
lks_f=$lks_r/launcher-$2 lks_t=
lks_quit() {
  [ -z "$lks_t" ] || rm -f "$lks_t"
  flock -n 3 && rmdir "$lks_r" 2>/dev/null
  exit "$1"
}
lks_sum=$(sha256sum 2>/dev/null <"$lks_f")
if [ "${lks_sum%% *}" = "$2" ]; then
  lks_sum=$(head -c "$1" | sha256sum)
else
  lks_t=$lks_r/new-$$
  head -c "$1" >"$lks_t" || lks_quit 93
  lks_sum=$(sha256sum <"$lks_t")
fi
[ "${lks_sum%% *}" = "$2" ] || lks_quit 92
[ -z "$lks_t" ] || mv -f "$lks_t" "$lks_f" || lks_quit 93
exec "$5" "$lks_f" serve "$lks_r" "$lks_s" "$lks_um" - "$5"`

// bootCommand is the command line of the control session.
func (c *Client) bootCommand() string {
	return c.asRoot(c.shell, "-c", bootstrap, "lockstep",
		strconv.Itoa(len(text())), digest(), c.cfg.RunDir, c.cfg.StateDir, c.shell)
}

// streamCommand is the command line of a stream; runDir is the run folder as
// the launcher named it.
func (c *Client) streamCommand(runDir, verb string, words ...string) string {
	file := runDir + "/launcher-" + digest()
	args := []string{c.shell, file, verb, runDir, c.cfg.StateDir, "-", "-", c.shell}
	if strings.HasPrefix(verb, "deal") || verb == "lent-deal" { // so that it can end all that it started
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
