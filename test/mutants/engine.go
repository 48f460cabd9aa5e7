package main

// engineMutants are bugs in claims, recoveries and what is told of runs.
var engineMutants = []mutant{
	{
		Name: "recovery: the claim comes before its term is durable", File: "app/settle.go",
		Why:  "a recovery that dies in between fences all that come after it",
		Old:  "	if err := r.note(ctx, lockstep.RunRecovering{Owner: a.owner}); err != nil {\n		return err\n	}\n	faultpoint.Hit(\"app.settle.recovering\")\n	unreached := r.reclaim(ctx, s)\n",
		New:  "	unreached := r.reclaim(ctx, s)\n	if err := r.note(ctx, lockstep.RunRecovering{Owner: a.owner}); err != nil {\n		return err\n	}\n",
		Test: "./app -run RecoveriesThatDie",
	},
	{
		Name: "recovery: it asks instances that the run left out", File: "app/resolve.go",
		Why: "a machine that is dead, and that a restore was told to leave alone, holds up its recovery",
		Old: "i.Name() == id })\n}\n\n// resolveMissing", New: "i.Name() == id }) || true\n}\n\n// resolveMissing",
		Test: "./app -run RecoveryLeavesAlone",
	},
	{
		Name: "bosh: a dead agent keeps its group from being set up", File: "source/bosh/silent.go",
		Why: "one dead machine keeps all others from being restored and from being unlocked",
		Old: "if r.options.Exact || !vm.silent() {", New: "if r.options.Exact || true {",
		Test: "./source/bosh -run AnAgentThatDoesNotAnswer",
	},
	{
		Name: "part: whoever answers and refuses is left out", File: "app/partial_restore.go",
		Why: "a lock script that came since is not run on a machine that is alive",
		Old: "	case !errors.Is(err, target.ErrUnreachable):", New: "	case false && !errors.Is(err, target.ErrUnreachable):",
		Test: "./app -run WhatIsKnownOfADead",
	},
	{
		Name: "part: a dead instance of which nobody knows is left out", File: "app/partial_restore.go",
		Why: "what has to be locked is not, and nobody said so",
		Old: "	case len(sights) == 0:\n", New: "	case len(sights) == 0:\n		return true\n	case false:\n",
		Test: "./app -run WhatIsKnownOfADead",
	},
	{
		Name: "part: a newer backup is not asked", File: "app/sightings.go",
		Why: "a lock that another orchestrator has seen is not missed",
		Old: "{m.runs, m.kept}", New: "{m.runs}",
		Test: "./app -run WhatIsKnownOfADead",
	},
	{
		Name: "part: another machine of the name counts", File: "app/sightings.go",
		Why: "what one machine had is taken for what another one has",
		Old: "in.Address != \"\" && s.instance.Address != in.Address", New: "false",
		Test: "./app -run WhatIsKnownOfADead",
	},
	{
		Name: "part: scripts that come along are forgotten", File: "app/sightings.go",
		Why: "a lock that the specification has got since is not missed",
		Old: "		s.instance = today(s.instance, in, m.all.Overrides)\n", New: "",
		Test: "./app -run WhatIsKnownOfADead",
	},
	{
		Name: "part: what is not needed is claimed all the same", File: "planner/narrow.go",
		Why: "a machine that has nothing to do with a restore must stay alive until its end",
		Old: "		unneeded[in.Name()] = o.Needs(in, p) == \"\"\n", New: "		unneeded[in.Name()] = false\n",
		Test: "./planner -run TestGolden/restore_part",
	},
	{
		Name: "part: a silent peer is left out of the plan", File: "planner/narrow.go",
		Why: "the barrier has a hole that nobody asked for",
		Old: "		if why := o.Needs(in, p); why != \"\" {", New: "		if why := o.Needs(in, p); why != \"\" && false {",
		Test: "./planner -run TestGolden/restore_part_silent",
	},
	{
		Name: "part: an artifact of the backup needs nobody", File: "planner/narrow.go",
		Why: "a job that is to be restored is left out with its dead instance",
		Old: "		if !a.Custom && goes ==", New: "		if false && goes ==",
		Test: "./planner -run TestGolden/restore_part_silent",
	},
	{
		Name: "claim: a higher term of the same run is final", File: "app/claim.go",
		Why: "an instance that knows more than the journal is never unlocked",
		Old: "		case taken.Why == \"stale\" &&", New: "		case false && taken.Why == \"stale\" &&",
		Test: "./app -run TermThatTheJournal",
	},
	{
		Name: "contest: the younger one waits too", File: "app/contest.go",
		Why: "two that begin at once wait for each other and both give up",
		Old: "taken.Holder.Run > string(c.r.run.ID)", New: "taken.Holder.Run != string(c.r.run.ID)",
		Test: "./app -run TwoThatBeginAtOnce$",
	},
	{
		Name: "contest: the older one gives up at once", File: "app/contest.go",
		Why: "two that begin at once both give up",
		Old: "	return taken.Why == \"session\" &&", New: "	return false && taken.Why == \"session\" &&",
		Test: "./app -run TwoThatBeginAtOnce$",
	},
	{
		Name: "contest: what was claimed is kept", File: "app/contest.go",
		Why: "the run that gives way keeps the other one out",
		Old: "			_ = l.Release(ctx, launcher.ReleaseBack) //", New: "			_, _ = ctx, l //",
		Test: "./app -run TwoThatBeginAtOnceAndOneWaits",
	},
	{
		Name: "recovery: what the instances say of their run is dropped", File: "app/adopt.go",
		Why: "with the end of the journal lost, locks stay and nobody is told",
		Old: "	for _, u := range told.owed {\n		if begun", New: "	for _, u := range told.owed[:0] {\n		if begun",
		Test: "./app -run JournalThatLostItsEnd",
	},
	{
		Name: "recovery: what works on an instance is dropped", File: "app/adopt.go",
		Why: "a recovery unlocks while a backup script runs",
		Old: "	for _, st := range told.open {\n		if step", New: "	for _, st := range told.open[:0] {\n		if step",
		Test: "./app -run JournalThatLostItsEnd",
	},
	{
		Name: "clean: what cannot be removed keeps the claim", File: "executor/executor.go",
		Why: "cleanup and the next backup are refused for the whole lease",
		Old: "	return f, errors.Join(left, e.letGo(ctx, c, t))\n", New: "	if left != nil {\n		return f, left\n	}\n	return f, e.letGo(ctx, c, t)\n",
		Test: "./app -run WhatCannotBeRemoved",
	},
	{
		Name: "lease: a renewal may take no longer than the time between two", File: "executor/lease.go",
		Why: "every lease of a slow instance fires while it is locked",
		Old: "	ctx, cancel := until(ctx, renewalTimeout(l.exec.cfg.Policy.Lease))\n", New: "	ctx, cancel := until(ctx, l.exec.cfg.Policy.RenewEvery)\n",
		Test: "./executor -run ALeaseOfASlowInstance",
	},
	{
		Name: "audit: another end on the instance", File: "audit/records.go",
		Why: "a journal that lies passes the audit",
		Old: "		if r.Outcome != t.outcome {\n", New: "		if false {\n",
		Test: "./audit -run Records",
	},
}
