package main

// kubernetesMutants are bugs in how pods are reached and found.
var kubernetesMutants = []mutant{
	{
		Name: "kubernetes: what the API calls a success is one", File: "target/kubernetes/target.go", Test: "./target/kubernetes -run TestKilled",
		Why: "a kubelet that is killed in the middle of a backup script makes a good backup",
		Old: "	err = way.told(err)\n	if err == nil || strings", New: "	err = way.told(err)\n	if err == nil {\n		return target.Exit{}, nil\n	}\n	if strings",
	},
	{
		Name: "kubernetes: an input that broke off has ended", File: "target/kubernetes/stdin.go", Test: "./target/kubernetes -run BrokenInput",
		Why: "half of an archive is unpacked and called a whole one",
		Old: "	if i.ctx.Err() != nil {\n		<-i.ended\n		return 0, errOver\n	}\n	return n, err\n", New: "	return n, err\n",
	},
	{
		Name: "kubernetes: a session that may have begun is begun again", File: "target/kubernetes/way.go", Test: "./target/kubernetes -run OtherProtocol",
		Why: "a script runs twice",
		Old: "IsUpgradeFailure(err) && !otherProtocol(err)\n", New: "IsUpgradeFailure(err)\n",
	},
	{
		Name: "kubernetes: an answer has no end", File: "target/kubernetes/bounds.go", Test: "./target/kubernetes -run EndlessAnswer",
		Why: "whoever answers as the API takes all memory",
		Old: "	if l.left <= 0 {\n", New: "	if l.left <= 0 {\n		l.left = maxAnswer\n	}\n	if l.left < 0 {\n",
	},
	{
		Name: "kubernetes: pods have no end", File: "target/kubernetes/cluster.go", Test: "./target/kubernetes -run TestLists",
		Why: "a selector that is too wide takes all memory",
		Old: "len(pods) > MaxPods {\n", New: "len(pods) > MaxPods && false {\n",
	},
	{
		Name: "kubernetes: a volume that goes with the pod is enough", File: "source/kubernetes/lasting.go", Test: "./source/kubernetes -run Lasting",
		Why: "a pod that is rescheduled while its data is locked stays locked",
		Old: "	if stays := stayingVolume(f.pod); stays != \"\" {\n", New: "	if stays := stayingVolume(f.pod); stays != \"\" && false {\n",
	},
	{
		Name: "kubernetes: two pods may share a volume", File: "source/kubernetes/lasting.go", Test: "./source/kubernetes -run Lasting",
		Why: "two instances take one another's claim for their own",
		Old: "			case taken:\n", New: "			case taken && false:\n",
	},
	{
		Name: "kubernetes: two slots are in one pod", File: "source/kubernetes/source.go", Test: "./source/kubernetes -run Replaced",
		Why: "one pod is locked twice, and the other not at all",
		Old: " || s.taken[string(f.pod.UID)] {", New: " {",
	},
	{
		Name: "kubernetes: an ordinal without a pod is left out", File: "source/kubernetes/find.go", Test: "./source/kubernetes -run Find",
		Why: "a backup without the database is a good one",
		Old: "		out = append(out, f)\n	}\n	return out\n}\n\n// belongs", New: "		if f.pod != nil {\n			out = append(out, f)\n		}\n	}\n	return out\n}\n\n// belongs",
	},
	{
		Name: "kubernetes: whose labels match is a pod of the set", File: "source/kubernetes/find.go", Test: "./source/kubernetes -run Find",
		Why: "a pod of somebody else's is locked and backed up",
		Old: "p.Name == f.name && belongs(p, \"StatefulSet\", set.Name) {", New: "p.Name == f.name {",
	},
	{
		Name: "kubernetes: a text behind a session says that nothing has run", File: "target/kubernetes/refusal.go", Test: "./target/kubernetes -run HeardAndDenied",
		Why: "a script that runs is begun a second time",
		Old: "	if err == nil || w.spoke.Load() {\n", New: "	if err == nil {\n",
	},
	{
		Name: "kubernetes: whoever answers last is nobody", File: "target/kubernetes/refusal.go", Test: "./target/kubernetes -run NobodyAnswers",
		Why: "a command that may run is taken for one that never began",
		Old: "error sending request: [A-Z][a-z]+ \"[^\" ]*\": (dial tcp .*)`)", New: "error sending request: [A-Z][a-z]+ \"[^\" ]*\": (.*)`)",
	},
	{
		Name: "kubernetes: a dead kubelet answers", File: "target/kubernetes/target.go", Test: "./target/kubernetes -run NobodyAnswers",
		Why: "one dead node keeps everybody from restoring what is elsewhere",
		Old: "	if away {\n		err =", New: "	if away && false {\n		err =",
	},
	{
		Name: "kubernetes: an index of a pod's own is any", File: "source/kubernetes/source.go", Test: "./source/kubernetes -run ReplacedByIndex",
		Why: "one pod is unlocked with what another one holds",
		Old: "slot.fixed && f.index != slot.index || ", New: "",
	},
	{
		Name: "kubernetes: who does not answer is not asked again", File: "executor/anew.go", Test: "./executor -run CollectWhileNobodyAnswers",
		Why: "a kubelet that restarts in the middle of a transfer loses the backup",
		Old: "	case !errors.Is(err, target.ErrUnreachable):\n", New: "	case true:\n",
	},
	{
		Name: "kubernetes: who does not answer is asked for ever", File: "executor/anew.go", Test: "./executor -run CollectWhereNobodyAnswersAnyMore",
		Why: "a backup whose node is gone for good has no end",
		Old: "	if time.Since(a.silent) >= a.patience {\n", New: "	if time.Since(a.silent) >= a.patience && false {\n",
	},
	{
		Name: "kubernetes: what is refused once is refused for good", File: "target/kubernetes/target.go", Test: "./target/kubernetes -run ForbiddenForNow",
		Why: "an API server that restarts has scripts given up that run",
		Old: "(down(err) || t.heard.Load() && unready(err))", New: "down(err)",
	},
	{
		Name: "kubernetes: who was never let in is let in soon", File: "target/kubernetes/target.go", Test: "./target/kubernetes -run ForbiddenForNow",
		Why: "a right that is missing is waited for, and not told",
		Old: "t.heard.Load() && unready(err)", New: "unready(err)",
	},
	{
		Name: "kubernetes: a pod that has failed comes back", File: "target/kubernetes/target.go", Test: "./target/kubernetes -run TestSuccessor",
		Why: "a backup waits for an evicted pod until its script's time is over, and holds all locks",
		Old: "!podGone(err) && !stopped(err.Error()) {", New: "!podGone(err) {",
	},
	{
		Name: "kubernetes: who does not answer and who does not tell are one", File: "app/unfound.go", Test: "./app -run PartThatCannotBeFound",
		Why: "a missing right has what must be locked left out",
		Old: "by == \"\" || !nobodyAnswers(why)", New: "by == \"\"",
	},
	{
		Name: "kubernetes: one that does not answer speaks for all", File: "app/unfound.go", Test: "./app -run PartThatCannotBeFound",
		Why: "a missing right has what must be locked left out",
		Old: "return !nobodyAnswers(one)", New: "return nobodyAnswers(one)",
	},
	{
		Name: "kubernetes: a part that cannot be found has nothing", File: "app/unfound.go", Test: "./app -run PartThatCannotBeFound",
		Why: "what has to be locked beside a restore goes on writing",
		Old: "	for _, in := range known {\n", New: "	for _, in := range known[:0] {\n",
	},
	{
		Name: "kubernetes: the restore of a part tells what the deployment has", File: "app/sightings.go", Test: "./app -run PartThatCannotBeFound",
		Why: "what was left out once is never looked for again",
		Old: "whole: !run.Opened.Request.Partial(),", New: "whole: true,",
	},
	{
		Name: "kubernetes: an end that nobody has seen is told", File: "source/kubernetes/news.go", Test: "./source/kubernetes -run TestTeller",
		Why: "a pod is said to be locked or not, and nobody knows",
		Old: "s.Script == nil || !d.Outcome.Final()", New: "s.Script == nil",
	},
	{
		Name: "kubernetes: who may not tell goes on", File: "source/kubernetes/tell.go", Test: "./source/kubernetes -run TestTeller_Forbidden",
		Why: "every step of every run is a refusal in the cluster's audit log",
		Old: "lockstep.KindOf(err) == lockstep.KindRefused || r.failed >= failures", New: "r.failed >= failures",
	},
	{
		Name: "kubernetes: a run waits for its pods' events", File: "source/kubernetes/tell.go", Test: "./source/kubernetes -run TestTeller_NobodyAnswers -timeout 20s",
		Why: "an API server that hangs holds what is locked",
		Old: "	case t.events <- e:\n	default:\n", New: "	case t.events <- e:\n",
	},
	{
		Name: "kubernetes: who ends waits until all is told", File: "source/kubernetes/tell.go", Test: "./source/kubernetes -run TestTeller_NobodyAnswers -timeout 20s",
		Why: "a command whose cluster hangs does not end",
		Old: "	case <-ctx.Done():\n		t.stop()\n", New: "	case <-ctx.Done():\n",
	},
	{
		Name: "kubernetes: a sidecar is made before it is in the journal", File: "source/kubernetes/sidecar.go", Test: "./source/kubernetes -run SidecarsAreTracked",
		Why: "an orchestrator that is killed leaves a sidecar of which nobody knows",
		Old: "		if err := track.Acquiring(ctx, x); err != nil {\n", New: "		if err := error(nil); err != nil {\n",
	},
	{
		Name: "kubernetes: sidecars stay", File: "source/kubernetes/source.go", Test: "./source/kubernetes -run SidecarsAreTracked",
		Why: "a shell with the rights of production's containers runs on after each run",
		Old: "	gone, err := endAll(ctx, c, slots.where, slices.Collect(maps.Values(sidecars)))\n", New: "	gone, err := slices.Collect(maps.Values(sidecars)), error(nil)\n	_ = slots\n",
	},
	{
		Name: "kubernetes: sidecars of other clusters", File: "source/kubernetes/sidecar.go", Test: "./source/kubernetes -run Remove",
		Why: "a sidecar is said to be gone that runs in another cluster",
		Old: "		if x.Kind == lockstep.ResourceSidecar && x.Reach == s.sidecarReach(c) && sidecar.IsName(x.Name) {\n", New: "		if x.Kind == lockstep.ResourceSidecar && sidecar.IsName(x.Name) {\n",
	},
	{
		Name: "kubernetes: a subPath is in a sidecar", File: "source/kubernetes/lasting.go", Test: "./source/kubernetes -run UnfitForASidecar",
		Why: "a claim lies in the sidecar's own files, and is gone with it while jobs are locked",
		Old: "	if m := mountOf(f, folder); m.SubPath != \"\" {\n", New: "	if m := mountOf(f, folder); m.SubPath != \"\" && false {\n",
	},
	{
		Name: "kubernetes: nobody waits for the end of a sidecar", File: "target/kubernetes/target.go", Test: "./target/kubernetes -run SidecarEnds",
		Why: "a run waits for a command that has ended with its container",
		Old: "		go t.beside.watch(watching, at, stop)\n", New: "		_ = watching\n",
	},
	{
		Name: "kubernetes: a sidecar that has ended is used again", File: "target/kubernetes/sidecar.go", Test: "./target/kubernetes -run SidecarEnds",
		Why: "a container that restarted while it was locked is not unlocked",
		Old: "	if b.made != \"\" && b.at == at && b.made != gone {\n", New: "	if b.made != \"\" && b.at == at {\n",
	},
	{
		Name: "kubernetes: sidecars whose names begin alike", File: "target/kubernetes/sidecar.go", Test: "./target/kubernetes -run SidecarOfAnother",
		Why: "another run's sidecar ends under its scripts",
		Old: "		if strings.HasPrefix(s.Name, name+\"-\") && s.State.Running != nil {\n", New: "		if strings.HasPrefix(s.Name, name) && s.State.Running != nil {\n",
	},
	{
		Name: "kubernetes: a needed sidecar goes", File: "source/kubernetes/source.go", Test: "./source/kubernetes -run ANeededSidecarStays",
		Why: "a lease that would unlock is ended with the sidecar that it runs in",
		Old: "	maps.DeleteFunc(sidecars, func(slot string, _ lockstep.Resource) bool { return needed[slot] })\n", New: "	_ = needed\n",
	},
	{
		Name: "containers: a recovery removes what is needed", File: "source/sidecar.go", Test: "./source/kubernetes -run ANeededSidecarStays",
		Why: "a lease that would unlock is ended with the sidecar that it runs in",
		Old: "		if at >= 0 && sidecar.Needed(ctx, now.Instances[at].Target, now.Locations.Claim) {\n", New: "		if at >= 0 && now.Locations.Claim == \"\" && sidecar.Needed(ctx, now.Instances[at].Target, \"\") {\n",
	},
}
