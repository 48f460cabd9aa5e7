package discover

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"lockstep"
	"lockstep/source"
)

// TestScriptsThatARunBrings stand in the plan under their digests, in place of
// those that are there, and make jobs where none are.
func TestScriptsThatARunBrings(t *testing.T) {
	t.Parallel()
	m := newMachine(t).script("a", "backup", "there").script("a", "restore", "there")
	r := deployment(t, m, newMachine(t))
	r.Locations.Claim = "claim/"
	r.Instances[1].Group = "h"
	sum := sha256.Sum256([]byte("brought"))
	digest := hex.EncodeToString(sum[:])
	bring := map[lockstep.ScriptKind]string{lockstep.ScriptBackup: "brought"}
	r.Overrides.Jobs = map[string]source.JobOverride{
		"a": {Scripts: bring, Groups: []string{"g"}},
		"b": {Scripts: bring, Groups: []string{"g", "h"}},
		"c": {Scripts: bring, Groups: []string{"nobody"}, Skip: true},
	}
	r.Instances[1].Scripts = map[string]map[lockstep.ScriptKind]string{"own": {lockstep.ScriptRestore: "of its source"}, "b": {lockstep.ScriptBackup: "less near"}}
	d, _ := discover(t, r)
	wantEqual(t, "jobs of g", []string{"a:backup,restore", "b:backup"}, jobs(d.Instances[0]))
	wantEqual(t, "jobs of h", []string{"b:backup", "own:restore"}, jobs(d.Instances[1]))
	want := lockstep.Script{Kind: lockstep.ScriptBackup, Path: "claim/scripts/" + digest, Digest: digest}
	for _, j := range []lockstep.Job{d.Instances[0].Jobs[0], d.Instances[1].Jobs[0]} {
		got, _ := j.Script(lockstep.ScriptBackup)
		wantEqual(t, "script of "+j.Name, want, got)
	}

	r.Overrides.Jobs["b"] = source.JobOverride{Scripts: bring, Groups: []string{"hh"}}
	if _, _, err := Discover(t.Context(), r, Options{}); err == nil || !strings.Contains(err.Error(), "for group hh, which has no instances") {
		t.Errorf("scripts for nobody: %v", err)
	}
	if _, _, err := Discover(t.Context(), r, Options{Cleanup: true}); err != nil {
		t.Errorf("a cleanup beside scripts for nobody: %v", err)
	}
	r.Overrides.Jobs["of-hh"] = source.JobOverride{}
	r.Listed = []source.Listing{{Group: "g"}, {Group: "h"}, {Group: "hh"}}
	d, _, err := Discover(t.Context(), r, Options{Version: "1.9.0"})
	if err != nil || len(d.Warnings) > 0 {
		t.Errorf("scripts for one that was left out: %v, %v", err, d.Warnings)
	}
}
