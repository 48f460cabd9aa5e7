package planner

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// parseDeployment reads the short form of a deployment that the golden files
// use: one thing per line, options as words, scripts by kind.
//
//	deployment shop spec:/etc/shop.yaml
//	instance db/a1 index=0
//	job postgres release=pg before=web,uaa:uaa-release timeout=2h: backup restore-x
//
// where restore is not executable.
func parseDeployment(t *testing.T, text string) lockstep.Deployment {
	t.Helper()
	d := lockstep.Deployment{Locations: lockstep.DefaultLocations()}
	positions := map[string]int{}
	for n, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch words[0] {
		case "deployment":
			d.Name, d.Key = words[1], lockstep.DeploymentKey("spec:"+words[1])
			if len(words) > 2 {
				d.Key = lockstep.DeploymentKey(words[2])
			}
		case "warning":
			d.Warnings = append(d.Warnings, strings.Join(words[1:], " "))
		case "instance":
			group, id, _ := strings.Cut(words[1], "/")
			in := lockstep.Instance{Group: group, ID: id, Index: fmt.Sprint(positions[group]), Address: "10.0.0.1"}
			positions[group]++
			for _, w := range words[2:] {
				in.Index = strings.TrimPrefix(w, "index=")
			}
			d.Instances = append(d.Instances, in)
		case "job":
			in := &d.Instances[len(d.Instances)-1]
			in.Jobs = append(in.Jobs, parseJob(t, strings.TrimPrefix(line, "job "), d.Locations))
		default:
			t.Fatalf("line %d: %q", n+1, line)
		}
	}
	return d
}

func parseJob(t *testing.T, line string, l lockstep.Locations) lockstep.Job {
	t.Helper()
	head, scripts, _ := strings.Cut(line, ": ")
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(head), ":"))
	j := lockstep.Job{Name: words[0]}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		m := &j.Metadata
		switch key {
		case "release":
			j.Release = value
		case "before":
			m.BackupBefore = parseRefs(value)
		case "restore-before":
			m.RestoreBefore = parseRefs(value)
		case "timeout":
			m.ScriptTimeout, _ = time.ParseDuration(value)
		case "custom":
			j.CustomArtifact = value
		case "from":
			j.RestoresFrom = value
		case "may-be-empty":
			m.MayBeEmpty = true
		case "parallel":
			m.RestoreParallel = true
		case "backup_name":
			m.DiscontinuedBackupName = true
		case "restore_name":
			m.DiscontinuedRestoreName = true
		default:
			t.Fatalf("job %s: option %q", j.Name, w)
		}
	}
	for _, kind := range strings.Fields(scripts) {
		kind, idle := strings.CutSuffix(kind, "-x")
		j.Scripts = append(j.Scripts, lockstep.Script{
			Kind: lockstep.ScriptKind(kind), Path: l.ScriptDir(j.Name) + "/" + kind, Digest: "d-" + j.Name + "-" + kind, NotExecutable: idle,
		})
	}
	return j
}

func parseRefs(list string) []lockstep.JobRef {
	var refs []lockstep.JobRef
	for _, r := range strings.Split(list, ",") {
		job, release, _ := strings.Cut(r, ":")
		refs = append(refs, lockstep.JobRef{Job: job, Release: release})
	}
	return refs
}
