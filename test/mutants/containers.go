package main

// containerMutants are bugs in how containers are reached and found, and in
// scripts that a run brings along.
var containerMutants = []mutant{
	{
		Name: "containers: one trailer is enough", File: "target/inband/inband.go", Test: "./target/inband -run StreamsThatDisagree",
		Why: "an exit is believed before all output has come",
		Old: "	c.left.Store(2)\n", New: "	c.left.Store(1)\n",
	},
	{
		Name: "containers: two statuses are as good as one", File: "target/inband/inband.go", Test: "./target/inband -run StreamsThatDisagree",
		Why: "a garbled end is taken for an exit",
		Old: "		return target.Exit{Code: c.out.code}, c.out.code == c.errs.code\n", New: "		return target.Exit{Code: c.out.code}, true\n",
	},
	{
		Name: "containers: the marker stands in a list of processes", File: "target/inband/inband.go", Test: "./target/inband -run ListOfProcesses",
		Why: "a script that runs ps ends the run",
		Old: "\"sh\", first, second, ascii(command)}", New: "\"sh\", first + second, \"\", ascii(command)}",
	},
	{
		Name: "containers: what comes after the trailer is passed on", File: "target/inband/stream.go", Test: "./target/inband -run Stream",
		Why: "the output of a process that was left behind is in an artifact",
		Old: "	s.over, s.code = true, code\n", New: "	s.code = code\n",
	},
	{
		Name: "containers: no volume is needed", File: "source/docker/lasting.go", Test: "./source/docker -run Lasting",
		Why: "a container that is replaced while it is locked stays locked",
		Old: "		return \"\", errors.New(\"it lies in the container itself\")\n", New: "		return c.ID + folder, nil\n",
	},
	{
		Name: "containers: two may share a volume", File: "source/docker/lasting.go", Test: "./source/docker -run Lasting",
		Why: "two instances take one another's claim for their own",
		Old: "			case taken:\n", New: "			case taken && false:\n",
	},
	{
		Name: "containers: a service without a container is none", File: "source/docker/find.go", Test: "./source/docker -run Pick",
		Why: "a backup without the database is a good one",
		Old: "		if !seen[service] {\n", New: "		if !seen[service] && false {\n",
	},
	{
		Name: "containers: who is unfit is locked", File: "executor/check.go", Test: "./executor -run Unfit",
		Why: "a container without a volume is locked all the same",
		Old: "	if err := e.cfg.Unfit[t.Step.Instance]; err != nil {\n", New: "	if err := e.cfg.Unfit[t.Step.Instance]; err != nil && false {\n",
	},
	{
		Name: "containers: two parts have one instance", File: "source/mixed/mixed.go", Test: "./source/mixed -run TheSameTwice",
		Why: "one of two machines is locked twice and the other not at all",
		Old: "	if err := unique(whole.Instances); err != nil {\n", New: "	if err := unique(whole.Instances); err != nil && false {\n",
	},
	{
		Name: "containers: two parts have one container", File: "source/mixed/mixed.go", Test: "./source/mixed -run TheSameTwice",
		Why: "a container is locked twice, and unlocked while it is backed up",
		Old: "ok && in.Machine != \"\" {\n", New: "ok && in.Machine != \"\" && false {\n",
	},
	{
		Name: "containers: two parts share a volume", File: "source/mixed/mixed.go", Test: "./source/mixed -run OneVolumeForTwo",
		Why: "two instances take one another's claim for their own",
		Old: "			if taken && in.Unfit == nil {\n", New: "			if taken && in.Unfit == nil && false {\n",
	},
	{
		Name: "containers: one is listed twice", File: "source/docker/find.go", Test: "./source/docker -run WhatIsNoDeployment",
		Why: "a container is locked twice, and unlocked while it is backed up",
		Old: "ok && f.summary.ID != \"\" {\n", New: "ok && f.summary.ID != \"\" && false {\n",
	},
	{
		Name: "containers: one engine that is down keeps all from being settled", File: "app/resolve.go", Test: "./app -run APartThatCannotBeFound",
		Why: "a machine stays locked because a container elsewhere cannot be asked",
		Old: "ok := src.(source.Partly); ok {\n", New: "ok := src.(source.Partly); ok && false {\n",
	},
	{
		Name: "containers: a dead run is settled where the configuration says", File: "app/settle.go", Test: "./app -run ARunIsSettledWhereItRan",
		Why: "an unlock script is run on an engine that was never locked, and the other stays locked",
		Old: "	if ok && changed == \"\" {\n", New: "	if ok {\n",
	},
	{
		Name: "containers: a run is given up without a word", File: "app/resolve.go", Test: "./app -run ARunWhoseEngineIsGone",
		Why: "a run whose engine is down for a minute ends as one that holds",
		Old: "	if all == nil && giveUp {\n", New: "	if all == nil {\n",
	},
	{
		Name: "containers: a process that has ended never was", File: "target/docker/target.go", Test: "./target/docker -run StreamWithoutAStatus",
		Why: "a script that ran is told as one that did not, and runs again",
		Old: "x.Running || x.PID != 0 {\n", New: "x.Running {\n",
	},
	{
		Name: "containers: scripts go while they are owed", File: "launcher/sh/40-claim.sh", Test: "./launcher -run ScriptsThatARunBrings",
		Why: "what is still locked cannot be unlocked any more",
		Old: "		[ ! -e \"$lks_r\" ] || return\n", New: "",
	},
	{
		Name: "containers: scripts for nobody", File: "discover/discover.go", Test: "./discover -run ScriptsThatARunBrings",
		Why: "a job is never backed up, and nobody is told",
		Old: "	if err := bringable(resolved); err != nil && !o.Cleanup {\n", New: "	if err := bringable(resolved); err != nil && false {\n",
	},
	{
		Name: "containers: a sidecar's volumes have no names", File: "target/docker/sidecar.go", Test: "./target/docker -run MountsOfSidecar",
		Why: "a sidecar that goes takes the data of a container along that is being replaced",
		Old: "			out.Source = m.Name\n", New: "			out.Source = \"\"\n",
	},
	{
		Name: "containers: what is not a sidecar is removed", File: "target/docker/sidecar.go", Test: "./target/docker -run RemoveSidecar",
		Why: "a journal that somebody changed removes any container",
		Old: "	case is.Container.Config == nil || is.Container.Config.Labels[labelSidecar] == \"\":\n", New: "	case is.Container.Config == nil:\n",
	},
	{
		Name: "containers: a sidecar is made before it is in the journal", File: "source/docker/sidecar.go", Test: "./source/docker -run SidecarsAreTracked",
		Why: "an orchestrator that is killed leaves a sidecar of which nobody knows",
		Old: "		if err := track.Acquiring(ctx, all[i].resource); err != nil {\n", New: "		if err := error(nil); err != nil {\n",
	},
	{
		Name: "containers: any name is that of a sidecar", File: "target/sidecar/sidecar.go", Test: "./target/sidecar -run Names",
		Why: "a journal that somebody changed has any container looked at",
		Old: "	return ok && len(digits) == 16 && strings.Trim(digits, \"0123456789abcdef\") == \"\"\n", New: "	return ok && digits != \"\" || name != \"\"\n",
	},
	{
		Name: "containers: sidecars of other engines", File: "source/docker/sidecar.go", Test: "./source/docker -run RemovePassesOver",
		Why: "a sidecar is said to be gone that runs on another engine",
		Old: "		if x.Kind == lockstep.ResourceSidecar && x.Reach == s.spec.Engine.Host && aside.IsName(x.Name) {\n", New: "		if x.Kind == lockstep.ResourceSidecar && aside.IsName(x.Name) {\n",
	},
	{
		Name: "containers: no sidecar is needed", File: "target/sidecar/sidecar.go", Test: "./target/sidecar -run Needed",
		Why: "a lease that would unlock is removed with the sidecar that it runs in",
		Old: "	return err != nil || !exit.OK()\n", New: "	return err == nil && !exit.OK()\n",
	},
}
