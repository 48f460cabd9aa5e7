package main

// helperMutants are bugs in the helper, and in how instances are lent it.
var helperMutants = []mutant{
	{
		Name: "helper: links are followed", File: "helper/errors.go", Test: "./helper -run SwappedLinks|StaysInside",
		Why: "root reads, or writes, another file that a link was swapped in for",
		Old: "flags|unix.O_NOFOLLOW|unix.O_CLOEXEC", New: "flags|unix.O_CLOEXEC",
	},
	{
		Name: "helper: whatever was tried pays", File: "helper/pace.go", Test: "./helper -run Pace",
		Why: "a processor is kept busy where nothing gets faster by it",
		Old: "p.compress = rate >= 1.1*p.plain", New: "p.compress = true",
	},
	{
		Name: "helper: a frame unpacks to any size", File: "helper/frames.go", Test: "./launcher -run HelperOutput",
		Why: "a hostile instance takes the orchestrator's memory",
		Old: "zstd.WithDecoderMaxMemory(MaxFrame), ", New: "",
	},
	{
		Name: "helper: half a frame is an end", File: "helper/frames.go", Test: "./helper -run BrokenFrames",
		Why: "a restore goes on with a part of its artifact",
		Old: "	if err == io.EOF {\n		return io.ErrUnexpectedEOF", New: "	if err == io.EOF {\n		return err",
	},
	{
		Name: "helper: a file that changed is whole", File: "helper/walk.go", Test: "./launcher -run TestWhatChangesIsTouched",
		Why: "an artifact is half of one moment and half of another, and is called verified",
		Old: "uint64(st.Ctim.Sec), uint64(st.Ctim.Nsec)", New: "0, 0",
	},
	{
		Name: "helper: an archive that was cut off is placed", File: "helper/place.go", Test: "./helper -run HalfAnArchive",
		Why: "a restore goes on with a part of its artifact",
		Old: "	if p.in.over {\n", New: "	if p.in.over && false {\n",
	},
	{
		Name: "helper: an archive's names may lead out", File: "helper/place.go", Test: "./helper -run StaysInside",
		Why: "an unproven archive writes wherever it likes",
		Old: "		if part == \"..\" {\n", New: "		if part == \"...\" {\n",
	},
	{
		Name: "helper: what was written is taken for what is there", File: "helper/known.go", Test: "./helper -run KnownAsLongAs",
		Why: "a file that somebody changed after it was placed counts as the backup's",
		Old: "k.size != st.Size || k.ctime != st.Ctim", New: "k.size != st.Size || false && k.ctime != st.Ctim",
	},
	{
		Name: "helper: its words need no end", File: "launcher/helperoutput.go", Test: "./launcher -run HelperOutput",
		Why: "a transfer that broke off is taken for all there is",
		Old: "	if o.err == nil && !o.ended {\n", New: "	if o.err == nil && !o.ended && false {\n",
	},
	{
		Name: "helper: a digest of a folder is taken", File: "launcher/helperoutput.go", Test: "./launcher -run HelperOutput",
		Why: "what makes no sense is believed",
		Old: " || item.Type != 'f' {", New: " {",
	},
	{
		Name: "helper: what arrived is not compared", File: "launcher/sh/68-helper.sh", Test: "./launcher -run WhereNoHelperCanBe",
		Why: "root runs a program that somebody put in between",
		Old: "[ \"${lks_s%% *}\" != \"$1\" ]; then", New: "[ \"${lks_s%% *}\" = x ]; then",
	},
	{
		Name: "helper: what cannot be digested is executed", File: "launcher/sh/68-helper.sh", Test: "./launcher -run WhereNoHelperCanBe",
		Why: "where sha256sum fails, root runs whatever arrived",
		Old: "	elif ! lks_s=$(sha256sum <\"$lks_t\") || [", New: "	elif lks_s=$(sha256sum <\"$lks_t\") && [",
	},
	{
		Name: "helper: a hole is believed", File: "helper/sparse.go", Test: "./helper -run AHoleThatIsNone",
		Why: "data that a file system calls a hole is left out of the backup, which is called verified",
		Old: "		if !allZeros(p[:n]) {\n", New: "		if !allZeros(p[:n]) && false {\n",
	},
	{
		Name: "helper: a part begins within a block", File: "helper/sparse.go", Test: "./helper -run Parts",
		Why: "GNU tar unpacks zeros for what it was",
		Old: "min(from, st.Size)&^(block-1)", New: "min(from, st.Size)",
	},
	{
		Name: "helper: a part ends within a block", File: "helper/sparse.go", Test: "./helper -run Parts",
		Why: "GNU tar unpacks the next part from the wrong place",
		Old: "min((to+block-1)&^(block-1), st.Size)", New: "min(to, st.Size)",
	},
	{
		Name: "helper: parts are gathered without a bound", File: "helper/sparse.go", Test: "./helper -run PartsAreWholeBlocks",
		Why: "a file of many holes takes the instance's memory",
		Old: "len(data) > 2*maxExtents;", New: "len(data) > 1<<40;",
	},
	{
		Name: "helper: what was read is not looked at again", File: "helper/walk.go", Test: "./helper -run WhatChangesBehindItsBack",
		Why: "a file that was written when it had been read is of another moment than the next one, and nobody says so",
		Old: "	if w.looked.Sum64() != before && !w.touched {\n", New: "	if w.looked.Sum64() != before && false {\n",
	},
	{
		Name: "helper: names are kept for ever", File: "helper/file.go", Test: "./helper -run NamesAreForgotten",
		Why: "a folder of many hard links takes the instance's memory",
		Old: "w.kept > maxNames {", New: "w.kept > maxNames<<20 {",
	},
	{
		Name: "helper: members are not counted", File: "helper/place.go", Test: "./helper -run MembersAreBounded",
		Why: "an archive of folders without end takes the instance's memory",
		Old: "p.n > maxEntries || p.names > maxNames {", New: "p.names > maxNames {",
	},
	{
		Name: "helper: a device is opened", File: "helper/file.go", Test: "./helper -run OnlyFilesAreOpened",
		Why: "to open what a name was given to a moment ago does something",
		Old: "openAt(dir, name, unix.O_PATH, 0)", New: "openAt(dir, name, unix.O_RDONLY|unix.O_NONBLOCK, 0)",
	},
	{
		Name: "helper: one that has spoken is taken for none", File: "launcher/lend.go", Test: "./launcher -run SaysThatItIsGone",
		Why: "a restore is begun anew for ever",
		Old: "	case errors.Is(err, ErrUnlent):\n", New: "	case errors.Is(err, ErrUnlent) && false:\n",
	},
	{
		Name: "helper: one that was killed is asked again", File: "launcher/lend.go", Test: "./launcher -run AHelperThatIsKilled",
		Why: "where memory is short, no try of a transfer comes to its end",
		Old: "err = fmt.Errorf(\"%w: %w\", ErrHelperKilled, err)\n		c.lending.lost(err)\n", New: "err = fmt.Errorf(\"%w: %w\", ErrHelperKilled, err)\n",
	},
	{
		Name: "helper: no try goes on by the shell", File: "executor/anew.go", Test: "./executor -run GoesOnByTheShell",
		Why: "a backup fails for want of memory that the shell does not need",
		Old: "		return a.killed == 1\n", New: "		return false\n",
	},
	{
		Name: "helper: none is heard of for ever", File: "executor/anew.go", Test: "./executor -run NoHelperForEver",
		Why: "a restore goes round in a circle",
		Old: "		return a.unlent == 1\n", New: "		return true\n",
	},
	{
		Name: "helper: a part of a push stays", File: "launcher/sh/68-helper.sh", Test: "./launcher -run FoldersOfOddNames",
		Why: "a program of ours is left on the instance",
		Old: " \"$lks_RUN\"/new-helper-*; do", New: "; do",
	},
	{
		Name: "helper: room for records is not left", File: "launcher/sh/68-helper.sh", Test: "./launcher -run WhereNoHelperCanBe",
		Why: "an unlock cannot be noted, where the helper fills the run folder",
		Old: "	if [ $(($1 * $3 - lks_n)) -lt \"$lks_W\" ]; then\n", New: "	if [ $(($1 * $3 - lks_n)) -lt 0 ]; then\n",
	},
	{
		Name: "helper: it stays when the run lets go", File: "launcher/sh/40-claim.sh", Test: "./launcher -run TheHelperGoesWithTheRun",
		Why: "a program of ours is left on the instance",
		Old: "	lks_drop_scripts\n	lks_drop_helper\n", New: "	lks_drop_scripts\n",
	},
	{
		Name: "helper: an archive that was begun is unpacked by tar", File: "launcher/tar.go", Test: "./launcher -run AHelperThatIsGone",
		Why: "what was read for the helper is missing in what the shell unpacks",
		Old: "done || errors.Is(err, ErrUnlent) {", New: "done {",
	},
}
