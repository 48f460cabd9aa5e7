package discover

import (
	"testing"

	"lockstep"
	"lockstep/source"
)

func TestOneRestoreAllOfASpecification(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		first         bool
		custom, reads string
	}{
		{true, "cell-backup-one-restore-all", "cell-backup-one-restore-all"},
		{false, "", "cell-backup-one-restore-all"},
	} {
		b := &builder{
			source:    source.Instance{Group: "cells", ID: "0", Bootstrap: tc.first},
			overrides: source.Overrides{Jobs: map[string]source.JobOverride{"cell": {OneRestoreAll: true}}},
		}
		j := lockstep.Job{Name: "cell"}
		b.oneRestoreAll(&j)
		if j.CustomArtifact != tc.custom || j.RestoresFrom != tc.reads {
			t.Errorf("first %v: custom %q, restored from %q", tc.first, j.CustomArtifact, j.RestoresFrom)
		}
	}
}
