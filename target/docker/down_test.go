package docker

import (
	"errors"
	"testing"

	"lockstep/target"
)

// TestDown: a container in which nothing runs is told from one that refuses.
func TestDown(t *testing.T) {
	t.Parallel()
	at := &Target{engine: &Engine{host: "unix:///s"}, name: "cache"}
	for says, want := range map[string]bool{
		"container 1f is not running":                         true,
		"Container 1f is paused, unpause the container first": true,
		"Container 1f is restarting, wait until":              true,
		"permission denied while trying to connect":           false,
		`exec: "/bin/sh": stat /bin/sh: no such file`:         false,
	} {
		err := at.failed(target.ErrNotStarted, errors.New(says))
		if errors.Is(err, target.ErrUnreachable) != want || !errors.Is(err, target.ErrNotStarted) {
			t.Errorf("%q: %v", says, err)
		}
		if err := at.failed(target.ErrLost, errors.New(says)); errors.Is(err, target.ErrUnreachable) {
			t.Errorf("%q, and the command may run: %v", says, err)
		}
	}
}
