package main

// spillMutants are bugs in what keeps long lists of entries out of memory.
var spillMutants = []mutant{
	{
		Name: "spill: sorted runs are believed", File: "spill/merge.go", Test: "./spill -run TestAFlippedBitOfARun",
		Why: "a bit that flips on the scratch disk makes a good backup look damaged, or an instance's list another one",
		Old: "sum != binary.BigEndian.Uint32(h.sum[:]) {", New: "sum != binary.BigEndian.Uint32(h.sum[:]) && sum == 0 {",
	},
	{
		Name: "spill: the budget is never asked", File: "spill/pool.go", Test: "./spill -run TestManyListsAtOnce",
		Why: "sixteen artifacts of a million long names end a shared server",
		Old: "	if p.used.Add(n) <= p.lists {\n", New: "	if p.used.Add(n) >= 0 {\n",
	},
	{
		Name: "spill: a repository's lists are not asked of the budget", File: "spill/build.go", Test: "./repository/dir -run TestManyLongListsAtOnce",
		Why: "many artifacts of some megabytes of names each are in memory at once",
		Old: "	if b.bytes <= largest && b.pool.take(step) {\n", New: "	if b.bytes <= largest && b.pool.take(0) {\n",
	},
	{
		Name: "spill: short lists wait without a bound", File: "spill/list.go", Test: "./spill -run TestShortListsThatWait",
		Why: "the inventories of a thousand artifacts, each short, wait in memory for the verify step",
		Old: "	if !l.pool.take(more) {\n", New: "	if more < 0 {\n",
	},
	{
		Name: "spill: a list takes all that there is", File: "spill/sorter.go", Test: "./spill -run TestManyListsAtOnce",
		Why: "a list grows in memory without a bound of its own",
		Old: "taken > s.pool.share || !s.pool.take(taken)", New: "!s.pool.take(0)",
	},
	{
		Name: "spill: lists are compared by count only", File: "spill/diff.go", Test: "./spill -run TestListsAreCompared",
		Why: "a restore is called good whose files are others",
		Old: "p.A.Differs(*p.B, ignoreOwner); what != \"\" {", New: "p.A.Differs(*p.B, ignoreOwner); what == \"none\" {",
	},
	{
		Name: "spill: what only the second list has is not seen", File: "spill/diff.go", Test: "./spill -run TestListsAreCompared",
		Why: "a file that nobody recorded is placed",
		Old: "			d.add(p.B.Path, \"unexpected\")\n", New: "",
	},
	{
		Name: "spill: a long list may lead through a link", File: "spill/build.go", Test: "./spill -run TestASpilledList",
		Why: "an entry is placed where a symbolic link of the artifact points",
		Old: "		if !b.folder && e.Path[b.length] == '/' {\n", New: "		if !b.folder && e.Path[b.length] == 0 {\n",
	},
	{
		Name: "spill: a long list may have a path twice", File: "spill/build.go", Test: "./spill -run TestASpilledList",
		Why: "of two members of one name the one is judged and the other unpacked",
		Old: "	if p.any && e.Path == p.path {\n", New: "	if p.any && e.Path == \"\" {\n",
	},
	{
		Name: "spill: a long list keeps hard links as they came", File: "spill/build.go", Test: "./spill -run TestASpilledList",
		Why: "equal artifacts have different digests, and a good backup fails",
		Old: "	if err != nil || !b.links {\n", New: "	if err != nil || b.links {\n",
	},
	{
		Name: "spill: what a temporary file gives back is believed", File: "spill/list.go", Test: "./spill -run TestAFileThatGivesBack",
		Why: "a disk that errs changes the list that a backup records",
		Old: "		if sum.digest() != l.digest {\n", New: "		if sum.digest() == \"\" {\n",
	},
	{
		Name: "spill: a forgotten list keeps its memory", File: "spill/build.go", Test: "./spill -run TestAFewEntries",
		Why: "a server whose runs fail has no memory for lists any more, and writes all of them",
		Old: "		runtime.AddCleanup(l, (*grant).giveBack, l.taken)\n", New: "		runtime.KeepAlive(l)\n",
	},
	{
		Name: "spill: large things are held all at once", File: "spill/pool.go", Test: "./spill -run TestHold",
		Why: "four folders of a million files are in memory at once",
		Old: "	n = min(max(n, 0), p.wholes)\n", New: "	n = min(max(n, 0), p.wholes, 1)\n",
	},
	{
		Name: "restic: trees are compared by length only", File: "repository/restic/verify_tree.go", Test: "./repository/restic -run TestTreesAreCompared",
		Why: "stock restic restores another file than the one that a verify called good",
		Old: "		same = known.Sum == sumOf(n.Content)\n", New: "		same = known.Path == e.Path\n",
	},
	{
		Name: "restic: owners and modes of trees are not compared", File: "repository/restic/verify_tree.go", Test: "./repository/restic -run TestTreesAreCompared",
		Why: "stock restic restores a program with setuid root that nobody backed up",
		Old: " || n.Mode != want.Mode || n.UID != want.UID || n.GID != want.GID || ", New: " || ",
	},
	{
		Name: "restic: names of a tree come in any order", File: "repository/restic/verify_tree.go", Test: "./repository/restic -run TestTreesAreCompared",
		Why: "a tree has one name twice and another not at all, and counts as whole",
		Old: "		if n.Name <= last {\n", New: "		if n.Name+last == \"\" {\n",
	},
	{
		Name: "restic: which nodes are one file is not compared", File: "repository/restic/verify_tree.go", Test: "./repository/restic -run TestTreesAreCompared",
		Why: "stock restic restores two files as one, and the one has the content of the other",
		Old: "		n.Links != want.Links || n.Inode != want.Inode || ", New: "		",
	},
	{
		Name: "restic: an artifact's own folder is not compared", File: "repository/restic/verify_tree.go", Test: "./repository/restic -run TestTheFolderOfAnArtifact",
		Why: "stock restic restores a folder that anybody may write to",
		Old: "	if err := c.same(\".\", n, e, ok); err != nil {\n", New: "	if err := c.same(\".\", n, e, ok); err != nil && n.Subtree == nil {\n",
	},
	{
		Name: "restic: folders that nothing implies are let through", File: "repository/restic/verify_tree.go", Test: "./repository/restic -run TestTreesAreCompared",
		Why: "stock restic restores folders that nobody backed up",
		Old: "		} else if !ok { // only", New: "		} else if !ok && path == \"\" { // only",
	},
	{
		Name: "restic: a verify holds memory while it reads content", File: "repository/restic/verify_tree.go", Test: "./repository/restic -run TestContentIsReadOnce",
		Why: "one verify of a slow store stops the transfers of all runs",
		Old: "	defer release()\n	last, empty", New: "	_ = release\n	last, empty",
	},
	{
		Name: "restic: a large tree is in memory as a whole", File: "repository/restic/tree_files.go", Test: "./repository/restic -run TestALargeFolderIsNever",
		Why: "a folder of a million files takes most of a gigabyte while it is backed up",
		Old: "	if t.nodes.Size() <= vault.LargeTree {", New: "	if t.nodes.Size() <= 1<<40 {",
	},
	{
		Name: "restic: a large tree is read as a whole", File: "repository/restic/vault/stream.go", Test: "./repository/restic -run TestALargeFolderIsNever",
		Why: "a folder of a million files takes a gigabyte while it is verified",
		Old: "!ok || b.Size() <= LargeTree {", New: "!ok || b.Size() <= 1<<40 {",
	},
	{
		Name: "restic: a large tree is not opened before it counts", File: "repository/restic/vault/stream.go", Test: "./repository/restic/vault -run TestAStreamThatIsSpoiled",
		Why: "what a bad disk made of a folder's list is stored as its backup",
		Old: "	if err := b.Prove(k, sealed); err != nil {", New: "	if err := error(nil); err != nil {",
	},
	{
		Name: "restic: a large tree that is not whole is used", File: "repository/restic/format/stream.go", Test: "./repository/restic/format -run TestAStreamIsABlob",
		Why: "a verify calls a folder whole whose content is another one",
		Old: "	if err == nil && ID(sum.Sum(nil)) != b.ID {", New: "	if err == nil && b.Length == 0 {",
	},
	{
		Name: "restic: a pack takes any number of short blobs", File: "repository/restic/format/pack.go", Test: "./repository/restic/format -run TestAPackOfManyBlobs",
		Why: "stock restic cannot read the packs of very short files",
		Old: " || len(p.Blobs) >= packBlobs }", New: " || len(p.Blobs) >= 100*packBlobs }",
	},
	{
		Name: "restic: each folder that is put waits for memory", File: "repository/restic/tree_files.go", Test: "./repository/restic -run TestTreesAreSaved",
		Why: "an artifact of very many small folders waits for each of them while others have a large one",
		Old: "nodes.Size() > unheld {\n", New: "nodes.Size() > 0 {\n",
	},
	{
		Name: "restic: a file is read again for each of its names", File: "repository/restic/verify_tree.go", Test: "./repository/restic -run TestContentIsReadOnce",
		Why: "a verify of snapshots that share files reads everything many times",
		Old: "		if f.node.Links > 1 {\n", New: "		if f.node.Links > 1<<40 {\n",
	},
	{
		Name: "restic: files have the name that the stream began with", File: "repository/restic/verify.go", Test: "./repository/restic -run TestTreesAreCompared",
		Why: "files with several names are read whole by each verify though the recipe has them",
		Old: "			if path, err = home(list, repository.MemberPath(h)); err == nil {\n", New: "			if path = repository.MemberPath(h); err == nil {\n",
	},
	{
		Name: "restic: a hole is read to its end", File: "repository/restic/verify.go", Test: "./repository/restic -run TestAHoleIsLeft",
		Why: "a verify of one sparse file cannot be stopped",
		Old: "io.Copy(io.Discard, stopping{ctx, in})", New: "io.Copy(io.Discard, in)",
	},
	{
		Name: "restic: no room for links is an archive that is cut off", File: "repository/restic/put.go", Test: "./repository/restic -run NoRoomForTheLinks",
		Why: "whoever looks for the reason looks at the instance, not at the full folder",
		Old: "		rebuilt.failed = splitErr\n", New: "",
	},
	{
		Name: "spill: no room for a list is damage", File: "repository/verify.go", Test: "./repository -run TestNoRoomForAList",
		Why: "a good backup is marked damaged because a disk of the orchestrator is full",
		Old: " && !errors.Is(err, spill.ErrSpill) {", New: " {",
	},
	{
		Name: "spill: a name of any length is read", File: "repository/tar.go", Test: "./repository -run TestReadTarBoundsNames",
		Why: "what is read of sorted files at once is bounded by names",
		Old: "	if max(len(e.Path), len(e.Link)) > MaxName {\n", New: "	if max(len(e.Path), len(e.Link)) < 0 {\n",
	},
	{
		Name: "spill: what hard links point to is not counted", File: "entries_bounds.go", Test: ". -run TestNamesAreBounded",
		Why: "an instance that sends one long name and very many hard links fills the disk of the journal",
		Old: "NameBytes(len(e.Path) + len(e.Link))", New: "NameBytes(len(e.Path))",
	},
	{
		Name: "spill: names are bounded only as they come", File: "spill/build.go", Test: "./spill -run TestFewNames",
		Why: "an instance that sends one long name and very many hard links fills the disk of the journal",
		Old: "	if err := w.names.Add(e, l.pool.names); err != nil {\n", New: "	if err := w.names.Add(e, lockstep.MaxNameBytes); err != nil {\n",
	},
	{
		Name: "spill: names that come are not bounded", File: "spill/build.go", Test: "./spill -run TestFewNames",
		Why: "the inventory of a hostile instance fills the disk of the journal before the list is made",
		Old: "	if err := b.names.Add(e, b.pool.names); err != nil {\n", New: "	if err := b.names.Add(e, lockstep.MaxNameBytes); err != nil {\n",
	},
	{
		Name: "spill: paths of any depth are taken", File: "entries.go", Test: ". -run TestFoldersAreBounded",
		Why: "one member of a tar is thirty thousand folders, one below the other",
		Old: "	if strings.Count(path, \"/\") >= MaxDepth {\n", New: "	if strings.Count(path, \"/\") < 0 {\n",
	},
	{
		Name: "spill: folders without an entry are not counted", File: "entries_bounds.go", Test: ". -run TestFoldersAreBounded",
		Why: "a few thousand members of a tar are a hundred million trees",
		Old: "	p.n += strings.Count(e.Path[same:], \"/\")\n", New: "	p.n += 0 * strings.Count(e.Path[same:], \"/\")\n",
	},
	{
		Name: "spill: folders of a long list are not counted", File: "spill/build.go", Test: "./spill -run TestFoldersOfALongList",
		Why: "a few thousand members of a tar are a hundred million trees",
		Old: "	if err := w.place.Add(e, l.pool.places); err != nil {\n", New: "	if err := w.place.Add(e, 1<<40); err != nil {\n",
	},
	{
		Name: "spill: digests without an end are taken in", File: "launcher/gather.go", Test: "./launcher -run TestDigestsAreBounded",
		Why: "an instance fills the disk of the orchestrator",
		Old: "lines > g.n || names > g.names {", New: "lines < 0 {",
	},
	{
		Name: "spill: a full temporary folder is called a full repository", File: "repository/dir/dir.go", Test: "./repository/dir -run TestAFullTemporaryFolder",
		Why: "an operator deletes backups, and the next run fails again",
		Old: "	if full && !errors.Is(err, spill.ErrSpill) {\n", New: "	if full || errors.Is(err, spill.ErrSpill) {\n",
	},
	{
		Name: "s3: a connection that is silent is waited for", File: "repository/restic/store/s3/connection.go", Test: "./repository/restic/store/s3 -run TestASilentConnection",
		Why: "a service that stops in the middle of an answer holds a restore for ever",
		Old: "SetReadDeadline(time.Now().Add(left))", New: "SetReadDeadline(time.Now().Add(1000 * left))",
	},
	{
		Name: "s3: an upload does not count while its answer is awaited", File: "repository/restic/store/s3/connection.go", Test: "./repository/restic/store/s3 -run TestASlowConnection",
		Why: "a large file over a slow link never arrives",
		Old: "max(since, time.Duration(w.moved.Load()))", New: "since",
	},
	{
		Name: "s3: a service that was never there is waited for", File: "repository/restic/store/s3/patience.go", Test: "./repository/restic/store/s3 -run TestPatience",
		Why: "a mistyped address is told after two minutes",
		Old: "!passing(err) || !s.answered.Load() ||", New: "!passing(err) ||",
	},
	{
		Name: "s3: a service that is away for a moment fails the backup", File: "repository/restic/store/s3/patience.go", Test: "./repository/restic/store/s3 -run TestPatience",
		Why: "a night's backup is lost to a restart of the service",
		Old: "if !passing(err) ||", New: "if true ||",
	},
	{
		Name: "restic: a blob that was spoiled on its way is damaged", File: "repository/restic/vault/load.go", Test: "./repository/restic -run TestWhatIsSpoiled",
		Why: "a good backup is called damaged",
		Old: "			plain, err = v.reread(ctx, w)\n", New: "			err = v.rotten(w, err)\n",
	},
	{
		Name: "restic: a file that was spoiled on its way is damaged", File: "repository/restic/vault/files.go", Test: "./repository/restic -run TestWhatIsSpoiled",
		Why: "a good backup is called damaged",
		Old: "	if errors.Is(err, repository.ErrCorrupt) {\n		return v.loadFileOnce", New: "	if err == nil {\n		return v.loadFileOnce",
	},
	{
		Name: "s3: the machine is asked for its role without end", File: "repository/restic/store/s3/credentials.go", Test: "./repository/restic/store/s3 -run AMachineThatDoesNotAnswer",
		Why: "a command hangs where packets to the metadata service vanish",
		Old: "	ctx, stop := context.WithTimeoutCause(ctx, i.within, fmt.Errorf(\"nobody answered within %s\", i.within))", New: "	ctx, stop := context.WithCancel(ctx)",
	},
	{
		Name: "s3: each request asks the machine anew", File: "repository/restic/store/s3/credentials.go", Test: "./repository/restic/store/s3 -run AMachineThatDoesNotAnswer",
		Why: "a hundred requests wait for ten seconds each",
		Old: "	if i.failure != nil && now.Before(i.renew) {", New: "	if false {",
	},
	{
		Name: "s3: credentials are dropped before their end", File: "repository/restic/store/s3/credentials.go", Test: "./repository/restic/store/s3 -run CredentialsOfTheMachine",
		Why: "a backup fails because the metadata service is away for a moment",
		Old: "	case i.good(now):", New: "	case false:",
	},
	{
		Name: "s3: the service is asked as nobody", File: "repository/restic/store/s3/credentials.go", Test: "./repository/restic/store/s3 -run NoCredentials",
		Why: "without credentials the message is of a forbidden bucket",
		Old: "	return i.value, i.failure\n", New: "	return i.value, nil\n",
	},
	{
		Name: "s3: another identity than the file that is named", File: "repository/restic/store/s3/credentials.go", Test: "./repository/restic/store/s3 -run ANamedFileIsMeant",
		Why: "a typing error in a file has backups go with the machine's rights, perhaps elsewhere",
		Old: "	if i.file != \"\" {\n		// Who", New: "	if false {\n		// Who",
	},
	{
		Name: "s3: expired credentials are used again", File: "repository/restic/store/s3/s3.go", Test: "./repository/restic/store/s3 -run CredentialsOfTheMachine",
		Why: "a backup fails though the machine has new ones",
		Old: "		s.creds.Expire() // there may be new ones already\n", New: "",
	},
	{
		Name: "restic: what is needed is told by the numbers of another index", File: "repository/restic/vault/set.go", Test: "./repository/restic/vault -run TestASet",
		Why: "a prune removes what a backup needs",
		Old: "		if len(s.bits[format.Data])+len(s.bits[format.Tree]) > 0 {", New: "		if false {",
	},
	{
		Name: "restic: what a prune is about to remove counts as stored", File: "repository/restic/vault/index.go", Test: "./repository/restic -run Prune",
		Why: "blobs are gone with the pack that they are moved out of",
		Old: "!x.bad[p.pack] && !x.leaving[p.pack] &&", New: "!x.bad[p.pack] &&",
	},
	{
		Name: "restic: a prune goes on where an index cannot be read", File: "repository/restic/vault/prune_look.go", Test: "./repository/restic/vault -run APruneNeedsAllIndexes",
		Why: "packs that only that index knows are removed",
		Old: "	return v.index.unread\n", New: "	return nil\n",
	},
	{
		Name: "restic: an index has a second place of a blob no more", File: "repository/restic/vault/index.go", Test: "./repository/restic -run 'Stored|Prune|Twice|Heal|Rotten'",
		Why: "a blob that was stored again is read where it is rotten",
		Old: "		x.others[h] = append(x.others[h], at)\n", New: "",
	},
	{
		Name: "restic: a blob is not found behind another of its slot", File: "repository/restic/vault/table.go", Test: "./repository/restic/vault -run TestATable",
		Why: "what is stored is stored again, or called missing",
		Old: "	for t.slots[i] != 0 {", New: "	for false {",
	},
	{
		Name: "put back: nobody remembers what was committed", File: "app/rolledback.go", Test: "./app -run ARepositoryThatIsPutBack",
		Why: "a repository that lost a week of backups is taken for a whole one",
		Old: "	s.Recent = append(s.Recent, committedAt{id, b.FinishedAt})\n", New: "	_ = b\n",
	},
	{
		Name: "put back: told once", File: "app/rolledback.go", Test: "./app -run ARepositoryThatIsPutBack",
		Why: "the next backup hides that others are gone",
		Old: "		s.Lost = append(s.Lost, s.Recent[n])\n		s.Recent", New: "		s.Recent",
	},
	{
		Name: "put back: what is forgotten is missed", File: "app/backups.go", Test: "./app -run WhatIsForgottenIsNotMissed",
		Why: "every forget is followed by an alarm, until nobody reads them",
		Old: "a.expectNoMore(ctx, false, id)", New: "a.expectNoMore(ctx, false, \"\")",
	},
	{
		Name: "put back: accepting it changes nothing", File: "app/place.go", Test: "./app -run ARepositoryThatIsPutBack",
		Why: "a warning that nobody can end",
		Old: "		err = a.expectNoMore(ctx, true, \"\")\n", New: "",
	},
	{
		Name: "restic: old indexes are damage", File: "repository/restic/vault/prune_look.go", Test: "./repository/restic -run EachTrouble",
		Why: "who put back old index files is told that backups are lost",
		Old: "	if untold == 0 {", New: "	if true {",
	},
	{
		Name: "s3: a service that is full is taken for a busy one", File: "repository/restic/store/s3/s3.go", Test: "./repository/restic/store/s3 -run WhatAServiceSays",
		Why: "a backup waits for two minutes, and then does not say that room is to be made",
		Old: "	case answer.Code == \"QuotaExceeded\",", New: "	case false,",
	},
	{
		Name: "s3: each request waits anew for a service that is away", File: "repository/restic/store/s3/patience.go", Test: "./repository/restic/store/s3 -run TestPatience",
		Why: "a backup whose service is gone takes two minutes for each of what it tidies up",
		Old: "			s.answered.Store(false) // one is waited for once, not by each request anew\n", New: "",
	},
}
