package main

// stepMutants are bugs in sessions, steps and their records.
var stepMutants = []mutant{
	{
		Name: "steps: a session that leaves asks nobody", File: "launcher/sh/90-main.sh", Test: "./launcher -run ASessionThatLeavesSweeps",
		Why: "the launcher is removed under a session that begins, and its start is never answered",
		Old: "2>/dev/null && flock -w 10 3 || return\n	! lks_in_use || return\n", New: "2>/dev/null || return\n",
	},
	{
		Name: "steps: a session that begins does not hold the run folder", File: "launcher/text.go", Test: "./launcher -run ASessionThatLeavesSweeps",
		Why: "the launcher is removed under a session that begins, and its start is never answered",
		Old: "  flock -s -w 10 3 || [ $? != 1 ]", New: "  true || [ $? != 1 ]",
	},
	{
		Name: "steps: an answer is waited for without a bound", File: "launcher/answer.go", Test: "./launcher -run AnswerThatIsLost",
		Why: "a lost answer holds a run up until its script's timeout",
		Old: "		case <-silent.C:\n			// Beside,", New: "		case <-make(chan time.Time):\n			// Beside,",
	},
	{
		Name: "steps: the end is not asked for", File: "launcher/wait.go", Test: "./launcher -run WaitWhoseEndNobodyTells",
		Why: "a script that has ended is waited for until its timeout, while all is locked",
		Old: "			if err != nil || st.Running {\n", New: "			if err != nil || st.Running || true {\n",
	},
	{
		Name: "steps: still says yes", File: "launcher/sh/90-main.sh", Test: "./launcher -run AWaitThatIsKilled",
		Why: "a process that was killed is waited for",
		Old: "	if [ -n \"$lks_W\" ] && kill -0 \"$lks_W\" 2>/dev/null; then\n", New: "	if true; then\n",
	},
	{
		Name: "steps: a start acts before it looks at the claim", File: "launcher/sh/20-step.sh", Test: "./launcher -run ADisplacedDriverSwallowsNoStart",
		Why: "a driver that has lost its claim swallows the start of its heir",
		Old: "		{ command exec 9>>\"$lks_D.lock\"; } 2>/dev/null && flock -w 2 9 || return 1\n",
		New: "		[ \"$lks_created_\" = 0 ] || return 1\n		{ command exec 9>>\"$lks_D.lock\"; } 2>/dev/null && flock -w 2 9 || return 1\n",
	},
	{
		Name: "steps: a start without room for its record", File: "launcher/sh/20-step.sh", Test: "./launcher -run NoRoomForARecord",
		Why: "a script runs whose end nobody will know",
		Old: "	if ! lks_reserve; then\n", New: "	if ! lks_reserve && false; then\n",
	},
	{
		Name: "steps: no spare record for an unlock", File: "launcher/sh/50-lease.sh", Test: "./launcher -run NoRoomForARecord",
		Why: "nothing is unlocked while the run folder is full",
		Old: "		for lks_W in 1 2 3 4 5 6; do\n", New: "		for lks_W in; do\n",
	},
	{
		Name: "steps: output takes all the room", File: "launcher/sh/20-step.sh", Test: "./launcher -run OutputLeavesRoom",
		Why: "what jobs print keeps unlocks from being noted",
		Old: "	[ $(($1 * $3 - 262144)) -ge \"$lks_W\" ]\n", New: "	true\n",
	},
	{
		Name: "steps: an empty record stays undecided", File: "launcher/sh/30-status.sh", Test: "./launcher -run AnEmptyRecordSettles -timeout 100s",
		Why: "a state from which no command leads out",
		Old: "	if flock -w 1 9 && [ /proc/self/fd/9 -ef \"$lks_D.lock\" ] && ! lks_decided; then\n", New: "	if flock -w 1 9 && [ ! -e \"$lks_D.record\" ]; then\n",
	},
	{
		Name: "steps: a start that was called off begins", File: "launcher/sh/20-step.sh", Test: "./launcher -run AStartThatStandsStill",
		Why: "a script that was given up on locks again after the unlock",
		Old: "	if [ -e \"$lks_D.never\" ]; then\n", New: "	if false; then\n",
	},
	{
		Name: "steps: only the mark tells what belongs to a script", File: "launcher/sh/30-status.sh", Test: "./launcher -run AScriptWithoutMark",
		Why: "an unlock runs while the script still works",
		Old: "	lks_grouped\n	lks_session\n", New: "",
	},
	{
		Name: "steps: the start of a process is not compared", File: "launcher/sh/30-status.sh", Test: "./launcher -run ANumberOfAnotherProcess",
		Why: "a process of somebody else is killed",
		Old: "		[ \"$lks_TICKS\" = \"$lks_R_TICKS\" ] || return 0\n", New: "",
	},
	{
		Name: "steps: any term counts", File: "term.go", Test: ". ./launcher -run Terms",
		Why: "one instance that talks nonsense keeps all from ever being claimed again",
		Old: "	if seen < MaxTerm && seen <= asked+maxTermLead {\n", New: "	if seen < MaxTerm || seen > 0 {\n",
	},
	{
		Name: "steps: the launcher counts with any term", File: "launcher/sh/10-wire.sh", Test: "./launcher -run TermsThatMakeNoSense",
		Why: "the arithmetic of an instance breaks, and it cannot be claimed any more",
		Old: "	'' | *[!0-9]* | ???????????????????*) return 1 ;;\n", New: "	'') return 1 ;;\n",
	},
	{
		Name: "steps: a lost run folder is nothing", File: "launcher/sh/10-wire.sh", Test: "./launcher -run ARunFolderThatIsLost",
		Why: "a container that was started anew stays locked, and nobody is told",
		Old: " || [ ! -e \"$lks_RUN/r-$1/began\" ]\n", New: "\n",
	},
	{
		Name: "steps: what is gone is waited for", File: "launcher/sh/30-status.sh", Test: "./launcher -run TheRunIsReleasedWhile",
		Why: "a look at a released run keeps the last session from tidying up",
		Old: " && [ -e \"$lks_D.lock\" ] && ! lks_held; do\n", New: " && ! lks_held; do\n",
	},
	{
		Name: "steps: a restarted container goes on", File: "launcher/sh/20-step.sh", Test: "./launcher -run AContainerThatIsRestarted",
		Why: "what a restart may have unlocked is backed up as if it were locked",
		Old: " || lks_rebooted \"$lks_run\"; } &&", New: "; } &&",
	},
	{
		Name: "steps: a lease outlives its clock", File: "launcher/sh/50-lease.sh", Test: "./launcher -run AContainerThatIsRestarted",
		Why: "the run is told that its lease is armed, and goes on without its locks",
		Old: " && ! lks_rebooted \"$1\"; }; then", New: "; }; then",
	},
	{
		Name: "steps: a lease of a displaced run keeps its records", File: "launcher/sh/40-claim.sh", Test: "./launcher -run ADisplacedRunWithALease",
		Why: "what a dead orchestrator left is never removed",
		Old: "			! lks_live_step \"$lks_r\" || continue\n", New: "			! lks_alive \"$lks_r\" || continue\n",
	},
	{
		Name: "steps: what a displaced run owes goes with its records", File: "launcher/sh/40-claim.sh", Test: "./launcher -run ADisplacedRunWithALease",
		Why: "a job that the one who took over does not know stays locked, and nobody is told",
		Old: "			! lks_owes \"$lks_r\" || ! lks_alive \"$lks_r\" || continue\n", New: "",
	},
	{
		Name: "steps: two steps share a control group", File: "launcher/sh/20-step.sh", Test: "./launcher -run EachStepHasItsOwnGroup",
		Why: "whoever ends one script ends another with it",
		Old: "		[ \"$lks_created_\" != 0 ] || return 0\n", New: "		rm -f \"$lks_RUN/r-$lks_run/place-$lks_n\"\n		return 0\n",
	},
	{
		Name: "steps: a claim that was cut off stays one of another boot", File: "launcher/sh/40-claim.sh", Test: "./launcher -run AClaimThatWasCutOff",
		Why: "no step but an unlock is started for that run any more",
		Old: "	if [ -s \"$lks_dir/boot\" ]; then\n", New: "	if [ -f \"$lks_dir/boot\" ]; then\n",
	},
	{
		Name: "steps: what is missing is not looked for", File: "launcher/sh/60-files.sh", Test: "./launcher -run FitSaysWhat",
		Why: "a check calls an instance fit on which the run breaks off",
		Old: "	if [ -n \"$lks_missing\" ] || [ $# != 8 ]; then\n", New: "	if [ $# != 8 ]; then\n",
	},
	{
		Name: "steps: a login that is known to be unfit is waited for", File: "launcher/client.go", Test: "./launcher -run ALoginThatIsGivenUp -timeout 20s",
		Why: "somebody waits half a minute for what is known after a second",
		Old: "		s.giveUp()\n	}\n}\n\n// claimed", New: "	}\n}\n\n// claimed",
	},
	{
		Name: "steps: fish reads quotes as sh does", File: "target/quote.go", Test: "./target -run TestQuote",
		Why: "a machine whose login shell is fish cannot be backed up",
		Old: "case n == 1 && after", New: "case n >= 1 && after",
	},
}
