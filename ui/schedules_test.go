package ui

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"lockstep"
	"lockstep/access"
	journal "lockstep/journal/sqlite"
	"lockstep/scheduler"
	"lockstep/state/sqlite"
)

// fakeSchedules has two schedules of the shop.
type fakeSchedules struct {
	lockstep.EditableSchedules
	did []string
	set []lockstep.Schedule
	// seen are the digests of what was replaced.
	seen []string
}

func (f *fakeSchedules) List(context.Context, string) ([]lockstep.ScheduleStatus, error) {
	s := lockstep.Schedule{Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "30 2 * * *", Zone: "Europe/Berlin", Origin: lockstep.ScheduleOfConfig}
	nightly, weekly := s, s
	nightly.Name, weekly.Name = "nightly", "weekly"
	tidy := s
	tidy.Name, tidy.Operation, tidy.Cron, tidy.Origin = "tidy", lockstep.ScheduledForget, "@daily", lockstep.ScheduleOfAPI
	tidy.Jitter, tidy.Keep = 90*time.Minute, &lockstep.KeepRules{Daily: 7, Within: 14 * 24 * time.Hour}
	return []lockstep.ScheduleStatus{
		{Schedule: nightly, Next: begin.Add(23 * time.Hour)},
		{Schedule: weekly, Paused: true, PausedBy: "token:ann", PausedAt: begin},
		{Schedule: tidy, Next: begin.Add(9 * time.Hour)},
	}, nil
}

func (f *fakeSchedules) Get(ctx context.Context, name string) (lockstep.ScheduleStatus, error) {
	all, _ := f.List(ctx, "")
	for _, s := range all {
		if s.Name == name {
			return s, nil
		}
	}
	return lockstep.ScheduleStatus{}, &lockstep.Error{Kind: lockstep.KindNotFound, Op: "find schedule", Err: errors.New("there is none")}
}

func (f *fakeSchedules) Next(context.Context, string, int) ([]lockstep.Upcoming, error) {
	return []lockstep.Upcoming{{Slot: begin.Add(23 * time.Hour), Due: begin.Add(23 * time.Hour)}}, nil
}

func (f *fakeSchedules) Replace(_ context.Context, seen string, s lockstep.Schedule, by string) error {
	if _, err := scheduler.Complete(s); err != nil {
		return err
	}
	f.seen = append(f.seen, seen)
	f.did, f.set = append(f.did, "set "+s.Name+" "+by), append(f.set, s)
	return nil
}

func (f *fakeSchedules) Delete(_ context.Context, name, by string) error {
	f.did = append(f.did, "delete "+name+" "+by)
	return nil
}

func (f *fakeSchedules) History(context.Context, string, int64, int) ([]lockstep.SlotRecord, error) {
	return []lockstep.SlotRecord{{Schedule: "nightly", Slot: begin, Last: begin, Count: 3, State: lockstep.SlotSkipped, Reason: "the orchestrator was down"}}, nil
}

func (f *fakeSchedules) Pause(_ context.Context, name, by string) error {
	f.did = append(f.did, "pause "+name+" "+by)
	return nil
}

func (f *fakeSchedules) Resume(_ context.Context, name, by string) error {
	f.did = append(f.did, "resume "+name+" "+by)
	return nil
}

func (f *fakeSchedules) Run(_ context.Context, name, by string) (lockstep.SlotRecord, error) {
	f.did = append(f.did, "run "+name+" "+by)
	return lockstep.SlotRecord{}, nil
}

func TestSchedules(t *testing.T) {
	f, now := fullWorld()
	schedules := &fakeSchedules{}
	pages := New(Config{Service: f, Schedules: schedules, Now: func() time.Time { return now }})
	h := asAdmin(pages)
	body := ask(h, "GET", "/schedules", nil).Body.String()
	for _, want := range []string{"paused by token:ann", "23 Nov 2026 01:42:41 UTC", "the orchestrator was down", "3 slots in all", `href="/schedules/weekly"`, `href="/new/schedule"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the schedules do not say %q", want)
		}
	}
	if body := ask(h, "GET", "/", nil).Body.String(); !strings.Contains(body, "nightly") {
		t.Error("the deployments do not say what is due next")
	}
	for _, do := range []string{"nightly/pause", "weekly/resume", "nightly/run"} {
		if w := ask(h, "POST", "/schedules/"+do, url.Values{}); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/schedules/"+path.Dir(do) {
			t.Errorf("%s: %d to %q", do, w.Code, w.Header().Get("Location"))
		}
	}
	if got := strings.Join(schedules.did, ", "); got != "pause nightly token:night-shift, resume weekly token:night-shift, run nightly token:night-shift" {
		t.Errorf("did: %s", got)
	}
	for _, at := range []string{"/schedules", "/schedules/nightly", "/schedules/tidy"} {
		body := ask(as(pages, access.RoleViewer), "GET", at, nil).Body.String()
		if got := regexp.MustCompile(`(action|href)="(/new/schedule|/schedules/[a-z]+/[a-z]+)"`).FindString(body); got != "" {
			t.Errorf("%s offers a viewer %s", at, got)
		}
	}
}

func TestASchedulesPage(t *testing.T) {
	f, now := fullWorld()
	h := asAdmin(New(Config{Service: f, Schedules: &fakeSchedules{}, Now: func() time.Time { return now }}))
	for at, wants := range map[string][]string{
		"/schedules/nightly": {"Mon 23 Nov 2026 02:42:41 CET", "is changed there", "3 slots in all", `action="/schedules/nightly/pause"`, `href="/deployments/shop/backup"`},
		"/schedules/weekly":  {"by token:ann, 22 Nov 2026 02:42:41 UTC", `action="/schedules/weekly/resume"`, "until it is resumed"},
		"/schedules/tidy":    {"one of each of the last 7 days; all of the last 14d", "1h30m", `href="/schedules/tidy/change"`, `href="/schedules/tidy/delete"`},
	} {
		body := ask(h, "GET", at, nil).Body.String()
		for _, want := range wants {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not say %q:\n%s", at, want, body)
			}
		}
	}
	if body := ask(h, "GET", "/schedules/nightly", nil).Body.String(); strings.Contains(body, "/change\"") || strings.Contains(body, "/delete\"") {
		t.Error("one of the configuration is offered to be changed")
	}
	if w := ask(h, "GET", "/schedules/other", nil); w.Code != http.StatusNotFound {
		t.Errorf("one that is not there: %d", w.Code)
	}
}

func TestASchedulesForms(t *testing.T) {
	f, now := fullWorld()
	schedules := &fakeSchedules{}
	h := asAdmin(New(Config{Service: f, Schedules: schedules, Now: func() time.Time { return now }}))
	form := func(change ...string) url.Values {
		v := url.Values{"name": {"night"}, "deployment": {"shop"}, "operation": {"backup"}, "cron": {"30 2 * * *"}, "zone": {"Europe/Berlin"}, "overlap": {"wait"}, "missed": {"skip"}}
		for i := 0; i < len(change); i += 2 {
			v.Set(change[i], change[i+1])
		}
		return v
	}
	seen := fields(t, ask(h, "GET", "/schedules/tidy/change", nil).Body.String(), "/schedules/tidy/change").Get("seen")
	for _, c := range []struct {
		path  string
		form  url.Values
		where string
		want  lockstep.Schedule
	}{
		{"/schedules", form("jitter", "30m"), "/schedules/night", lockstep.Schedule{
			Name: "night", Deployment: "shop", Operation: lockstep.ScheduledBackup, Cron: "30 2 * * *", Zone: "Europe/Berlin",
			Jitter: 30 * time.Minute, Overlap: lockstep.OverlapWait, Missed: lockstep.MissedSkip,
		}},
		{"/schedules/tidy/change", form("operation", "forget", "name", "other", "seen", seen, "keep_daily", "7", "keep_within", "14d", "keep_last", " ", "keep_tags", "q4, before"), "/schedules/tidy", lockstep.Schedule{
			Name: "tidy", Deployment: "shop", Operation: lockstep.ScheduledForget, Cron: "30 2 * * *", Zone: "Europe/Berlin",
			Overlap: lockstep.OverlapWait, Missed: lockstep.MissedSkip, Keep: &lockstep.KeepRules{Daily: 7, Within: 14 * 24 * time.Hour, Tags: []string{"q4", "before"}},
		}},
	} {
		schedules.set = nil
		w := ask(h, "POST", c.path, c.form)
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != c.where || len(schedules.set) != 1 || !reflect.DeepEqual(schedules.set[0], c.want) {
			t.Errorf("%s: %d to %q, set %+v", c.path, w.Code, w.Header().Get("Location"), schedules.set)
		}
	}
	if want := []string{"", seen}; !slices.Equal(schedules.seen, want) {
		t.Errorf("over what was seen: %q, want %q", schedules.seen, want)
	}
	schedules.did = nil
	for why, c := range map[string]struct {
		path   string
		form   url.Values
		status int
	}{
		"is not a duration":       {"/schedules", form("jitter", "soon"), http.StatusBadRequest},
		"is not a number of days": {"/schedules", form("keep_daily", "-3"), http.StatusBadRequest},
		"must say what to keep":   {"/schedules", form("operation", "forget"), http.StatusBadRequest},
		"61":                      {"/schedules", form("cron", "61 2 * * *"), http.StatusBadRequest},
	} {
		w := ask(h, "POST", c.path, c.form)
		body := w.Body.String()
		if w.Code != c.status || !strings.Contains(body, why) || !strings.Contains(body, `value="`+c.form.Get("cron")+`"`) || !strings.Contains(body, `<option value="wait" selected>`) {
			t.Errorf("%s: %d, and the form must come back as it was written:\n%s", why, w.Code, body)
		}
	}
	if len(schedules.did) > 0 {
		t.Errorf("did %q", schedules.did)
	}
	change := ask(h, "GET", "/schedules/tidy/change", nil).Body.String()
	for _, want := range []string{`value="@daily"`, `name="keep_daily" value="7"`, `name="keep_within" value="14d"`, `value="1h30m"`, `<option value="forget" selected>`} {
		if !strings.Contains(change, want) {
			t.Errorf("the form lacks what the schedule is: %s\n%s", want, change)
		}
	}
	if w := ask(h, "POST", "/schedules/tidy/delete", url.Values{}); w.Code != http.StatusSeeOther || !slices.Equal(schedules.did, []string{"delete tidy token:night-shift"}) {
		t.Errorf("deleted: %d, did %q", w.Code, schedules.did)
	}
}

// scheduledWorld has schedules of a real scheduler.
func scheduledWorld(t *testing.T) (http.Handler, *scheduler.Scheduler) {
	t.Helper()
	dir := t.TempDir()
	j, err := journal.Open(t.Context(), journal.Options{Dir: dir}) // which makes the tables
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = store.Close(), j.Close() })
	f, now := fullWorld()
	s := scheduler.New(scheduler.Config{Service: f, Store: store, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	return asAdmin(New(Config{Service: f, Schedules: s, Now: func() time.Time { return now }})), s
}

// Whoever opened a form before somebody else changed the schedule undoes nothing of
// that, also when they send it again; what the scheduler does meanwhile is not a change.
//
//fault:lost-update-of-a-schedule two people change one schedule, or make two of one name | the second is refused and told to look again
func TestAChangeOfAScheduleUndoesNobodyElses(t *testing.T) {
	h, s := scheduledWorld(t)
	const path = "/schedules/tidy/change"
	form := url.Values{"name": {"tidy"}, "deployment": {"shop"}, "operation": {"forget"}, "cron": {"@daily"}, "zone": {"UTC"}, "overlap": {"skip"}, "missed": {"skip"}, "keep_daily": {"7"}}
	if w := ask(h, "POST", "/schedules", form); w.Code != http.StatusSeeOther {
		t.Fatalf("made: %d\n%s", w.Code, w.Body)
	}
	opened := func() url.Values {
		v := fields(t, ask(h, "GET", path, nil).Body.String(), path)
		for k, values := range form {
			v[k] = values
		}
		return v
	}
	keeps := func(want int) {
		t.Helper()
		if x, err := s.Get(t.Context(), "tidy"); err != nil || x.Keep.Daily != want || x.Cron != "@daily" {
			t.Errorf("%+v, keeps %+v, %v; want %d days", x, x.Keep, err, want)
		}
	}
	refused := func(what string, w *httptest.ResponseRecorder, status int, says string) string {
		t.Helper()
		if body := w.Body.String(); w.Code != status || !strings.Contains(body, says) {
			t.Errorf("%s: %d\n%s", what, w.Code, body)
		}
		return w.Body.String()
	}

	mine, theirs := opened(), opened()
	theirs.Set("keep_daily", "90")
	if err := s.Pause(t.Context(), "tidy", "token:ben"); err != nil {
		t.Fatal(err)
	}
	if w := ask(h, "POST", path, theirs); w.Code != http.StatusSeeOther {
		t.Fatalf("changed while it was paused: %d\n%s", w.Code, w.Body)
	}
	mine.Set("cron", "@weekly")
	body := refused("an older form", ask(h, "POST", path, mine), http.StatusConflict, "somebody has changed it since")
	keeps(90)
	if again := fields(t, body, path).Get("seen"); again != mine.Get("seen") {
		t.Errorf("the form that comes back is of %q, not %q: sent again, it undoes the other change", again, mine.Get("seen"))
	}
	refused("a new one of that name", ask(h, "POST", "/schedules", form), http.StatusConflict, "there is one of that name")
	keeps(90)
	blind := opened()
	blind.Del("seen")
	refused("nothing was seen", ask(h, "POST", path, blind), http.StatusBadRequest, "open its form first")
	keeps(90)
	if err := s.Delete(t.Context(), "tidy", "token:ben"); err != nil {
		t.Fatal(err)
	}
	refused("one that is deleted", ask(h, "POST", path, mine), http.StatusNotFound, "not found")
	if _, err := s.Get(t.Context(), "tidy"); lockstep.KindOf(err) != lockstep.KindNotFound {
		t.Errorf("one that was deleted is there again: %v", err)
	}
}

// A schedule that deletes backups is run out of turn by whoever types its name, on a
// page that says how to see what would go.
func TestAForgetIsNotRunOnOneClick(t *testing.T) {
	f, now := fullWorld()
	schedules := &fakeSchedules{}
	h := asAdmin(New(Config{Service: f, Schedules: schedules, Now: func() time.Time { return now }}))
	if body := ask(h, "GET", "/schedules/tidy", nil).Body.String(); strings.Contains(body, `action="/schedules/tidy/run"`) || !strings.Contains(body, `href="/schedules/tidy/run"`) {
		t.Errorf("it is offered on one click, or not at all:\n%s", body)
	}
	body := ask(h, "GET", "/schedules/tidy/run", nil).Body.String()
	for _, want := range []string{`data-typed="tidy"`, "lockstep backups forget --deployment shop --keep-daily 7 --keep-within 14d --dry-run", "one of each of the last 7 days"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q:\n%s", want, body)
		}
	}
	for _, typed := range []string{"", "shop"} {
		if w := ask(h, "POST", "/schedules/tidy/run", url.Values{"typed": {typed}}); w.Code != http.StatusBadRequest || len(schedules.did) > 0 {
			t.Errorf("%q was typed: %d, did %q", typed, w.Code, schedules.did)
		}
	}
	if w := ask(h, "POST", "/schedules/tidy/run", url.Values{"typed": {"tidy"}}); w.Code != http.StatusSeeOther || !slices.Equal(schedules.did, []string{"run tidy token:night-shift"}) {
		t.Errorf("%d, did %q", w.Code, schedules.did)
	}
}
