package ssh_test

import (
	"testing"

	"lockstep/internal/sshtest"
	"lockstep/target"
	"lockstep/target/targettest"
)

func TestConformance(t *testing.T) {
	for _, sessions := range []int{10, 2, 1} {
		t.Run(sprintf("MaxSessions %d", sessions), func(t *testing.T) {
			t.Parallel()
			b := newBed(t)
			s := b.serve(t, sshtest.Config{MaxSessions: sessions})
			targettest.Run(t, func(t *testing.T) target.Target { return open(t, b.config(s)) })
		})
	}
}
