package ui

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep"
	"lockstep/access"
	"lockstep/internal/units"
)

// ScheduleForm is a schedule as somebody writes it down. All is text, so that what
// was wrong can be shown as it was written.
type ScheduleForm struct {
	New bool
	// Seen is the digest of the schedule that is changed, as it was when the form
	// was opened; "" for a new one.
	Seen                                    string
	Name, Deployment, Operation, Cron, Zone string
	Jitter, Overlap, Missed, Sample, To     string
	Keep                                    []KeepField
	Deployments                             []string // to choose from
	Operations                              []lockstep.ScheduledOperation
	Mistake                                 *lockstep.Message
}

// KeepField is one of the rules that say what a forget keeps.
type KeepField struct{ Name, Label, Value string }

// counts are the rules that are numbers.
func counts(k *lockstep.KeepRules) []struct {
	name, label string
	n           *int
} {
	return []struct {
		name, label string
		n           *int
	}{
		{"last", "newest", &k.Last}, {"hourly", "hours", &k.Hourly}, {"daily", "days", &k.Daily},
		{"weekly", "weeks", &k.Weekly}, {"monthly", "months", &k.Monthly}, {"yearly", "years", &k.Yearly},
	}
}

// keepText says the rules in a line.
func keepText(k *lockstep.KeepRules) string {
	if k == nil {
		return ""
	}
	var words []string
	for _, c := range counts(k) {
		switch {
		case *c.n == 0:
		case c.name == "last":
			words = append(words, fmt.Sprintf("the %d newest", *c.n))
		default:
			words = append(words, fmt.Sprintf("one of each of the last %d %s", *c.n, c.label))
		}
	}
	if k.Within > 0 {
		words = append(words, "all of the last "+spanField(k.Within))
	}
	if len(k.Tags) > 0 {
		words = append(words, "all with tag "+strings.Join(k.Tags, ", "))
	}
	return strings.Join(words, "; ")
}

// spanField is a duration as units.ParseSpan reads it, "" for none.
func spanField(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	}
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if short, ok := strings.CutSuffix(s, zero); ok {
			s = short + zero[:1]
		}
	}
	return s
}

// formOf is a form with what a schedule is now.
func formOf(s lockstep.Schedule) *ScheduleForm {
	f := &ScheduleForm{
		Seen: s.Digest(), Name: s.Name, Deployment: s.Deployment, Operation: string(s.Operation), Cron: s.Cron, Zone: s.Zone,
		Jitter: spanField(s.Jitter), Overlap: string(s.Overlap), Missed: string(s.Missed), To: s.To,
	}
	if s.Sample > 0 {
		f.Sample = strconv.Itoa(s.Sample)
	}
	keep := s.Keep
	if keep == nil {
		keep = &lockstep.KeepRules{}
	}
	for _, c := range counts(keep) {
		value := ""
		if *c.n > 0 {
			value = strconv.Itoa(*c.n)
		}
		f.Keep = append(f.Keep, KeepField{c.name, c.label, value})
	}
	f.Keep = append(f.Keep, KeepField{"within", "all within", spanField(keep.Within)}, KeepField{"tags", "all with tag", strings.Join(keep.Tags, ", ")})
	return f
}

// writtenForm is a form as it was sent.
func writtenForm(r *http.Request) *ScheduleForm {
	value := func(name string) string { return strings.TrimSpace(r.PostFormValue(name)) }
	f := formOf(lockstep.Schedule{})
	f.Name, f.Deployment, f.Operation, f.Cron, f.Zone = value("name"), value("deployment"), value("operation"), value("cron"), value("zone")
	f.Jitter, f.Overlap, f.Missed, f.Seen = value("jitter"), value("overlap"), value("missed"), value("seen")
	f.Sample, f.To = strings.TrimSpace(strings.TrimSuffix(value("sample"), "%")), value("to")
	for i := range f.Keep {
		f.Keep[i].Value = value("keep_" + f.Keep[i].Name)
	}
	return f
}

// schedule is what was written down; whether it can be is for the service to say.
func (f *ScheduleForm) schedule() (lockstep.Schedule, error) {
	s := lockstep.Schedule{
		Name: f.Name, Deployment: f.Deployment, Operation: lockstep.ScheduledOperation(f.Operation), Cron: f.Cron, Zone: f.Zone,
		Overlap: lockstep.Overlap(f.Overlap), Missed: lockstep.Missed(f.Missed), To: f.To,
	}
	var err error
	if f.Sample != "" {
		if s.Sample, err = strconv.Atoi(f.Sample); err != nil {
			return s, usage("set schedule %q: how much is read: %q is not a number of percent", f.Name, f.Sample)
		}
	}
	if f.Jitter != "" {
		if s.Jitter, err = units.ParseSpan(f.Jitter); err != nil {
			return s, usage("set schedule %q: how much later: %w", f.Name, err)
		}
	}
	keep := &lockstep.KeepRules{}
	written := map[string]string{}
	for _, k := range f.Keep {
		written[k.Name] = k.Value
	}
	for _, c := range counts(keep) {
		if v := written[c.name]; v != "" {
			if *c.n, err = strconv.Atoi(v); err != nil || *c.n < 0 {
				return s, usage("set schedule %q: what stays: %q is not a number of %s", f.Name, v, c.label)
			}
		}
	}
	if v := written["within"]; v != "" {
		if keep.Within, err = units.ParseSpan(v); err != nil {
			return s, usage("set schedule %q: what stays: %w", f.Name, err)
		}
	}
	if tags := strings.FieldsFunc(written["tags"], func(r rune) bool { return r == ',' || r == ' ' }); len(tags) > 0 {
		keep.Tags = tags
	}
	if !keep.Zero() {
		s.Keep = keep
	}
	return s, nil
}

// showForm shows a form, with what may be chosen in it.
func (u *Pages) showForm(w http.ResponseWriter, r *http.Request, f *ScheduleForm, mistake error) {
	infos, err := u.cfg.Service.Deployments(r.Context())
	if err != nil {
		u.fail(w, r, err)
		return
	}
	p, _ := access.PrincipalFrom(r.Context())
	for _, info := range infos {
		if p.May(access.SchedulesWrite, info.Name) {
			f.Deployments = append(f.Deployments, info.Name)
		}
	}
	for _, op := range lockstep.ScheduledOperations() {
		if p.MayUse(access.PermissionOfScheduled(op)) {
			f.Operations = append(f.Operations, op)
		}
	}
	// What is chosen stays chosen, though it may be no more: who may not is told.
	if f.Deployment != "" && !slices.Contains(f.Deployments, f.Deployment) {
		f.Deployments = append(f.Deployments, f.Deployment)
	}
	if op := lockstep.ScheduledOperation(f.Operation); op != "" && !slices.Contains(f.Operations, op) {
		f.Operations = append(f.Operations, op)
	}
	status, title := http.StatusOK, "Change schedule "+f.Name
	if f.New {
		title = "New schedule"
	}
	if mistake != nil {
		m := lockstep.MessageOf(mistake)
		f.Mistake, status = &m, statusOf(mistake)
	}
	u.show(w, r, status, "schedule-form", Page{Title: title, Section: "schedules", Body: f})
}

func (u *Pages) newSchedule(w http.ResponseWriter, r *http.Request) {
	if u.cfg.Schedules == nil {
		u.nothingHere(w, r)
		return
	}
	f := formOf(lockstep.Schedule{Zone: "UTC", Deployment: r.URL.Query().Get("deployment")})
	f.New, f.Seen = true, ""
	u.showForm(w, r, f, nil)
}

func (u *Pages) changeScheduleForm(w http.ResponseWriter, r *http.Request) {
	page, err := u.lookAtSchedule(r)
	if err != nil {
		u.fail(w, r, err)
		return
	}
	u.showForm(w, r, formOf(page.Schedule), nil)
}

// makeSchedule makes a new schedule. One of that name is left as it is.
func (u *Pages) makeSchedule(w http.ResponseWriter, r *http.Request) {
	f := writtenForm(r)
	f.New, f.Seen = true, ""
	u.setSchedule(w, r, f)
}

// changeSchedule changes a schedule, if it is still the one that the form was of.
func (u *Pages) changeSchedule(w http.ResponseWriter, r *http.Request) {
	f := writtenForm(r)
	f.Name = r.PathValue("name")
	if f.Seen == "" {
		u.fail(w, r, usage("change schedule %q: open its form first: it must be known what is changed", f.Name))
		return
	}
	u.setSchedule(w, r, f)
}

// setSchedule does what a form says and shows the schedule; or else the form again,
// with what was wrong. It still says what was seen first: who sends it again
// undoes nobody's change either.
func (u *Pages) setSchedule(w http.ResponseWriter, r *http.Request, f *ScheduleForm) {
	if u.cfg.Schedules == nil {
		u.nothingHere(w, r)
		return
	}
	s, err := f.schedule()
	if err == nil {
		err = u.cfg.Schedules.Replace(r.Context(), f.Seen, s, asker(r))
	}
	if err != nil {
		u.showForm(w, r, f, err)
		return
	}
	see(w, r, "/schedules", s.Name)
}
