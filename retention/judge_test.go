package retention

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lockstep"
)

// judged is a backup of that many days ago with artifacts "SLOT=BYTES".
func judged(days int, artifacts ...string) lockstep.Backup {
	at := epoch.Add(-time.Duration(days) * day)
	b := lockstep.Backup{ID: lockstep.NewBackupID("shop", at), Deployment: "shop", Key: "k", StartedAt: at, Data: lockstep.DataVerified}
	for _, a := range artifacts {
		var bytes int64
		slot, text, _ := strings.Cut(a, "=")
		if _, err := fmt.Sscan(text, &bytes); err != nil {
			panic(err)
		}
		part := strings.Split(slot, "/")
		at := lockstep.Slot{Group: part[0], Index: part[1], Job: part[2]}
		b.Artifacts = append(b.Artifacts, lockstep.Artifact{Slot: at, Name: strings.ReplaceAll(slot, "/", "-"), Bytes: bytes})
		b.Instances = append(b.Instances, lockstep.Instance{Group: at.Group, Index: at.Index, Jobs: []lockstep.Job{{Name: at.Job, Scripts: []lockstep.Script{{}}}}})
	}
	return b
}

// TestSuspicions: a backup that lacks something, or shrank, is told from one
// that changed as backups do.
//
//fault:backup-shrinks an artifact has less than a fifth of its usual size | the backup is suspect, kept, and not the latest
//fault:slot-gone a job's folder vanished on one instance | the backup is suspect until --accept-change
func TestSuspicions(t *testing.T) {
	t.Parallel()
	earlier := []lockstep.Backup{judged(1, "db/0/pg=5000", "db/1/pg=5000"), judged(2, "db/0/pg=6000", "db/1/pg=4000"), judged(3, "db/0/pg=900000", "db/1/pg=5000")}
	accepted := judged(1, "db/0/pg=100", "db/1/pg=5000")
	accepted.AcceptedChanges = []string{"db/0/pg shrank"}
	damaged := judged(1, "db/0/pg=5000", "db/1/pg=5000", "db/2/pg=5000")
	damaged.Data = lockstep.DataDamaged
	elsewhere := judged(1, "web/0/nginx=7")
	elsewhere.Key = "other"
	lockOnly := judged(1, "db/0/pg=5000", "db/1/pg=5000")
	lockOnly.Instances = append(lockOnly.Instances, lockstep.Instance{Group: "web", Index: "0", Jobs: []lockstep.Job{{Name: "nginx", Scripts: []lockstep.Script{{}}}}})
	for name, test := range map[string]struct {
		b       lockstep.Backup
		earlier []lockstep.Backup
		want    []string
	}{
		"the first":             {judged(0, "db/0/pg=1"), nil, nil},
		"as ever":               {judged(0, "db/0/pg=5100", "db/1/pg=4900"), earlier, nil},
		"at a fifth":            {judged(0, "db/0/pg=1200", "db/1/pg=1000"), earlier, nil},
		"below a fifth":         {judged(0, "db/0/pg=1199", "db/1/pg=1000"), earlier, []string{"db/0/pg has 1199 bytes"}},
		"one large one is rare": {judged(0, "db/0/pg=5000", "db/1/pg=5000"), earlier, nil},
		"a slot is gone":        {judged(0, "db/0/pg=5000"), earlier, []string{"no artifact of db/1/pg"}},
		"a lock-only job":       {judged(0, "db/0/pg=5000", "db/1/pg=5000"), []lockstep.Backup{lockOnly}, []string{"web/0/nginx"}},
		"accepted before":       {judged(0, "db/0/pg=100", "db/1/pg=5000"), append([]lockstep.Backup{accepted}, earlier[1:]...), nil},
		"after what is damaged": {judged(0, "db/0/pg=5000", "db/1/pg=5000"), append([]lockstep.Backup{damaged}, earlier...), nil},
		"of another key":        {judged(0, "db/0/pg=5000"), []lockstep.Backup{elsewhere}, nil},
		"in any order":          {judged(0, "db/0/pg=5000"), []lockstep.Backup{earlier[2], earlier[0]}, []string{"backup " + string(earlier[0].ID)}},
		"later ones":            {judged(2, "db/0/pg=5000"), []lockstep.Backup{earlier[0]}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Suspicions(test.b, test.earlier)
			if len(got) != len(test.want) {
				t.Fatalf("%q, want %q", got, test.want)
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("%q, want %q in it", got[i], want)
				}
			}
		})
	}
}

// restored is an ended restore whose work steps are JOB=ok, JOB=bad or JOB=not.
func restored(id string, partial bool, jobs ...string) *lockstep.Run {
	r := &lockstep.Run{ID: lockstep.RunID(id), Plan: &lockstep.Plan{Operation: lockstep.OperationRestore, Partial: partial}, Steps: map[lockstep.StepID]*lockstep.StepRecord{}}
	w, data := lockstep.Wave{Stage: lockstep.StageWork}, lockstep.DataRestored
	for _, j := range jobs {
		job, how, _ := strings.Cut(j, "=")
		s := lockstep.Step{ID: lockstep.StepID(job), Slot: lockstep.Slot{Group: "g", Index: "0", Job: job}}
		w.Steps = append(w.Steps, s)
		switch how {
		case "ok":
			r.Steps[s.ID] = &lockstep.StepRecord{Tries: []lockstep.Try{{Outcome: lockstep.Exited(0)}}}
		case "bad":
			r.Steps[s.ID] = &lockstep.StepRecord{Tries: []lockstep.Try{{Outcome: lockstep.Exited(1)}}}
		}
		if how != "ok" {
			data = lockstep.DataPartial
		}
	}
	r.Plan.Waves, r.Ending = []lockstep.Wave{w}, &lockstep.Ending{Data: data}
	return r
}

// TestHalfRestored: what a restore left half done stays so until it is restored
// as a whole, slot by slot, or somebody vouches for it.
//
//fault:half-restored a restore ended partial and a backup follows | the backup is suspect and says which restore it was
func TestHalfRestored(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		runs []*lockstep.Run // newest first
		ack  lockstep.RunID
		want string
	}{
		"none":                  {nil, "", ""},
		"restored":              {[]*lockstep.Run{restored("1", false, "a=ok", "b=ok")}, "", ""},
		"partial":               {[]*lockstep.Run{restored("1", false, "a=ok", "b=bad", "c=not")}, "", "1 b c"},
		"vouched for":           {[]*lockstep.Run{restored("1", false, "a=ok", "b=bad")}, "1", ""},
		"restored again":        {[]*lockstep.Run{restored("2", false, "a=ok", "b=ok"), restored("1", false, "a=ok", "b=bad")}, "", ""},
		"that part again":       {[]*lockstep.Run{restored("2", true, "b=ok"), restored("1", false, "a=ok", "b=bad")}, "", ""},
		"another part again":    {[]*lockstep.Run{restored("2", true, "a=ok"), restored("1", false, "a=ok", "b=bad")}, "", "1 b"},
		"before the last whole": {[]*lockstep.Run{restored("3", false, "a=ok"), restored("1", false, "a=ok", "b=bad")}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, slots := HalfRestored(test.runs, func(id lockstep.RunID) bool { return id == test.ack })
			got := string(run)
			for _, s := range slots {
				got += " " + s.Job
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
