package main

const (
	inSchedule  = "./schedule -rapid.nofailfile"
	inScheduler = "./scheduler"
	inOutbox    = "./outbox"
	inEgress    = "./internal/egress"
)

// inLead is the room that says who of several servers works through these.
const inLead = "./lead"

// backgroundMutants are bugs in what a server does by itself, and in whom it
// tells.
var backgroundMutants = []mutant{
	{
		Name: "schedule: hourly is not hourly when clocks are set", File: "schedule/times.go", Test: inSchedule,
		Why: "an hour without a backup, or a time that is done twice",
		Old: "	if t.cron.hours == everyHour {\n", New: "	if t.cron.hours == 0 {\n",
	},
	{
		Name: "schedule: a time that is shown twice, the second time", File: "schedule/times.go", Test: inSchedule,
		Why: "a backup comes an hour late, once a year",
		Old: "	case earlier.Before(start):\n", New: "	case earlier.Before(start) && false:\n",
	},
	{
		Name: "schedule: either day is both days", File: "schedule/cron.go", Test: inSchedule,
		Why: "a schedule of Fridays and the 13th is one of Fridays the 13th",
		Old: "		return ofMonth || ofWeek\n", New: "		return ofMonth && ofWeek\n",
	},
	{
		Name: "schedule: a missed slot is forgotten", File: "schedule/decide.go", Test: inSchedule,
		Why: "a slot is neither done nor recorded",
		Old: "		if !slot.IsZero() {\n			d.skip(slot, r.earlier(s, d, slot, now))\n		}\n", New: "",
	},
	{
		Name: "schedule: all missed slots are caught up with", File: "schedule/decide.go", Test: inSchedule,
		Why: "after a week of downtime seven backups run",
		Old: "		slot = next\n	}\n	if !slot.IsZero() {\n", New: "		slot = next\n		break\n	}\n	if !slot.IsZero() {\n",
	},
	{
		Name: "schedule: a waiting slot is missed", File: "schedule/decide.go", Test: inSchedule,
		Why: "what waited for a run is never done",
		Old: "	return !slot.Equal(d.Waiting) && now", New: "	return now",
	},
	{
		Name: "schedule: a clock set back is time again", File: "schedule/decide.go", Test: inSchedule,
		Why: "a day's backups run twice when the clock is set",
		Old: "	if s.Decided.After(now.Add(setBackBy)) {\n", New: "	if s.Decided.After(now) {\n",
	},
	{
		Name: "lead: who was cut off leads on", File: "lead/lead.go", Test: inLead,
		Why: "two servers work through schedules and notices for ever",
		Old: "		if err == nil && leader != l.cfg.Owner {\n", New: "		if err == nil && leader != l.cfg.Owner && false {\n",
	},
	{
		Name: "lead: nobody takes over", File: "lead/lead.go", Test: inLead,
		Why: "when the leader dies, no schedule runs and nobody is told",
		Old: "		if l.owns() || l.took(ctx) {\n", New: "		if l.owns() {\n",
	},
	{
		Name: "lead: given back while it works", File: "lead/lead.go", Test: inLead,
		Why: "the next leader begins beside what the last one still does",
		Old: "	<-done\n	l.letGo()\n", New: "	l.letGo()\n	<-done\n",
	},
	{
		Name: "lead: who stops takes it again at once", File: "lead/lead.go", Test: inLead,
		Why: "while a server waits for its runs to unlock, no other one runs schedules",
		Old: "	l.yields = true\n", New: "",
	},
	{
		Name: "lead: works without the key", File: "lead/lead.go", Test: inLead,
		Why: "every server runs every schedule",
		Old: "		if l.owns() || l.took(ctx) {\n			l.work(ctx)\n		}\n", New: "		if !l.owns() && !l.took(ctx) {\n			l.release = func() {}\n		}\n		l.work(ctx)\n",
	},
	{
		Name: "serve: a second server of a state folder follows", File: "serve/background.go", Test: "./serve -run TestASecondServer",
		Why: "what the first one keeps in memory alone is not what the second one answers",
		Old: "if err != nil && !(shared && errors.Is(err, journal.ErrOwned)) {", New: "if err != nil && !errors.Is(err, journal.ErrOwned) {",
	},
	{
		Name: "serve: a server that stops keeps the lead", File: "serve/background.go", Test: "./serve -run TestASecondServer",
		Why: "while it waits for its runs to unlock, nothing that is scheduled begins",
		Old: "	b.hold()\n	b.lead.Yield()\n", New: "	b.hold()\n",
	},
	{
		Name: "scheduler: a follower does the leader's work", File: "scheduler/work.go", Test: inScheduler,
		Why: "what was asked of one server is done by two",
		Old: "	ctx := s.work\n	if ctx == nil || ctx.Err() != nil || s.working", New: "	ctx := s.work\n	if ctx == nil {\n		ctx = context.Background()\n	}\n	if s.working",
	},
	{
		Name: "state: two decide on one slot", File: "state/sqlstore/schedules.go", Test: "./state/sqlite -run TestConformance",
		Why: "a server that was cut off takes back what the next leader has decided",
		Old: "	if err == nil && version != sch.Version {\n", New: "	if err == nil && version > sch.Version+1<<40 {\n",
	},
	{
		Name: "state: a slot is claimed twice", File: "state/sqlstore/schedules.go", Test: "./state/sqlite -run TestConformance",
		Why: "a server that was cut off begins what the next leader has begun",
		Old: "		if n > 0 {\n			return 0, state.ErrExists\n		}\n", New: "		_ = n\n",
	},
	{
		Name: "server: a run is settled under a driver that is back", File: "server/left.go", Test: "./server -run TestLeft",
		Why: "after each restart of the database all runs are taken from those who drive them",
		Old: "now.Sub(first) >= leftFor &&", New: "now.Sub(first) >= 0 &&",
	},
	{
		Name: "app: a chosen id begins twice, on two servers", File: "app/chosen.go", Test: "./app -run TestTwoServersBegin",
		Why: "a request that a balancer sent to two servers backs up twice, or is told that it failed",
		Old: "	if there, err := a.begun(ctx, req); there || err != nil {\n		release()\n		return req.ID, err\n	}\n", New: "",
	},
	{
		Name: "app: who asks for the same run is told of another one", File: "app/chosen.go", Test: "./app -run TestAChosenIDThatIsAbout",
		Why: "of two that asked for one run, one is told that it was refused",
		Old: "time.Since(since) > openedWithin ||", New: "time.Since(since) > 0 ||",
	},
	{
		Name: "scheduler: begun before it is claimed", File: "scheduler/scheduler.go", Test: inScheduler,
		Why: "a crash in between runs a slot twice",
		Old: "	kept, err := s.cfg.Store.PutSchedule(ctx, x, append(records, claim)...)\n",
		New: "	if op, ok := operations[claim.Operation]; ok {\n		_, _ = s.cfg.Service.Start(ctx, lockstep.Request{ID: claim.Run, Operation: op, Deployment: claim.Deployment})\n	}\n	kept, err := s.cfg.Store.PutSchedule(ctx, x, append(records, claim)...)\n",
	},
	{
		Name: "scheduler: claims of the dead are left", File: "scheduler/scheduler.go", Test: inScheduler,
		Why: "a crash loses a slot",
		Old: "	s.settleClaimed(ctx)\n", New: "",
	},
	{
		Name: "scheduler: a claim does not name its run", File: "scheduler/begin.go", Test: inScheduler,
		Why: "an answer that was lost, or a crash, begins a second run",
		Old: "lockstep.Request{ID: r.Run, Operation: op,", New: "lockstep.Request{Operation: op,",
	},
	{
		Name: "scheduler: resuming catches up", File: "scheduler/schedules.go", Test: inScheduler,
		Why: "whoever resumes a schedule locks production at once",
		Old: "		records := undecided(*x, now)\n		if now.After(x.Decided) {\n			x.Decided = now.UTC()\n		}\n", New: "		var records []lockstep.SlotRecord\n		_ = now\n",
	},
	{
		Name: "outbox: the cursor before the notice", File: "outbox/slots.go", Test: inOutbox,
		Why: "a crash loses a notice",
		Old: "		for _, c := range changes {\n			if err := o.tellOfSlot(ctx, c); err != nil {\n				return err\n			}\n		}\n		after = changes[len(changes)-1].Change\n		if err := o.setSetting(ctx, slotsName, after); err != nil {\n			return err\n		}\n",
		New: "		after = changes[len(changes)-1].Change\n		if err := o.setSetting(ctx, slotsName, after); err != nil {\n			return err\n		}\n		for _, c := range changes {\n			if err := o.tellOfSlot(ctx, c); err != nil {\n				return err\n			}\n		}\n",
	},
	{
		Name: "outbox: what a script printed is told", File: "outbox/text.go", Test: inOutbox,
		Why: "a password that a script printed is in a chat room",
		Old: "	n.Text = cause(run)\n", New: "	n.Text = e.Error\n",
	},
	{
		Name: "outbox: held is said once", File: "outbox/held.go", Test: inOutbox,
		Why: "production is locked and the one message was overlooked",
		Old: "	repetition := max(0, int(now.Sub(a.First)/o.cfg.RemindEvery))\n", New: "	repetition := 0\n",
	},
	{
		Name: "outbox: a run at work is held", File: "outbox/held.go", Test: inOutbox,
		Why: "each backup is an alarm, and nobody looks at alarms any more",
		Old: "return r.ID == h.Run && !r.Abandoned })\n", New: "return false })\n",
	},
	{
		Name: "outbox: what a start settles is held", File: "outbox/held.go", Test: inOutbox,
		Why: "each restart wakes somebody up for what is unlocked a moment later",
		Old: "; !there && !now.Before(o.heldFrom) {\n", New: "; !there {\n",
	},
	{
		Name: "outbox: who unlocks has unlocked", File: "outbox/held.go", Test: inOutbox,
		Why: "production is said to be released while a recovery still tries to unlock it",
		Old: "		if locked[key] && len(held[key]) == 0 {\n", New: "		if false {\n",
	},
	{
		Name: "outbox: never is not overdue", File: "outbox/overdue.go", Test: inOutbox,
		Why: "a deployment that never had a backup is fine",
		Old: "			from = since[deployment]\n", New: "			_, from = since, now\n",
	},
	{
		Name: "outbox: a receiver that is down is hammered", File: "outbox/deliver.go", Test: inOutbox,
		Why: "thousands of requests to a server that comes up",
		Old: "	p := firstRetry\n	for range failures - 1 {\n", New: "	p := firstRetry\n	for range 0 * failures {\n",
	},
	{
		Name: "egress: names are judged, not addresses", File: "internal/egress/egress.go", Test: inEgress,
		Why: "a webhook reads the metadata service of the cloud",
		Old: "	return g.Check(ap.Addr())\n", New: "	_ = ap\n	return nil\n",
	},
	{
		Name: "egress: an address in another's clothes", File: "internal/egress/egress.go", Test: inEgress,
		Why: "::ffff:169.254.169.254 is let through",
		Old: "	addr = addr.Unmap().WithZone(\"\")\n", New: "",
	},
	{
		Name: "egress: redirects are followed", File: "internal/egress/egress.go", Test: inEgress,
		Why: "a receiver sends notices elsewhere",
		Old: "return http.ErrUseLastResponse }", New: "return nil }",
	},
	{
		Name: "scheduler: a stale claim is believed", File: "scheduler/work.go", Test: "./scheduler -run PruneOnASchedule",
		Why: "a prune, a copy or a verify is done twice for one slot",
		Old: "		if !s.stillClaimed(ctx, r.N) {\n", New: "		if false && !s.stillClaimed(ctx, r.N) {\n",
	},
}
