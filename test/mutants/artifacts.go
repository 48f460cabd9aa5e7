package main

// artifactMutants are bugs in what proves artifacts, on their way in and back, and in
// the helper.
var artifactMutants = append([]mutant{
	{
		Name: "verify: a large inventory waits in memory", File: "executor/inventory.go", Test: "./executor -run TestALargeInventoryIsNotKept",
		Why: "sixteen artifacts of a million files take the memory of a server",
		Old: "	if list.Len() <= remembered && list.Wait() {\n", New: "	if list.Len() >= 0 {\n",
	},
	{
		Name: "check: says nothing of too many entries", File: "executor/check.go", Test: "./executor -run TestManyEntriesAreTold",
		Why: "a backup fails after lock and work, of which the last one could have told",
		Old: "last.Entries > repository.MaxEntries/10*8", New: "last.Entries > repository.MaxEntries",
	},
	{
		Name: "an artifact is not read to its end once it is unpacked", File: "launcher/tar.go",
		Why: "what is found out of an artifact at its end comes after tar's, and a damaged one is restored",
		Old: "		err = source.finish(ctx)\n", New: "		err = source.fault()\n",
		Test: "./launcher -run TestTheEndComesAfterTar",
	},
	{
		Name: "an artifact passes before it is accepted", File: "repository/verified.go",
		Why: "an altered archive writes on an instance what no backup recorded",
		Old: "	g.hold(p[:n])\n", New: "	g.hold(p[:n])\n	g.safe = 1 << 62\n	if err := g.pass(); err != nil {\n		return 0, err\n	}\n",
		Test: "./repository -run Verified",
	},
	{
		Name: "an artifact passes with half of a header read", File: "repository/verified.go",
		Why: "an instance acts on a member that nobody has judged",
		Old: "{ g.safe = before }", New: "{ g.safe = 1 << 62 }",
		Test: "./repository -run Verified",
	},
	{
		Name: "an artifact's digest is not compared at its end", File: "repository/verified.go",
		Why:  "a restore locks and works with files that decayed in the repository",
		Old:  "	if err := compare(ctx, r, id, want, entries, n); err != nil {\n",
		New:  "	_ = n\n	if err := error(nil); err != nil {\n",
		Test: "./repository -run Verified",
	},
	{
		Name: "symbolic links may lead anywhere", File: "entries.go",
		Why:  "an altered archive makes a link out of the artifact's folder",
		Old:  "	e.Path, e.Size, e.Sum = want.Path, want.Size, want.Sum\n",
		New:  "	e.Path, e.Size, e.Sum, e.Link = want.Path, want.Size, want.Sum, want.Link\n",
		Test: ". ./repository -run Verified|Expects",
	},
	{
		Name: "hard links may be of any recorded file", File: "entries.go",
		Why: "a file is placed as another name of a link that leads out of the folder",
		Old: " || to.Type == EntryDir || to != want {", New: " || to.Type == EntryDir {",
		Test: ". -run Expects",
	},
	{
		Name: "owner and mode are not looked at on the way", File: "entries.go",
		Why: "an altered archive places a program that runs as root for everybody",
		Old: "	if e != want {\n", New: "	e.Mode, e.UID, e.GID = want.Mode, want.UID, want.GID\n	if e != want {\n",
		Test: ". -run Expects",
	},
	{
		Name: "what GNU tar reads otherwise is proven", File: "repository/tar.go",
		Why: "what is verified is not what a restore unpacks",
		Old: "	if err == nil && (t.scan.odd || ambiguous(h)) {\n", New: "	if err == nil && t.scan.odd {\n",
		Test: "./repository -run ReadTar",
	},
	{
		Name: "a packed file without a digest", File: "launcher/gather.go",
		Why: "a file that vanished while it was listed counts as listed",
		Old: "	case item.Type == 'f' && !has:\n", New: "	case item.Type == 'f' && !has && item.Size < 0:\n",
		Test: "./launcher -run UnpackRefuses",
	},
	{
		Name: "streams that cannot be ended are forgotten", File: "launcher/sh/40-claim.sh",
		Why: "two runs write into one artifact folder",
		Old: "		[ \"$lks_tries\" -lt 100 ] || return 1\n", New: "		[ \"$lks_tries\" -lt 100 ] || return 0\n",
		Test: "./launcher -run StreamsThatCannotBeEnded",
	},
	{
		Name: "an exported artifact is not compared", File: "app/backups.go",
		Why: "what decayed on the disk is exported, extracted and copied by hand as if it were whole",
		Old: "	if art, ok := b.Named(name); ok && art.Digest != \"\" {\n", New: "	if art, ok := b.Named(name); ok && art.Digest == \"never\" {\n",
		Test: "./app -run TestAnArtifactIsComparedOnItsWay",
	},
}, helperMutants...)

// copyMutants are bugs in copies of backups.
var copyMutants = []mutant{
	{
		Name: "retention: tags keep nothing", File: "retention/retention.go", Test: "./retention -run TestKeepTags",
		Why: "what somebody marked to stay is deleted",
		Old: "if slices.Contains(p.Tags, t) {", New: "if slices.Contains(p.Tags, t) && d.Keep {",
	},
	{
		Name: "copies: the newest is copied first", File: "app/copy.go", Test: "./app -run TestCopyNew",
		Why: "a schedule that was cut short leaves out older backups for good",
		Old: "	slices.Reverse(out)\n", New: "	slices.Reverse(out[:0])\n",
	},
	{
		Name: "copies: another deployment of that name counts", File: "app/copy.go", Test: "./app -run TestNewerThan",
		Why: "where somebody else copies a deployment of the same name, ours is never copied, and nobody is told",
		Old: "since[o.Key] = o.StartedAt", New: "since[mine[0].Key] = o.StartedAt",
	},
	{
		Name: "copies: what is damaged is copied too", File: "app/copy.go", Test: "./app -run TestCopyNew",
		Why: "one damaged backup ends every copy after it",
		Old: "b.Data != lockstep.DataVerified || !b.StartedAt.After(since[b.Key])", New: "!b.StartedAt.After(since[b.Key])",
	},
	{
		Name: "prune: a schedule begins one beside another deployment's backup", File: "scheduler/scheduler.go", Test: "./scheduler -run TestPruneOnASchedule",
		Why: "the slot of every night fails, for the repository is in use",
		Old: "		among.Deployment = \"\" //", New: "		//",
	},
	{
		Name: "prune: who waits for one cannot be told to go", File: "repository/restic/vault/locks.go", Test: "./repository/restic/vault -run TestWhoWaitsForAPrune",
		Why: "a backup that is canceled goes on until a prune of hours has ended",
		Old: "	case <-ctx.Done():\n		return fmt.Errorf(\"lock repository: wait", New: "	case <-context.WithoutCancel(ctx).Done():\n		return fmt.Errorf(\"lock repository: wait",
	},
	{
		Name: "prune: an admin of one deployment has all pruned", File: "access/guard_schedules.go", Test: "./access -run TestGuardSchedules",
		Why: "who may not touch other deployments has the repository to themselves for hours",
		Old: "	if slices.Contains(serverWidePermissions, perm) {\n		return ServerWide\n", New: "	if slices.Contains(serverWidePermissions, perm) && deployment == ServerWide {\n		return ServerWide\n",
	},
	{
		Name: "copies: a schedule names any place", File: "scheduler/schedules.go", Test: "./scheduler -run TestSet_CopiesToAPlace",
		Why: "whoever may set schedules has the data written where they like",
		Old: "d.To != \"\" && !slices.Contains(s.cfg.Copies, d.To)", New: "d.To == \"\" && d.Operation == lockstep.ScheduledCopy",
	},
	{
		Name: "verify: a sample is always the newest", File: "retention/sample.go", Test: "./retention -run TestSample",
		Why: "old backups are never read again",
		Old: "return a.Verified.At.Compare(b.Verified.At)", New: "return b.StartedAt.Compare(a.StartedAt)",
	},
	{
		Name: "a copy is not compared with the manifest", File: "repository/copy.go",
		Why: "the second copy is of something else, and nobody knows until the first one is lost",
		Old: "	if is.Digest == a.Digest && is.Bytes == a.Bytes && is.Entries == a.Entries {\n", New: "	if is.Digest != \"\" && a.Digest != \"\" {\n",
		Test: "./repository/dir -run TestContract/damage_is_not_copied",
	},
	{
		Name: "a copy does not read what was there", File: "repository/copy.go",
		Why: "the second copy counts as read, and shares a rotten blob with an old backup",
		Old: "	s, ok := c.To.(StagedReading)\n	if !ok {\n", New: "	s, ok := c.To.(StagedReading)\n	if !ok || true {\n",
		Test: "./repository/restic -run TestACopyReads",
	},
	{
		Name: "a stopped copy stays staged", File: "repository/copy.go",
		Why: "the id is taken for ever, and no copy of that backup can be made again",
		Old: "		if id != \"\" {\n			err = errors.Join(err, c.To.Discard(ctx, id))\n", New: "		if id == \"\" {\n			err = errors.Join(err, c.To.Discard(ctx, id))\n",
		Test: "./repository/dir -run TestContract/a_copy_that_ends",
	},
	{
		Name: "a copy is written into what another one stages", File: "repository/copy.go",
		Why: "a copy goes by another id, and is not a copy",
		Old: "	if id != m.ID {\n", New: "	if id == \"\" {\n",
		Test: "./repository/dir -run TestContract/a_copy_that_ends",
	},
	{
		Name: "a damaged backup is copied", File: "app/copy.go",
		Why: "the copy of a backup that was found damaged passes for a good one",
		Old: "	if b.Ours() && !changed {\n", New: "	if b.Ours() || changed {\n",
		Test: "./app -run TestWhatIsNotWhatItWas",
	},
	{
		Name: "a copy goes to whatever disk is there", File: "app/copy.go",
		Why: "copies pile up in the folder on which the disk is not mounted",
		Old: "	case known && was.ID != is:\n", New: "	case known && was.ID != is && is == \"never\":\n",
		Test: "./app -run TestAnotherDisk",
	},
	{
		Name: "what a dead copy left stays", File: "app/copy.go",
		Why: "after a kill that backup can never be copied again",
		Old: "	err = to.Discard(ctx, was.Backup)\n", New: "	err = nil\n",
		Test: "./app -run TestACopyThatDied",
	},
	{
		Name: "two repositories without an identity are one", File: "app/copy.go", Test: "./app -run OutOfARepository",
		Why: "the backups of an old repository for reading alone cannot be copied into a new one",
		Old: "(is == \"\" || mine != is)", New: "mine != is",
	},
	{
		Name: "another repository settles a backup", File: "app/place.go",
		Why: "a restore from the second copy takes a backup for not committed that is, and calls it interrupted",
		Old: "	if a.cfg.Elsewhere == \"\" || run.Opened.Operation", New: "	if a.cfg.Elsewhere != \"never\" || run.Opened.Operation",
		Test: "./app -run TestABackupIsNotSettledByAnotherRepository",
	},
	{
		Name: "app: the next run is refused while the ended one is tidied up", File: "app/own.go", Test: "./app -run TestTheNextRunBegins",
		Why: "a script that does one after the other over a server fails now and then",
		Old: "	case <-d.gone:\n		return a.cfg.Journal.Own(ctx, key, a.owner)\n", New: "	case <-d.gone:\n",
	},
	{
		Name: "app: a run that goes on is waited for", File: "app/own.go", Test: "./app -run TestARunThatGoesOn",
		Why: "whoever asks for a second run hears nothing, and gets one that nobody expects any more",
		Old: " || !a.over(ctx, string(d.run)) {", New: " {",
	},
}
