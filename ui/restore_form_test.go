package ui

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lockstep"
	"lockstep/planner"
)

func TestRestoreIsShownFirst(t *testing.T) {
	f, now := fullWorld()
	h := served(f, now)
	w := ask(h, "POST", backupPath(2)+"/restore", url.Values{"deployment": {"shop"}, "scope": {"ticked"}, "jobs": {"postgres", "queue"}, "instances": {"db/0"}})
	body := w.Body.String()
	if w.Code != 200 || len(f.did) != 0 {
		t.Fatalf("%d, did %q\n%s", w.Code, f.did, body)
	}
	form := fields(t, body, "/restores")
	form.Set("typed", "shop")
	if w := ask(h, "POST", "/restores", form); w.Code != http.StatusSeeOther {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	got := f.started[0]
	if got.Backup != kept(2).ID || !strings.HasPrefix(got.PlanDigest, "sha256:") || !slices.Equal(got.Jobs, []string{"postgres", "queue"}) ||
		!slices.Equal(got.Instances, []lockstep.InstanceID{"db/0"}) || got.From != "" || got.By != "token:night-shift" {
		t.Errorf("started: %+v", got)
	}
}

func TestAnotherDeploymentsBackupIsSaidToBeOne(t *testing.T) {
	f, now := fullWorld()
	ask(served(f, now), "POST", "/restores", url.Values{"backup": {string(kept(1).ID)}, "deployment": {"wiki"}, "typed": {"wiki"}, "plan_digest": {"sha256:1"}})
	if len(f.started) != 1 || f.started[0].From != "shop" {
		t.Errorf("started: %+v", f.started)
	}
}

func TestARestoreIsChosenByBoxes(t *testing.T) {
	boxed := regexp.MustCompile(`<input type="checkbox" name="(jobs|instances)" value="([^"]*)" checked>`)
	allJobs, allInstances := []string{"blobs", "postgres", "queue"}, []lockstep.InstanceID{"db/0", "db/1", "files/0", "queue/0"}
	for _, c := range []struct {
		scope     string
		without   []string
		jobs      []string
		instances []lockstep.InstanceID
		refused   string
	}{
		{"everything", nil, nil, nil, ""},
		{"everything", []string{"db/1"}, nil, nil, "a tick was taken away"},
		{"", nil, nil, nil, "say what to restore"},
		{"ticked", nil, allJobs, allInstances, ""},
		{"ticked", []string{"blobs"}, []string{"postgres", "queue"}, allInstances, ""},
		{"ticked", []string{"db/1", "files/0"}, allJobs, []lockstep.InstanceID{"db/0", "queue/0"}, ""},
		{"ticked", []string{"blobs", "postgres", "queue"}, nil, nil, "nothing is ticked"},
		{"ticked", []string{"db/0", "db/1", "files/0", "queue/0"}, nil, nil, "nothing is ticked"},
	} {
		f, now := fullWorld()
		h := served(f, now)
		page := ask(h, http.MethodGet, backupPath(2)+"/restore", nil).Body.String()
		if !strings.Contains(page, `name="scope" value="everything" checked>`) || !strings.Contains(page, `name="scope" value="ticked">`) {
			t.Fatalf("it cannot be said whether everything is meant, or what is ticked:\n%s", page)
		}
		form := url.Values{"deployment": {"shop"}}
		if c.scope != "" {
			form.Set("scope", c.scope)
		}
		boxes := boxed.FindAllStringSubmatch(page, -1)
		if len(boxes) != 7 {
			t.Fatalf("%d boxes: %q", len(boxes), boxes)
		}
		for _, b := range boxes {
			if !slices.Contains(c.without, b[2]) {
				form.Add(b[1], b[2])
			}
		}
		w := ask(h, http.MethodPost, backupPath(2)+"/restore", form)
		if c.refused != "" {
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), c.refused) {
				t.Errorf("%s without %q: %d\n%s", c.scope, c.without, w.Code, w.Body)
			}
			continue
		}
		preview := fields(t, w.Body.String(), "/restores")
		preview.Set("typed", "shop")
		if w := ask(h, http.MethodPost, "/restores", preview); w.Code != http.StatusSeeOther {
			t.Fatalf("%s without %q: %d\n%s", c.scope, c.without, w.Code, w.Body)
		}
		if got := f.started[0]; !slices.Equal(got.Jobs, c.jobs) || !slices.Equal(got.Instances, c.instances) {
			t.Errorf("%s without %q: jobs %q, instances %q", c.scope, c.without, got.Jobs, got.Instances)
		}
	}
}

func TestWhatIsTickedIsRestoredIntoAGrownDeployment(t *testing.T) {
	grown := sampleShop()
	more := grown.Instances[slices.IndexFunc(grown.Instances, func(in lockstep.Instance) bool { return in.Group == "db" })]
	more.ID, more.Index = "9", "9"
	grown.Instances = append(grown.Instances, more)
	backup := kept(0)
	var all lockstep.Request
	jobs, instances := BoxesOf(backup)
	for _, b := range jobs {
		all.Jobs = append(all.Jobs, b.Value)
	}
	for _, b := range instances {
		all.Instances = append(all.Instances, lockstep.InstanceID(b.Value))
	}
	policy := lockstep.LockstepPolicy()
	if _, err := planner.Restore(grown, policy, planner.RestoreOptions{Backup: backup}); lockstep.KindOf(err) != lockstep.KindRefused {
		t.Errorf("everything: %v", err)
	}
	plan, err := planner.Restore(grown, policy, planner.RestoreOptions{Backup: backup, Request: all})
	if err != nil || len(plan.Artifacts) != len(backup.Artifacts) {
		t.Errorf("what is ticked: %d artifacts of %d, %v", len(plan.Artifacts), len(backup.Artifacts), err)
	}
}

func TestARestoreOfABackupOfNoInstancesIsWritten(t *testing.T) {
	for _, c := range []struct {
		jobs, instances string
		wantJobs        []string
		wantInstances   []lockstep.InstanceID
	}{
		{"", "", nil, nil},
		{"postgres  queue", " db/0", []string{"postgres", "queue"}, []lockstep.InstanceID{"db/0"}},
	} {
		f, now := fullWorld()
		f.backup[2].Instances = nil
		h := served(f, now)
		page := ask(h, http.MethodGet, backupPath(2)+"/restore", nil).Body.String()
		if !strings.Contains(page, `<input name="jobs"`) || !strings.Contains(page, `<input name="instances"`) || strings.Contains(page, `name="scope"`) {
			t.Fatalf("there is nowhere to write them:\n%s", page)
		}
		w := ask(h, http.MethodPost, backupPath(2)+"/restore", url.Values{"deployment": {"shop"}, "jobs": {c.jobs}, "instances": {c.instances}})
		preview := fields(t, w.Body.String(), "/restores")
		preview.Set("typed", "shop")
		if w := ask(h, http.MethodPost, "/restores", preview); w.Code != http.StatusSeeOther {
			t.Fatalf("%+v: %d\n%s", c, w.Code, w.Body)
		}
		if got := f.started[0]; !slices.Equal(got.Jobs, c.wantJobs) || !slices.Equal(got.Instances, c.wantInstances) {
			t.Errorf("%+v: jobs %q, instances %q", c, got.Jobs, got.Instances)
		}
	}
}

func TestAnInstanceIsTickedByItsPlace(t *testing.T) {
	b := kept(0)
	b.Instances = nil
	for i, id := range []string{"5f3a", "1", "2"} {
		in := sampleShop().Instances[0]
		in.ID, in.Index = id, []string{"0", "2", "1"}[i]
		b.Instances = append(b.Instances, in)
	}
	_, boxes := BoxesOf(b)
	if len(boxes) != 3 || boxes[0].Value != "db/0" || boxes[0].Label != "db/5f3a" || boxes[1].Value != "db/1" || boxes[2].Value != "db/2" {
		t.Errorf("boxes: %+v", boxes)
	}
}
