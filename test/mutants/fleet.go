package main

const inFleet = "./fleet"

// fleetMutants are bugs in how workers do what servers are asked for.
var fleetMutants = []mutant{
	{
		Name: "fleet: a busy deployment takes a second run", File: "fleet/workflow.go", Test: inFleet + " -run OneRunAtATime",
		Why: "requests queue in silence, and whoever asks is not told of the conflict",
		Old: "	if d.busy == nil {\n		return nil\n	}\n	with", New: "	if d.busy == nil || true {\n		return nil\n	}\n	with",
	},
	{
		Name: "fleet: an attempt begins a run that is there", File: "fleet/activity.go", Test: inFleet + " -run AttemptBeginsNoSecondRun",
		Why: "a worker that takes over asks for the run once more",
		Old: "	if where == absent {\n", New: "	if where != ended {\n",
	},
	{
		Name: "fleet: a worker settles what it drives", File: "fleet/activity.go", Test: inFleet + " -run OwnRunIsNotSettled",
		Why: "a process whose session was lost for a moment takes its own run over while it drives it",
		Old: "open[i].Abandoned && !r.own(a)", New: "open[i].Abandoned",
	},
	{
		Name: "fleet: an owner may not be away for a moment", File: "fleet/activity.go", Test: inFleet + " -run OwnerIsWaitedForToReturn",
		Why: "a restart of the database interrupts all runs",
		Old: "time.Since(gone) >= wait", New: "time.Since(gone) >= min(wait, goneFor)",
	},
	{
		Name: "fleet: a run is begun however late", File: "fleet/workflow.go", Test: inFleet + " -run Late",
		Why: "a backup locks an hour after whoever asked was told that nobody answers",
		Old: "age > askedWithin", New: "age > 1000*askedWithin",
	},
	{
		Name: "fleet: a run that nobody took is begun later", File: "fleet/workflow.go", Test: inFleet + " -run NoWorker",
		Why: "a backup locks when the next worker starts, though it was refused",
		Old: "	if !opened {\n", New: "	if false {\n",
	},
	{
		Name: "fleet: a run that was begun is forgotten with its worker", File: "fleet/workflow.go", Test: inFleet + " -run NoWorker",
		Why: "what the last worker of a zone locked is unlocked by nobody",
		Old: "	a.Opened = true\n	return answer(", New: "	if true {\n		return nil\n	}\n	return answer(",
	},
	{
		Name: "fleet: what was refused is tried again", File: "fleet/failure.go", Test: inFleet + " -run Answers",
		Why: "a backup that is refused begins minutes later",
		Old: "		NonRetryable: true,\n", New: "		NonRetryable: false,\n",
	},
	{
		Name: "fleet: a worker acts for another key", File: "fleet/activity.go", Test: inFleet + " -run Refusals",
		Why: "two workflows drive one deployment, and lock it by turns",
		Old: "	case infos[i].Key != a.Key:\n", New: "	case false:\n",
	},
	{
		Name: "fleet: a worker that leaves says that its run has ended", File: "fleet/activity.go", Test: inFleet + " -run LeavingWorkerHandsOver",
		Why: "nobody settles what it left",
		Old: "	case <-r.left:\n		return errStops\n	case <-time.After", New: "	case <-r.left:\n		return toTemporal(errStops)\n	case <-time.After",
	},
	{
		Name: "fleet: a run that has ended is in the way of the next one", File: "fleet/service.go", Test: inFleet + " -run Start",
		Why: "whoever was told of the end and begins the next one at once is refused",
		Old: "time.Now().After(until) || !s.ended(ctx, with)", New: "time.Now().After(until) || s.ended(ctx, with) || true",
	},
	{
		Name: "fleet: a run that is there is asked for again", File: "fleet/service.go", Test: inFleet + " -run StartIsIdempotent",
		Why: "a client that asks once more is refused by its own run",
		Old: "	if s.there(ctx, a) {\n		return a.Request.ID, nil // it was asked for before\n	}\n", New: "",
	},
	{
		Name: "fleet: workers without a shared journal", File: "config/fleet.go", Test: "./config -run BadConfigurations",
		Why: "each worker has a journal of its own, and nobody knows what is locked",
		Old: "	if s.Postgres == nil {\n		d.problem(f.Fleet.at", New: "	if false {\n		d.problem(f.Fleet.at",
	},
}
