package main

// mutants are the bugs. A bug that was once really there is the best one.
var mutants = []mutant{
	{
		Name: "unlock only what locked cleanly", File: "next.go",
		Why: "a lock script that failed half-way stays locked",
		Old: "		return r.attempts(s.Of) > 0\n", New: "		return r.ok(s.Of)\n",
	},
	{
		Name: "cancel cuts unlock", File: "next.go",
		Why: "Ctrl-C leaves production locked",
		Old: "		case StageUnlock, StageClean, StageCommit:\n			continue\n", New: "		case StageClean, StageCommit:\n			continue\n",
	},
	{
		Name: "barrier not awaited", File: "next.go",
		Why: "a stage begins while the one before it still runs",
		Old: "		case open && (w.Stage != StageUnlock || len(d.Start) > started || r.firstTries(w)):\n			return d\n",
		New: "		case open && len(d.Start) > started:\n			return d\n",
	},
	{
		Name: "next unlock wave too early", File: "next.go",
		Why: "jobs are unlocked before those that depend on them",
		Old: " || r.firstTries(w)):", New: "):",
	},
	{
		Name: "work after a failed lock", File: "next.go",
		Why: "a backup is taken of a system that stands not still",
		Old: "	case StageCheck, StageRead, StagePlace, StageLock, StageWork:\n		return !r.Broken()\n",
		New: "	case StageCheck, StageRead, StagePlace, StageLock, StageWork:\n		return !r.Canceled\n",
	},
	{
		Name: "lock after cancel", File: "run_apply.go",
		Why: "a canceled run goes on locking",
		Old: "		r.Canceled = true\n		r.broke(e.Time)\n", New: "		r.Canceled = true\n",
	},
	{
		Name: "unknown counts as exit 0", File: "outcome.go",
		Why: "a lost connection is taken for success",
		Old: "func (o Outcome) OK() bool { return o.Kind == OutcomeExit && o.Code == 0 }",
		New: "func (o Outcome) OK() bool { return (o.Kind == OutcomeExit || o.Kind == OutcomeUnknown) && o.Code == 0 }",
	},
	{
		Name: "abandoned counts as exit 0", File: "outcome.go",
		Why: "an instance that vanished is taken for one that is done",
		Old: "func (o Outcome) OK() bool { return o.Kind == OutcomeExit && o.Code == 0 }",
		New: "func (o Outcome) OK() bool { return (o.Kind == OutcomeExit || o.Kind == OutcomeAbandoned) && o.Code == 0 }",
	},
	{
		Name: "every exit counts as exit 0", File: "outcome.go",
		Why: "a script that failed is taken for one that succeeded",
		Old: "func (o Outcome) OK() bool { return o.Kind == OutcomeExit && o.Code == 0 }",
		New: "func (o Outcome) OK() bool { return o.Kind == OutcomeExit }",
	},
	{
		Name: "unknown counts as ended", File: "next.go",
		Why: "unlock begins while a lock script may still run",
		Old: "		if t := r.last(w.Steps[i].ID); t != nil && !t.Outcome.ended() {\n", New: "		if t := r.last(w.Steps[i].ID); t != nil && t.Running() {\n",
	},
	{
		Name: "settled without stopping", File: "next.go",
		Why: "a backup script of a dead run holds its locks for hours",
		Old: "			stop := s.Stage != StageUnlock && s.Stage != StageClean && !restoring\n", New: "			stop := restoring && false\n",
	},
	{
		Name: "an unknown unlock is stopped", File: "next.go",
		Why: "an unlock that was under way is killed by the recovery",
		Old: "			stop := s.Stage != StageUnlock && s.Stage != StageClean && !restoring\n", New: "			stop := s.Stage != StageClean && !restoring\n",
	},
	{
		Name: "work is repeated", File: "run.go",
		Why:  "a restore script runs twice over the same data",
		Old:  "	case StageUnlock, StageClean:\n		return true\n	case StageCheck, StageRead, StagePlace, StageLock, StageWork,",
		New:  "	case StageUnlock, StageClean, StageWork:\n		return true\n	case StageCheck, StageRead, StagePlace, StageLock,",
		Test: ".",
	},
	{
		Name: "success told after a cancel", File: "ending.go",
		Why: "jobs publish a copy that nobody collects",
		Old: "r.Plan.Operation == OperationBackup && !r.Canceled && !r.Recovered", New: "r.Plan.Operation == OperationBackup && !r.Recovered",
	},
	{
		Name: "success told after a failed backup script", File: "ending.go",
		Why: "jobs publish a copy that is not whole",
		Old: "len(r.Failures) == 0 && r.allOK(StageLock) && r.allOK(StageWork)\n", New: "len(r.Failures) == 0 && r.allOK(StageLock)\n",
	},
	{
		Name: "commit before unlock ended", File: "next.go",
		Why: "a failed unlock no longer shows in the manifest",
		Old: "		case open && i+1 < len(r.Plan.Waves) && r.Plan.Waves[i+1].Stage != StageUnlock:\n			return d // retries",
		New: "		case false:\n			return d // retries",
	},
	{
		Name: "verified without verify", File: "ending.go",
		Why: "success is said of bytes that nobody read again",
		Old: "StageWork, StageUnlock, StageCollect, StageVerify} {", New: "StageWork, StageUnlock, StageCollect} {",
	},
	{
		Name: "a failed unlock is forgiven", File: "ending.go",
		Why: "a copy that its job could not finish counts as verified",
		Old: "	if s.Stage != StageUnlock && len(tries) > 0 {\n", New: "	if len(tries) > 0 {\n",
	},
	{
		Name: "effect before intent", File: "engine/engine.go",
		Why: "after a crash nobody knows what was started",
		Old: "		case lockstep.StepStarted, lockstep.RunEnded:\n", New: "		case lockstep.RunEnded:\n",
	},
	{
		Name: "intent not journaled", File: "engine/engine.go",
		Why: "after a crash nobody knows what was started",
		Old: "	if !d.volatile {\n		if err", New: "	if _, intent := facts[0].(lockstep.StepStarted); !d.volatile && !intent {\n		if err",
	},
	{
		Name: "a fired lease is ignored", File: "run_apply.go",
		Why: "a backup of a system that moved on counts as verified",
		Old: "	if d.LeaseFired && !slices.Contains(r.Leases, step.Instance) {\n", New: "	if false {\n",
		Test: ".",
	},
	{
		Name: "recovery goes on locking", File: "run_apply.go",
		Why: "a recovery locks a system that its operator believes released",
		Old: "	r.settled = 0\n	r.broke(at)\n", New: "	r.settled = 0\n",
	},
	{
		Name: "recovery does not unlock", File: "next.go",
		Why: "what a killed orchestrator locked stays locked",
		Old: "	case r.ok(s.ID) || !r.Owed(s):\n", New: "	case r.ok(s.ID) || !r.Owed(s) || r.Recovered:\n",
	},
	{
		Name: "unlock is tried once", File: "next.go",
		Why: "a hiccup of an unlock script leaves production locked",
		Old: "	case len(fresh) >= len(tries), ", New: "	case len(fresh) >= 1, ",
	},
	{
		Name: "a displaced unlock is tried again", File: "next.go",
		Why: "an orchestrator that lost an instance goes on asking it for minutes",
		Old: ", fresh[len(fresh)-1].Displaced:\n", New: ":\n",
	},
	{
		Name: "the next wave does not wait for an unlock nobody knows of", File: "next.go",
		Why: "jobs are unlocked before those that depend on them",
		Old: "		return len(fresh) == 1 && !fresh[0].Outcome.ended()\n", New: "		return len(fresh) == 1 && fresh[0].Running()\n",
	},
	{
		Name: "held is not reported", File: "ending.go",
		Why: "nobody learns that production is locked",
		Old: "			held = append(held, s)\n", New: "			_ = held\n",
	},
	{
		Name: "held by policy is not reported", File: "ending.go",
		Why: "nobody learns that a failed restore was left locked",
		Old: "		owed := r.Owed(s) || r.holds() && r.attempts(s.Of) > 0\n", New: "		owed := r.Owed(s)\n",
	},
	{
		Name: "overrun is ignored", File: "next.go",
		Why: "production stands still for longer than max_lock",
		Old: "	if r.Plan == nil || r.Plan.Policy.MaxLock == 0 ||", New: "	if now := 0; now == 0 || r.Plan == nil || r.Plan.Policy.MaxLock == 0 ||",
	},
	{
		Name: "max_lock ends with the first failure", File: "next.go",
		Why: "one failed script lets another hold the locks for an hour",
		Old: "r.Plan.Operation != OperationBackup || r.Overrun {\n", New: "r.Plan.Operation != OperationBackup || r.Broken() {\n",
	},
	{
		Name: "a recovery adds to a committed backup", File: "next.go",
		Why: "a backup is called verified whose manifest says incomplete",
		Old: "	if r.tally(StageCommit).ok > 0 {\n", New: "	if false {\n",
	},
	{
		Name: "a recovery does not clean again", File: "next.go",
		Why: "the claim of a recovery stays on the instance",
		Old: "	return time.Time{}, s.Stage == StageClean || !r.ok(s.ID) && r.wants(s)\n", New: "	return time.Time{}, !r.ok(s.ID) && r.wants(s)\n",
	},
	{
		Name: "abandoned scripts are not stopped before unlock", File: "task.go",
		Why: "a lock script that comes back late locks what was just unlocked",
		Old: "		t.Stop = r.abandoned(a.Step.Instance)\n", New: "",
		Test: ".",
	},
	{
		Name: "fenced orchestrator stops scripts", File: "engine/engine.go",
		Why: "an orchestrator that lost its run kills an unlock of the one that has it",
		Old: "		cancel(lockstep.ErrLetGo)\n", New: "		cancel(errStopped)\n",
		Test: "./engine -run Fenced",
	},
	{
		Name: "fencing is ignored", File: "engine/engine.go",
		Why: "two orchestrators drive one run",
		Old: "	if d.Conflict != nil && d.Conflict(cause) {\n", New: "	if false {\n",
	},
	{
		Name: "a full disk ends the run at once", File: "engine/engine.go",
		Why: "a full disk leaves production locked",
		Old: "	d.volatile = true\n	var keep", New: "	if true {\n		return cause\n	}\n	var keep",
	},
	{
		Name: "the list of instances is not read again", File: "planner/draft.go",
		Why: "half of a deployment is locked while a deploy changes the other half",
		Old: "	if d.plan.Policy.ConfirmInstances {\n", New: "	if false {\n",
	},
	{
		Name: "a changed list of instances is ignored", File: "app/unchanged.go",
		Why: "a machine that was just made anew is not in the backup",
		Old: "	if len(changes) == 0 {\n", New: "	if changes = nil; true {\n",
		Test: "./app -run DeployInTheMiddle",
	},
	{
		Name: "a displaced run unpacks on", File: "launcher/sh/40-claim.sh",
		Why: "two runs write into one artifact folder",
		Old: "		if ! stop_streams \"$was\"; then\n", New: "		if false; then\n",
		Test: "./launcher -run StreamsOfADisplacedRun",
	},
	{
		Name: "a stream does not look at the claim at its end", File: "launcher/sh/90-main.sh",
		Why: "what was moved while another owned the instance counts",
		Old: "	rc=$?\n	owned || return 96\n", New: "	rc=$?\n",
		Test: "./launcher -run StreamsOfADisplacedRun",
	},
	{
		Name: "a connected orchestrator is displaced", File: "launcher/sh/40-claim.sh",
		Why: "a second orchestrator locks while the first prepares to",
		Old: "	[ \"$1\" != \"$2\" ] && live_session \"$1\"\n", New: "	false\n",
		Test: "./launcher -run ClaimIsRepeatable",
	},
	{
		Name: "an ended run takes what it owes with it", File: "executor/executor.go",
		Why: "without its journal nobody knows that production is locked",
		Old: "	for i, id := range t.Owed {\n", New: "	owed = nil\n	for i, id := range t.Owed[:0] {\n",
		Test: "./app -run HeldWithoutAJournal",
	},
	{
		Name: "a panic is success", File: "engine/engine.go",
		Why: "a defect in the orchestrator looks like a backup",
		Old: "				finished = lockstep.StepFinished{Error: fmt.Sprintf(\"defect in the orchestrator: %v\", p)}\n",
		New: "				finished = lockstep.StepFinished{Outcome: lockstep.Exited(0)}\n",
	},
}
