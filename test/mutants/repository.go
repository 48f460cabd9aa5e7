package main

// repositoryMutants are bugs in what keeps backups in a repository, and removes them.
var repositoryMutants = []mutant{
	{
		Name: "rules: a suspect backup makes others go", File: "app/forgetold.go", Test: "./app -run TestNoRulesAfterABadBackup",
		Why: "a backup that shrank by nine tenths takes the place of the last good one",
		Old: " || end.State != lockstep.RunSucceeded || end.Data != lockstep.DataVerified {", New: " {",
	},
	{
		Name: "rules: another deployment of that name is judged, too", File: "app/forgetold.go", Test: "./app -run TestRulesAfterABackup",
		Why: "the backups of another site's deployment are deleted",
		Old: "	list = slices.DeleteFunc(list, func(b lockstep.Backup) bool { return b.Key != run.Opened.Key })\n", New: "",
	},
	{
		Name: "rules: they are applied to a list without the new backup", File: "app/forgetold.go", Test: "./app -run TestRulesWantTheNewBackup",
		Why: "half of a listing decides what goes",
		Old: "	if own < 0 || list[own].Data != lockstep.DataVerified {\n", New: "	if own < -1 {\n",
	},
	{
		Name: "age: another identity counts as damage", File: "repository/dir/seal.go", Test: "./repository/dir -run TestAWrongIdentity",
		Why: "every backup is called damaged because a file was not found",
		Old: "	case !errors.As(err, &none):\n", New: "	case errors.As(err, &none):\n",
	},
	{
		Name: "age: damage counts as another identity", File: "repository/dir/seal.go", Test: "./repository/dir -run TestAWrongIdentity",
		Why: "a rotten backup is looked for in the configuration",
		Old: "	if _, err := io.Copy(io.Discard, in); err != nil {\n", New: "	if err := error(nil); err != nil {\n",
	},
	{
		Name: "age: the metadata of an encrypted backup tells all names", File: "repository/dir/commit.go", Test: "./repository/dir -run TestWhoCanEncryptCannotRead",
		Why: "whoever has the disk reads what was encrypted",
		Old: "	if h.Version == formatVersion {\n", New: "	if true {\n",
	},
	{
		Name: "restic: a list reads one manifest after another", File: "repository/restic/list.go", Test: "./repository/restic -run TestAListCostsTheSameForEachBackup",
		Why: "a list of ten thousand backups in a bucket takes ten minutes",
		Old: "	group.SetLimit(manifestsAtOnce)\n", New: "	group.SetLimit(1)\n",
	},
	{
		Name: "object lock: what a backup shares with earlier ones is not kept anew", File: "repository/restic/vault/snapshots.go", Test: "./repository/restic -run TestAllThatABackupNeedsIsKept",
		Why: "whoever has the bucket's credentials removes the data of a backup that is kept",
		Old: "	if err := v.retain(ctx, r, *s.Tree, until); err != nil {\n", New: "	if err := error(nil); err != nil {\n",
	},
	{
		Name: "object lock: a new pack is not kept", File: "repository/restic/vault/pack.go", Test: "./repository/restic -run TestWhatIsStoredIsKept",
		Why: "what a long backup has stored can be removed before its commit",
		Old: "	err := saveKept(ctx, v.store, fileName(dataDir, id), p.Bytes)\n", New: "	err := v.store.Save(ctx, fileName(dataDir, id), p.Bytes)\n",
	},
	{
		Name: "object lock: a lock is removed only after its date", File: "repository/restic/vault/kept.go", Test: "./repository/restic -run TestABucketThatKeepsAll",
		Why: "a bucket that keeps all by itself stops every backup after the first",
		Old: "		return r.Hide(ctx, name)\n", New: "		_ = r\n",
	},
	{
		Name: "object lock: a prune removes what is kept", File: "repository/restic/vault/prune.go", Test: "./repository/restic -run TestAPruneLeavesWhatIsKept",
		Why: "it says what it frees, and does not",
		Old: "		p.retained, err = v.retained(ctx, dataDir, p.wasteful())\n", New: "		p.retained, err = v.retained(ctx, dataDir, nil)\n",
	},
	{
		Name: "object lock: when a forget may be done is not told", File: "repository/restic/vault/kept.go", Test: "./repository/restic -run TestWhatIsKeptIsNotForgotten",
		Why: "an operator does not know whether it is broken, or for how long",
		Old: "	if !kept.Until.IsZero() {\n", New: "	if false {\n",
	},
	{
		Name: "object lock: a rule ends at the first backup that is kept", File: "cli/backups_forget.go", Test: "./cli -run TestForgetUnderObjectLock",
		Why: "nothing is forgotten any more, though most may be",
		Old: "			continue\n		case err != nil:\n			return stay, err\n", New: "			return nil, err\n		case err != nil:\n			return stay, err\n",
	},
	{
		Name: "object lock: a schedule ends at the first backup that is kept", File: "retention/forget.go", Test: "./retention -run TestForget",
		Why: "nothing is forgotten any more, and every night a slot fails",
		Old: "		case kind == lockstep.KindRetained:\n", New: "		case false:\n",
	},
	{
		Name: "rules: a damaged backup goes with nobody looking", File: "retention/forget.go", Test: "./retention -run TestForget",
		Why: "a disk that was away while all was verified costs every backup that was on it",
		Old: "		if d.Backup.Data == lockstep.DataDamaged {\n", New: "		if false {\n",
	},
	{
		Name: "object lock: a removed password is kept anew by every backup", File: "repository/restic/vault/keys.go", Test: "./repository/restic -run TestAPasswordIsRemovedAtOnce",
		Why: "a leaked password opens the repository for as long as backups are made",
		Old: "	if err := v.hide(ctx, fileName(keysDir, id)); err != nil {\n", New: "	if err := v.store.Remove(ctx, fileName(keysDir, id)); err != nil {\n",
	},
	{
		Name: "object lock: a removed password's version is never freed", File: "repository/restic/vault/tidy.go", Test: "./repository/restic -run TestAPasswordIsRemovedAtOnce",
		Why: "whoever may read versions opens the repository for ever",
		Old: "[]string{keysDir, dataDir, indexDir, snapshotsDir, locksDir, notesDir}", New: "[]string{dataDir, indexDir, snapshotsDir, locksDir, notesDir}",
	},
	{
		Name: "object lock: the key of a making that lost stays", File: "repository/restic/vault/vault.go", Test: "./repository/restic -run TestAKeyOfAMakingThatLost",
		Why: "each backup keeps anew what opens nothing",
		Old: "		_ = v.hide(ctx, fileName(keysDir, v.keyID)) // it opens nothing\n", New: "		_ = s.Remove(ctx, fileName(keysDir, v.keyID))\n",
	},
	{
		Name: "age: an identity is not known as one", File: "config/encrypt.go", Test: "./config -run TestEncryptIsShown",
		Why: "who pasted the wrong line is not told which one belongs there",
		Old: "strings.HasPrefix(strings.ToUpper(r.value), \"AGE-SECRET-KEY\")", New: "strings.HasPrefix(r.value, \"AGE-SECRET-KEY\")",
	},
	{
		Name: "age: what is pasted as a recipient is printed", File: "config/encrypt.go", Test: "./config -run TestEncryptIsShown",
		Why: "a secret identity stands in the log of whoever checked the configuration",
		Old: "d.problem(r.at, \"this is not a recipient of age;", New: "d.problem(r.at, r.value+\" is not a recipient of age;",
	},
	{
		Name: "verify: what could not be read is damaged", File: "app/backups.go", Test: "./app -run TestWhatCannotBeReadIsNotDamaged",
		Why: "all backups are damaged because a file with an identity is not there",
		Old: "			rep.Damaged = rep.Damaged || repository.Damage(err)\n", New: "			rep.Damaged = true\n",
	},
	{
		Name: "verify on a schedule: what could not be read is not what it was", File: "scheduler/work.go", Test: "./scheduler -run TestVerifyAndForget",
		Why: "somebody is woken for damage that is not there",
		Old: "	if !report.Damaged {\n", New: "	if false {\n",
	},
}
