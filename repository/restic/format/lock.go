package format

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"lockstep/repository"
)

// StaleAfter is how long a lock lasts that nobody refreshes. Stock restic has
// the same number.
const StaleAfter = 30 * time.Minute

// Lock says who uses a repository. One that is exclusive stands alone.
type Lock struct {
	Time      time.Time `json:"time"`
	Exclusive bool      `json:"exclusive"`
	Hostname  string    `json:"hostname"`
	Username  string    `json:"username"`
	PID       int       `json:"pid"`
	UID       uint32    `json:"uid,omitempty"`
	GID       uint32    `json:"gid,omitempty"`
}

// NewLock is one of this process.
func NewLock(exclusive bool, now time.Time) Lock {
	l := Lock{Time: now, Exclusive: exclusive, PID: os.Getpid(), UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	l.Hostname, l.Username = Whoami()
	return l
}

// ParseLock reads an opened lock file.
func ParseLock(b []byte) (Lock, error) {
	var l Lock
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("%w: lock: %w", repository.ErrCorrupt, err)
	}
	return l, nil
}

// Stale reports whether its owner is gone: it was not refreshed, or it is of a
// process of this host that alive does not know.
func (l Lock) Stale(now time.Time, host string, alive func(pid int) bool) bool {
	return now.Sub(l.Time) > StaleAfter || l.Hostname == host && !alive(l.PID)
}

func (l Lock) String() string {
	what := "shared"
	if l.Exclusive {
		what = "exclusive"
	}
	return fmt.Sprintf("%s lock of %s, process %d on %s, since %s", what, l.Username, l.PID, l.Hostname, l.Time.UTC().Format(time.RFC3339))
}
