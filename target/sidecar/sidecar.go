// Package sidecar is what runs in a container of ours that stands beside one whose image
// has no shell: a first process that ends, and the sidecar with it, when it is not needed.
package sidecar

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"lockstep/target"
)

// Idle is how long a sidecar stays in which nothing runs.
const Idle = 5 * time.Minute

// looks is how often a sidecar must have been seen to be idle.
const looks = 30

// firstProcess is that of a sidecar; its arguments are how many times it looks, and
// the seconds between. It ends when nothing else ran in the sidecar each time: what an
// orchestrator that died has left goes by itself, but not under a lease or a script. The
// processes of a sidecar are those that see its files: all others here are those of the
// container beside it.
const firstProcess = `trap 'exit 0' TERM INT
own=$(readlink /proc/$$/ns/mnt) || exit 70
idle=0
while [ "$idle" -lt "$1" ]; do
  sleep "$2" & wait "$!"
  idle=$((idle+1))
  for p in /proc/[0-9]*; do
    [ "$p" = "/proc/$$" ] && continue
    if [ "$(readlink "$p/ns/mnt" 2>/dev/null)" = "$own" ]; then idle=0; break; fi
  done
done`

// Command is the command line of the first process of a sidecar of that name, which ends
// when nothing else ran in it for that long.
func Command(name string, idle time.Duration) []string {
	return []string{"/bin/sh", "-c", firstProcess, name, strconv.Itoa(looks), strconv.FormatFloat(idle.Seconds()/looks, 'f', -1, 64)}
}

// End is a line of shell that ends the first process of the sidecar of that name, and
// nothing else: all that runs in it ends with it. The name must be one word of letters,
// digits and hyphens.
func End(name string) string {
	return `n='
'
for p in /proc/[0-9]*; do
  case "$n$(tr '\000' '\n' <"$p/cmdline" 2>/dev/null)$n" in
  *"$n` + name + `$n"*) kill "${p#/proc/}" ;;
  esac
done`
}

// Needed reports whether a sidecar must stay: something lies in the folder of the claim,
// so that a lease may still have to unlock, by a process that runs there. Nobody knows
// where the target does not answer.
func Needed(ctx context.Context, in target.Target, claim string) bool {
	exit, err := in.Run(ctx, `[ -z "$(ls -A -- `+target.Quote(claim)+` 2>/dev/null)" ]`, target.Streams{})
	return err != nil || !exit.OK()
}

const prefix = "lockstep-sidecar-"

// NewName is a name that no other sidecar has.
func NewName() string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return prefix + hex.EncodeToString(random[:])
}

// IsName reports whether a name is one that NewName gives.
func IsName(name string) bool {
	digits, ok := strings.CutPrefix(name, prefix)
	return ok && len(digits) == 16 && strings.Trim(digits, "0123456789abcdef") == ""
}
