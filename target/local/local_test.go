package local_test

import (
	"testing"

	"lockstep/target"
	"lockstep/target/local"
	"lockstep/target/targettest"
)

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) target.Target {
		tgt := local.New(t.TempDir())
		t.Cleanup(func() { _ = tgt.Close() })
		return tgt
	})
}
