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
	{
		Name: "object lock: a password that goes meanwhile fails a backup", File: "repository/restic/vault/kept.go", Test: "./repository/restic -run TestAPasswordThatGoesDuringACommit",
		Why: "a good backup is not committed because somebody removed a password",
		Old: "	if errors.Is(err, store.ErrNotFound) && path.Dir(name) == keysDir && name != fileName(keysDir, v.keyID) {\n", New: "	if false && path.Dir(name) == keysDir {\n",
	},
	{
		Name: "object lock: the own key may go", File: "repository/restic/vault/kept.go", Test: "./repository/restic -run TestAPasswordThatGoesDuringACommit",
		Why: "a backup is committed that its password does not open",
		Old: " && name != fileName(keysDir, v.keyID) {", New: " && name != \"\" {",
	},
	{
		Name: "object lock: a damaged snapshot stays until its date", File: "repository/restic/read.go", Test: "./repository/restic -run TestADamagedSnapshotThatIsKept",
		Why: "no prune works for a month because one file rotted",
		Old: "					damagedErr = v.HideSnapshot(ctx, snapshot)\n", New: "					damagedErr = v.RemoveSnapshot(ctx, snapshot)\n",
	},
	{
		Name: "object lock: what a prune could not remove counts as freed", File: "repository/restic/vault/prune.go", Test: "./repository/restic -run TestAPruneCountsWhatIsGone",
		Why: "an operator waits for space that does not come",
		Old: "				p.cannot(id, kept.Until)\n", New: "",
	},
	{
		Name: "object lock: a legal hold is a date", File: "repository/restic/vault/prune.go", Test: "./repository/restic -run TestAPruneUnderALegalHold",
		Why: "a prune names the year 9999",
		Old: " && !until.Equal(store.Held) {", New: " {",
	},
	{
		Name: "object lock: a legal hold keeps nothing", File: "repository/restic/store/s3/lock.go", Test: "./repository/restic/store/s3 -run TestALegalHoldIsKept",
		Why: "a prune says that it frees what is held",
		Old: "		return store.Held, nil\n", New: "		return time.Time{}, nil\n",
	},
	{
		Name: "object lock: what cannot be freed is not said", File: "repository/restic/store/s3/lock.go", Test: "./repository/restic/store/s3 -run TestWhatCannotBeFreedIsSaid",
		Why: "a bucket grows for ever because a permission is missing, and every prune is well",
		Old: "		case err == nil:\n			err = s.trouble(ctx, \"remove a hidden", New: "		case false:\n			err = s.trouble(ctx, \"remove a hidden",
	},
	{
		Name: "object lock: what must be kept fails a prune", File: "repository/restic/store/s3/lock.go", Test: "./repository/restic/store/s3 -run TestWhatCannotBeFreedIsSaid",
		Why: "every prune fails until the last date has passed",
		Old: "		case saidKept(gone) || s.stillKept(ctx, o):\n", New: "		case false:\n",
	},
	{
		Name: "object lock: governance stays governance", File: "repository/restic/store/s3/lock.go", Test: "./repository/restic/store/s3 -run TestGovernanceBecomesCompliance",
		Why: "what is configured as compliance can be removed by those who may bypass governance",
		Old: "		if s.o.Lock.Compliance && !state.compliance &&", New: "		if false &&",
	},
	{
		Name: "object lock: compliance comes with an earlier date", File: "repository/restic/store/s3/lock.go", Test: "./repository/restic/store/s3 -run TestGovernanceBecomesCompliance",
		Why: "the service refuses it, and governance stays",
		Old: "	if was.until.After(until) {\n", New: "	if false {\n",
	},
	{
		Name: "age: an identity alone is taken for encryption", File: "config/encrypt.go", Test: "./config -run TestEncryptIsShown",
		Why: "backups are in the clear though somebody has configured encrypt",
		Old: "	if main && len(e.Recipients) == 0", New: "	if false && len(e.Recipients) == 0",
	},
	{
		Name: "age: a metadata file stays beside what is encrypted", File: "repository/dir/commit.go", Test: "./repository/dir -run TestACommitAfterAChangeOfEncryption",
		Why: "whoever has the disk reads the names of what was encrypted",
		Old: "metadataFile: h.Version == formatVersion,", New: "metadataFile: true,",
	},
	{
		Name: "age: artifacts of both kinds count as damage", File: "repository/dir/commit.go", Test: "./repository/dir -run TestACommitAfterAChangeOfEncryption",
		Why: "who changed the configuration during a backup looks for a broken disk",
		Old: "	if err := h.ofOneKind(); err != nil {\n		return err\n	}\n", New: "",
	},
	{
		Name: "age: a copy in the clear is not told", File: "app/copy.go", Test: "./cli -run TestScripts$/^encrypted$",
		Why: "what is encrypted here lies open on a USB disk",
		Old: "	return f.IsEncrypted(ctx, id)\n", New: "	_ = f\n	return false, nil\n",
	},
	{
		Name: "verify: a backup that was deleted meanwhile is damaged", File: "app/backups.go", Test: "./app -run TestABackupThatGoesWhileItIsRead",
		Why: "somebody is woken for a backup that the rules deleted",
		Old: "	if err := a.gone(ctx, id); !rep.OK && err != nil {\n", New: "	if err := error(nil); !rep.OK && err != nil {\n",
	},
	{
		Name: "copy: a backup that was deleted meanwhile ends it", File: "app/copy.go", Test: "./app -run TestABackupThatGoesWhileItIsRead",
		Why: "newer backups are not copied that night",
		Old: "		if err != nil && a.gone(ctx, b.ID) != nil {\n", New: "		if false {\n",
	},
	{
		Name: "verify on a schedule: a backup that was deleted meanwhile is an alarm", File: "scheduler/work.go", Test: "./scheduler -run TestASampleOfWhatGoes",
		Why: "somebody is woken for a backup that the rules deleted",
		Old: "		case lockstep.KindOf(err) == lockstep.KindNotFound:\n", New: "		case false:\n",
	},
}
