package main

// The tests that lose power build repository/dir themselves, with the mutant.
const (
	lostJournal    = "./test/writes -run JournalAfter -cuts 1500"
	lostRepository = "./test/writes -run RepositoryAfter -cuts 2500"
	damagedJournal = "./journal/sqlite -run TestChangedRows"
)

var writeMutants = []mutant{
	{
		Name: "journal: a head is written before its events are durable", File: "journal/sqlite/append.go",
		Why: "after a loss of power, a journal that lost nothing says that it did",
		Old: "		steps, now = a.steps, a.Row\n		return err\n",
		New: "		steps, now = a.steps, a.Row\n		if err == nil {\n			j.heads.Put(heads.Of(now.Head.Summary, now.Head.Seq, now.Link))\n		}\n		return err\n", Test: lostJournal,
	},
	{
		Name: "journal: events are not linked", File: "journal/stored/link.go",
		Why: "an event that was changed is believed",
		Old: "	if (link != nil || c.Link != nil) && !bytes.Equal(link, LinkOf(c.Link, body)) {\n",
		New: "	if (link != nil || c.Link != nil) && !bytes.Equal(link, LinkOf(c.Link, body)) && false {\n", Test: damagedJournal,
	},
	{
		Name: "journal: the last event is not looked for", File: "journal/stored/link.go",
		Why: "events that are missing at the end of a run are not missed",
		Old: "	case c.Seq < seq:\n", New: "	case c.Seq < seq && false:\n", Test: damagedJournal,
	},
	{
		Name: "journal: heads say nothing of lost events", File: "journal/sqlite/check.go",
		Why: "a log that lost its end leaves jobs locked, and nobody is told",
		Old: "	return lose(ctx, j.write, lossOf(r, why))\n", New: "	if why != \"\" {\n		return nil\n	}\n	return lose(ctx, j.write, lossOf(r, why))\n",
		Test: "./journal/sqlite -run TestConformance",
	},
	{
		Name: "journal: heads say nothing of lost runs", File: "journal/sqlite/check.go",
		Why: "a log that lost a whole run leaves jobs locked, and nobody is told",
		Old: "	case missing:\n		return j.lostWhole(ctx, h)\n", New: "	case missing:\n		return nil\n", Test: "./journal/sqlite -run TestConformance",
	},
	{
		Name: "journal: rows of runs have no sum", File: "journal/stored/row.go",
		Why: "a run that failed is listed as one that succeeded",
		Old: "	if sum != nil && !bytes.Equal(sum, r.Sum()) {\n", New: "	if sum != nil && !bytes.Equal(sum, r.Sum()) && false {\n", Test: damagedJournal,
	},
	{
		Name: "journal: holds have no sum", File: "journal/sqlite/read.go",
		Why: "a job that is locked is not held any more",
		Old: "		if sum != nil && !bytes.Equal(sum, stored.HoldSum(h)) {\n", New: "		if sum != nil && !bytes.Equal(sum, stored.HoldSum(h)) && false {\n", Test: damagedJournal,
	},
	{
		Name: "journal: records have no sum", File: "journal/sqlite/record.go",
		Why: "a backup is compared with digests that it never had",
		Old: "	if sum != nil && !bytes.Equal(sum, stored.RecordSum(*r)) {\n", New: "	if sum != nil && !bytes.Equal(sum, stored.RecordSum(*r)) && false {\n", Test: damagedJournal,
	},
	{
		Name: "journal: indexes are not looked into", File: "journal/sqlite/check.go",
		Why: "an open run that no list has is never settled",
		Old: "		if err != nil || n != 1 {\n", New: "		if err != nil {\n", Test: "./journal/sqlite -run TestAnOpenRunIsAlwaysListed",
	},
	{
		Name: "journal: what a writer changes is an index that is wrong", File: "journal/sqlite/check.go",
		Why: "each command that is begun beside a run makes all indexes anew, and the run waits",
		Old: "err != nil || sound {\n", New: "true {\n", Test: "./journal/sqlite -run TestIndexesBesideAWriter",
	},
	{
		Name: "journal: a head is read once", File: "journal/heads/heads.go",
		Why: "a run that goes on well is said to be damaged",
		Old: "	h.Pause()\n	return h.readOnce(run)\n", New: "	return x, err\n", Test: "./journal/sqlite -run TestHeadThatIsReadTorn",
	},
	{
		Name: "journal: an unsound journal locks", File: "journal/sqlite/check.go",
		Why: "a backup locks what an earlier run has locked and not let go of",
		Old: "		return j.unsound\n", New: "		return nil\n", Test: "./journal/sqlite -run TestNothingLocksInAnUnsoundJournal",
	},
	{
		Name: "journal: a pruned run leaves its head", File: "journal/sqlite/runs.go",
		Why: "a run that somebody pruned is said to be lost",
		Old: "		if err := j.heads.Drop(run); err != nil {\n			return err\n		}\n", New: "", Test: "./journal/sqlite -run TestHeadsGo",
	},
	{
		Name: "journal: the heads of runs that hold go", File: "journal/sqlite/check.go",
		Why: "that a job is held is known to the database alone",
		Old: ".Scan(&held) == nil && held == 0\n", New: ".Scan(&held) == nil\n", Test: "./journal/sqlite -run TestHeadsGo",
	},
	{
		Name: "repository: what a verify found is believed as it is", File: "repository/dir/mark.go",
		Why: "a flipped bit makes a verify newer than all that come",
		Old: " || v.Sum != \"\" && v.Sum != is:\n", New: " || v.Sum != \"\" && v.Sum != is && false:\n", Test: "./repository/dir -run TestAChangedVerifyIsNone",
	},
	{
		Name: "audit log: a changed head is passed over", File: "auditlog/verify.go",
		Why: "signed heads vanish, and a verify says nothing",
		Old: "	r.NoHead = len(own)\n", New: "	r.NoHead = 0 * len(own)\n", Test: "./auditlog -run TestVerify_TellsOfWhatIsNoHead",
	},
	{
		Name: "state: rows have no sum", File: "state/sqlstore/store.go",
		Why: "a flipped bit revives a token, or gives an approval",
		Old: "	if err == nil && !intact {\n", New: "	if err == nil && !intact && false {\n", Test: "./state/sqlite -run TestChangedRowsAreRefused",
	},
	{
		Name: "restic: what a verify found rotten is told to nobody", File: "repository/restic/verify.go", Test: "./repository/restic -run ARottenBlobIsStoredAgain",
		Why: "each later backup of the same content is damaged from the first day on",
		Old: "	if err := v.KeepRotten(ctx); err != nil {\n", New: "	if err := error(nil); err != nil {\n",
	},
	{
		Name: "restic: the first rotten blob of a range hides the others", File: "repository/restic/vault/load.go", Test: "./repository/restic/vault -run AllRottenBlobsOfARange",
		Why: "nine of ten blobs under a bad sector count as stored, and each later backup of their content is damaged",
		Old: "			first = cmp.Or(first, err)\n			continue\n", New: "			return err\n",
	},
	{
		Name: "restic: a bad sector is none of a blob", File: "repository/restic/vault/load.go", Test: "./repository/restic/vault -run AllRottenBlobsOfARange",
		Why: "what lies under a bad sector counts as stored for ever",
		Old: "	return errors.Is(err, syscall.EIO) && ", New: "	return errors.Is(err, syscall.EIO) && false && ",
	},
	{
		Name: "restic: a verify that found damage looks for no more", File: "repository/restic/search.go", Test: "./repository/restic -run AllThatIsRottenIsStoredAgain",
		Why: "the next backup shares what was not found, and is committed as verified",
		Old: "	if err := s.tree(root, \"\"); err != nil {\n", New: "	if err := error(nil); err != nil {\n",
	},
	{
		Name: "restic: below a lost folder nothing is looked at", File: "repository/restic/search.go", Test: "./repository/restic -run AllThatIsRottenIsStoredAgain",
		Why: "a folder below one that cannot be read counts as stored",
		Old: "	if s.lost {\n", New: "	if s.lost && false {\n",
	},
	{
		Name: "restic: what only a recipe names is not looked at", File: "repository/restic/search.go", Test: "./repository/restic -run AllThatIsRottenIsStoredAgain",
		Why: "the content of a folder that cannot be read counts as stored",
		Old: "	return is\n", New: "	return is && false\n",
	},
	{
		Name: "verify: what is damaged beside the first is left", File: "app/backups.go", Test: "./app -run AVerifyThatFoundDamageLooksForAllOfIt",
		Why: "the next backup shares what was not found, and is committed as verified",
		Old: "	if rep.Damaged {\n		a.findDamage", New: "	if rep.Damaged && false {\n		a.findDamage",
	},
	{
		Name: "restic: a folder that was replaced is damage", File: "repository/restic/store/file/file.go", Test: "./repository/restic -run TheFolderIsReplacedUnderAVerify",
		Why: "a disk is unmounted in the middle of a verify, and a good backup is called damaged from then on",
		Old: "fmt.Errorf(\"%w: it is not the folder that was opened: another disk was mounted there, or this one unmounted, or it was moved\", repository.ErrUnavailable)",
		New: "fmt.Errorf(\"%w: it is not the folder that was opened\", repository.ErrNotFound)",
	},
	{
		Name: "restic: entry lists are read from whatever is there", File: "repository/restic/read.go", Test: "./repository/restic -run TheFolderIsReplacedUnderAVerify",
		Why: "a disk is unmounted in the middle of a verify, and a good backup is called damaged from then on",
		Old: "	unpin, err := v.Pin()\n", New: "	unpin, err := func() {}, error(nil)\n",
	},
	{
		Name: "restic: a note that cannot be read stops everybody", File: "repository/restic/vault/rotten.go", Test: "./repository/restic/vault -run ANoteThatCannotBeRead",
		Why: "one bad sector under a small file, and nobody can back up or restore",
		Old: "	if ctx.Err() != nil || errors.Is(err, repository.ErrUnavailable) {\n", New: "	if err != nil || errors.Is(err, repository.ErrUnavailable) {\n",
	},
	{
		Name: "restic: what is known to be damaged is forgotten where nothing is reached", File: "repository/restic/vault/rotten.go", Test: "./repository/restic/vault -run ANoteThatCannotBeRead",
		Why: "a backup counts rotten blobs as stored because the store did not answer once",
		Old: "	if ctx.Err() != nil || errors.Is(err, repository.ErrUnavailable) {\n", New: "	if ctx.Err() != nil || errors.Is(err, repository.ErrUnavailable) && false {\n",
	},
	{
		Name: "restic: a note replaces what another one has found", File: "repository/restic/vault/rotten.go", Test: "./repository/restic/vault -run NobodysNoteReplacesAnothers",
		Why: "of two verifies at once, what one found counts as stored again",
		Old: "n.Pack.String() + \" \" + format.Sum(b).String()}", New: "n.Pack.String()}",
	},
	{
		Name: "restic: what is rotten beyond one note is left out", File: "repository/restic/vault/rotten.go", Test: "./repository/restic/vault -run MoreRottenBlobsThanOneNoteHas",
		Why: "a pack of many rotten blobs counts as stored for most of them",
		Old: "			notes = append(notes, rottenJSON{pack, some})\n", New: "			notes = append(notes, rottenJSON{pack, some})\n			break\n",
	},
	{
		Name: "restic: who relies on a folder follows the path", File: "repository/restic/store/file/file.go", Test: "./repository/restic -run TheFolderIsReplaced",
		Why: "half of an artifact lies on a disk that is not mounted any more, and it is said to be kept",
		Old: "		case s.pins > 0:\n", New: "		case s.pins > 0 && false:\n",
	},
	{
		Name: "recovery: a damaged run is not mended", File: "app/lost.go",
		Why: "a run with one damaged event stays locked for ever",
		Old: "	if !errors.Is(err, journal.ErrDamaged) {\n", New: "	if err != nil || run != nil {\n", Test: "./app -run TestJournalWithADamagedEvent",
	},
	{
		Name: "recovery: only a whole run says how it reached its instances", File: "app/settle.go",
		Why: "a damaged run of a deployment that is not configured any more stays locked for ever",
		Old: "	run, err := a.mended(ctx, id)\n", New: "	run, err := a.Run(ctx, id)\n", Test: "./app -run DamagedRunOfADeployment",
	},
	{
		Name: "recovery: a lost run is not told", File: "app/lost.go",
		Why: "a recovery says that nothing is to be done while jobs are locked",
		Old: "		case l.Whole && (", New: "		case false && (", Test: "./app -run TestJournalThatLostTheRun",
	},
	{
		Name: "recovery: what cannot be asked was not locked", File: "app/adopt.go",
		Why: "an instance that comes back stays locked",
		Old: "if len(lost) > 0 && !claimed", New: "if len(lost) > 1 && !claimed", Test: "./app -run TestLostEndOfAnInstanceThatComesBack",
	},
	{
		Name: "the journal is synced at checkpoints alone", File: "journal/sqlite/sqlite.go",
		Why: "a loss of power takes locks out of the journal that were taken",
		Old: "	if j.write, err = sqlitedb.Open(j.path(), \"FULL\", 1); err != nil {\n",
		New: "	if j.write, err = sqlitedb.Open(j.path(), \"NORMAL\", 1); err != nil {\n", Test: lostJournal,
	},
	{
		Name: "an artifact is not synced", File: "repository/dir/put.go",
		Why: "a verified backup has a tar without its end after a loss of power",
		Old: "		err = file.Sync()\n", New: "		err = nil\n", Test: lostRepository,
	},
	{
		Name: "the manifest is not synced", File: "repository/dir/commit.go",
		Why: "a backup that was told to be there has an empty manifest after a loss of power",
		Old: "w.Flush(), f.Sync(), f.Close())", New: "w.Flush(), f.Close())", Test: lostRepository,
	},
	{
		Name: "the commit is not synced", File: "repository/dir/commit.go",
		Why: "a backup that was told to be there is gone after a loss of power",
		Old: "errors.Join(r.at(\"sync commit\"), syncDir(dir.root))", New: "r.at(\"sync commit\")", Test: lostRepository,
	},
	{
		Name: "a deletion removes artifacts before it is synced", File: "repository/dir/commit.go",
		Why: "a backup is listed after a loss of power, and its artifacts are gone",
		Old: "dir.root.Rename(file, deletedMark), syncDir(dir.root))", New: "dir.root.Rename(file, deletedMark))", Test: lostRepository,
	},
	{
		Name: "a new backup's folder is not synced", File: "repository/dir/dir.go",
		Why: "a backup that was told to be there is gone, with its folder, after a loss of power",
		Old: "	return errors.Join(syncDir(root), syncDir(base))\n", New: "	return syncDir(root)\n", Test: lostRepository,
	},
}
