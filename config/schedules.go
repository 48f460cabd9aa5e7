package config

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"lockstep"
	"lockstep/schedule"
)

// fileWhen says when something is due.
type fileWhen struct {
	Cron    text    `key:"cron" example:"\"0 3 * * *\"" required:"true" doc:"MINUTE HOUR DAY MONTH WEEKDAY, or @hourly, @daily, @weekly, @monthly, @yearly"`
	Zone    text    `key:"zone" example:"Europe/Berlin" doc:"time zone of cron. The default is UTC"`
	Jitter  span    `key:"jitter" example:"10m" doc:"begin up to this much later, another time for each schedule and slot. The default is none"`
	Overlap overlap `key:"overlap" example:"skip" doc:"while a run of the deployment has not ended: skip, or wait. The default is skip"`
	Missed  missed  `key:"missed" example:"catch-up" doc:"what was due while the orchestrator was down: catch-up does the last one late, skip records all as skipped. The default is catch-up"`
}

type fileSchedule struct {
	Deployment text              `key:"deployment" example:"shop" required:"true" doc:"what it is about"`
	Operation  scheduled         `key:"operation" example:"verify" doc:"backup, check, verify (reads backups again), forget, copy or prune (frees what no backup needs). The default is backup"`
	Keep       section[fileKeep] `key:"keep" example:"{daily: 7, weekly: 5}" doc:"of forget: which backups stay, as with lockstep backups forget"`
	Sample     count             `key:"sample" example:"10" doc:"of verify: how much of all backups is read each time, in percent of their bytes; what was never read again first. The default is the newest backup alone"`
	To         text              `key:"to" example:"offsite" doc:"of copy: the name of one of copies, into which new backups are copied"`
	fileWhen
}

type fileKeep struct {
	Last    count      `key:"last" example:"3" doc:"the newest ones"`
	Hourly  count      `key:"hourly" example:"24" doc:"the newest of each of the last hours that have one"`
	Daily   count      `key:"daily" example:"7" doc:"of the last days"`
	Weekly  count      `key:"weekly" example:"5" doc:"of the last weeks"`
	Monthly count      `key:"monthly" example:"12" doc:"of the last months"`
	Yearly  count      `key:"yearly" example:"3" doc:"of the last years"`
	Within  span       `key:"within" example:"336h" doc:"all that are not older"`
	Tags    list[text] `key:"tags" example:"[before-upgrade]" doc:"all that were marked with one of these by backup --tag"`
}

// when is a cron expression, or a section that says more.
type when struct{ leaf[fileWhen] }

func (w *when) read(d *decoder, n *yaml.Node, c crumb) {
	var f fileWhen
	if n.Kind == yaml.MappingNode || n.Kind == yaml.AliasNode && n.Alias != nil && n.Alias.Kind == yaml.MappingNode {
		d.section(n, &f, c)
	} else {
		f.Cron.read(d, n, c)
	}
	w.put(n, f)
}

func (*when) schema() schema {
	return schema{"anyOf": []schema{{"type": "string"}, sectionSchema(&fileWhen{})}}
}

// choice reads one of a few words.
func choice[T ~string](d *decoder, n *yaml.Node, c crumb, choices []T, put func(T)) {
	words := make([]string, len(choices))
	for i, one := range choices {
		words[i] = string(one)
	}
	want := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	value, at := d.scalar(n, c, want)
	if at == nil {
		return
	}
	if !slices.Contains(choices, T(value)) {
		d.wrong(at, c, want)
		return
	}
	put(T(value))
}

type overlap struct{ leaf[lockstep.Overlap] }

var overlaps = []lockstep.Overlap{lockstep.OverlapSkip, lockstep.OverlapWait}

func (o *overlap) read(d *decoder, n *yaml.Node, c crumb) {
	choice(d, n, c, overlaps, func(v lockstep.Overlap) { o.put(n, v) })
}

func (*overlap) schema() schema { return schema{"enum": overlaps} }

type missed struct{ leaf[lockstep.Missed] }

var misses = []lockstep.Missed{lockstep.MissedCatchUp, lockstep.MissedSkip}

func (m *missed) read(d *decoder, n *yaml.Node, c crumb) {
	choice(d, n, c, misses, func(v lockstep.Missed) { m.put(n, v) })
}

func (*missed) schema() schema { return schema{"enum": misses} }

type scheduled struct {
	leaf[lockstep.ScheduledOperation]
}

func (s *scheduled) read(d *decoder, n *yaml.Node, c crumb) {
	choice(d, n, c, lockstep.ScheduledOperations(), func(v lockstep.ScheduledOperation) { s.put(n, v) })
}

func (*scheduled) schema() schema { return schema{"enum": lockstep.ScheduledOperations()} }

// schedules are those of deployments, under their names, and those of the
// section of their own; sorted by name.
func (f *fileConfig) schedules(d *decoder) []lockstep.Schedule {
	var list []lockstep.Schedule
	names := seen{d: d, what: "schedule"}
	deployments, copies := map[string]bool{}, []string{}
	for _, r := range f.Copies.value {
		copies = append(copies, r.name.value)
	}
	for _, r := range f.Deployments.value {
		deployments[r.name.value] = true
		if r.value.Schedule.set {
			names.add(r.name)
			list = append(list, r.value.Schedule.value.build(d, lockstep.Schedule{
				Name: r.name.value, Deployment: r.name.value, Operation: lockstep.ScheduledBackup,
			}))
		}
	}
	for _, r := range f.Schedules.value {
		d.name("schedule", r.name)
		names.add(r.name)
		x := r.value
		if x.Deployment.set && !deployments[x.Deployment.value] {
			d.problem(x.Deployment.at, "schedule %q is about deployment %q, which is not in this file", r.name.value, x.Deployment.value)
		}
		if x.To.set && !slices.Contains(copies, x.To.value) {
			d.problem(x.To.at, "schedule %q copies to %q, which is not one of copies in this file", r.name.value, x.To.value)
		}
		if x.Operation.value == lockstep.ScheduledPrune && !f.Repository.value.Restic.set {
			d.problem(x.Operation.at, "schedule %q prunes, and repository is of plain folders, where deleting a backup frees its space; leave the schedule out, or use repository.restic", r.name.value)
		}
		list = append(list, x.build(d, r.name))
	}
	slices.SortFunc(list, func(a, b lockstep.Schedule) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (x fileSchedule) build(d *decoder, name text) lockstep.Schedule {
	s := lockstep.Schedule{
		Name: name.value, Deployment: x.Deployment.value, Operation: x.Operation.or(lockstep.ScheduledBackup), Sample: x.Sample.value, To: x.To.value,
	}
	switch {
	case s.Operation == lockstep.ScheduledForget:
		s.Keep = x.Keep.value.build(d)
		if s.Keep.Zero() {
			d.problem(name.at, "schedule %q forgets backups and does not say which to keep; write for example: keep: {daily: 7, weekly: 5}", name.value)
		}
	case x.Keep.set:
		d.problem(x.Keep.at, "keep is for schedules of forget; write for example: operation: forget")
	}
	switch {
	case x.Sample.set && s.Operation != lockstep.ScheduledVerify:
		d.problem(x.Sample.at, "sample is for schedules of verify; write for example: operation: verify")
	case x.Sample.set && (s.Sample < 1 || s.Sample > 100):
		d.problem(x.Sample.at, "sample is not from 1 to 100 percent; write for example: 10")
	case x.To.set && s.Operation != lockstep.ScheduledCopy:
		d.problem(x.To.at, "to is for schedules of copy; write for example: operation: copy")
	case s.Operation == lockstep.ScheduledCopy && !x.To.set:
		d.problem(name.at, "schedule %q copies backups and does not say where to; write for example: to: offsite, one of copies", name.value)
	}
	return x.fileWhen.build(d, s)
}

func (k fileKeep) build(d *decoder) *lockstep.KeepRules {
	var tags []string
	for _, t := range k.Tags.value {
		if err := lockstep.CheckTag(t.value); err != nil {
			d.problem(t.at, "%v; write for example: before-upgrade", err)
		}
		tags = append(tags, t.value)
	}
	return &lockstep.KeepRules{
		Tags: tags,
		Last: k.Last.value, Hourly: k.Hourly.value, Daily: k.Daily.value, Weekly: k.Weekly.value,
		Monthly: k.Monthly.value, Yearly: k.Yearly.value, Within: k.Within.value,
	}
}

// longestJitter bounds how much later than its slot something begins.
const longestJitter = 24 * time.Hour

// build completes a schedule.
func (w fileWhen) build(d *decoder, s lockstep.Schedule) lockstep.Schedule {
	s.Cron, s.Zone, s.Jitter = w.Cron.value, w.Zone.or("UTC"), w.Jitter.value
	s.Overlap, s.Missed = w.Overlap.or(lockstep.OverlapSkip), w.Missed.or(lockstep.MissedCatchUp)
	s.Origin = lockstep.ScheduleOfConfig
	if w.Cron.set {
		if _, err := schedule.Parse(s.Cron, "UTC"); err != nil {
			d.problem(w.Cron.at, "%v; write for example: \"0 3 * * *\", every day at three", err)
		}
	}
	if _, err := schedule.Zone(s.Zone); err != nil {
		d.problem(w.Zone.at, "%v", err)
	}
	if s.Jitter > longestJitter {
		d.problem(w.Jitter.at, "jitter is longer than %s", durationText(longestJitter))
	}
	return s
}

// showWhen writes the keys of a schedule that say when.
func showWhen(m *shown, s lockstep.Schedule) *shown {
	return m.add("cron", s.Cron).add("zone", s.Zone).addSet("jitter", s.Jitter).
		add("overlap", string(s.Overlap)).add("missed", string(s.Missed))
}

func showSchedule(s lockstep.Schedule) *shown {
	m := mapping().add("deployment", s.Deployment).add("operation", string(s.Operation))
	if s.Keep != nil {
		m.add("keep", showKeep(*s.Keep))
	}
	m.addSet("sample", s.Sample).addSet("to", s.To)
	return showWhen(m, s)
}

func showKeep(k lockstep.KeepRules) *shown {
	return mapping().addSet("last", k.Last).addSet("hourly", k.Hourly).addSet("daily", k.Daily).
		addSet("weekly", k.Weekly).addSet("monthly", k.Monthly).addSet("yearly", k.Yearly).addSet("within", k.Within).addSet("tags", k.Tags)
}
