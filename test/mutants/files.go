package main

// fileMutants are bugs in what happens to artifacts' files on an instance.
var fileMutants = []mutant{
	{
		Name: "files: removal does not look at mounts", File: "launcher/sh/62-remove.sh", Test: "./launcher -run RemovalStopsAtMounts",
		Why: "the end of a backup deletes the live data that a job has mounted",
		Old: "	lks_text=$(lks_mounted \"$1\") || return 98\n", New: "	lks_text=\n",
	},
	{
		Name: "files: removal sees later mounts", File: "launcher/sh/62-remove.sh", Test: "./launcher -run RemovalSeesNoLaterMount",
		Why: "what is mounted while rm works is deleted",
		Old: "	unshare -m \"$lks_SH\" \"$lks_L\" remove \"$1\" 2>/dev/null\n", New: "	false\n",
	},
	{
		Name: "files: whatever is there is removed", File: "launcher/sh/62-remove.sh", Test: "./launcher -run RemovalIsOfOurs",
		Why: "a cleanup with a mistyped location deletes a folder of somebody's",
		Old: "|| rmdir -- \"$1\" 2>/dev/null\n", New: "|| true\n",
	},
	{
		Name: "files: removal beside the unpacking", File: "launcher/sh/62-remove.sh", Test: "./launcher -run RemovalStopsUnpacking",
		Why: "the removal fails, and its error replaces the cause",
		Old: "	if ! lks_end_unpacking \"$3\" \"$lks_dir\"; then\n", New: "	if false; then\n",
	},
	{
		Name: "files: digests follow links", File: "launcher/sh/66-digest.sh", Test: "./launcher -run InventoryOpensNoOther",
		Why: "root opens and digests a file that a writer of the artifact chose",
		Old: "	case $lks_kinds in\n	*W*) ;;\n", New: "	case $lks_kinds in\n	*WWW*) ;;\n",
	},
	{
		Name: "files: an archive that changed needs no second look", File: "executor/collect.go", Test: "./executor -run OnlyBytesCount",
		Why: "half of an old file and half of a new one are verified",
		Old: "			e.dropInventory(t.Step.Artifact) // the verify step takes one of what is there now\n", New: "",
	},
	{
		Name: "files: a FIFO is not looked for", File: "executor/folder.go", Test: "./executor -run NothingMovesBefore",
		Why: "an artifact that cannot be kept is moved first",
		Old: "	case len(s.Odd) > 0:\n", New: "	case false:\n",
	},
	{
		Name: "files: a mount is read", File: "executor/folder.go", Test: "./executor -run MountsOutlive",
		Why: "live data is collected as it changes",
		Old: "	case len(s.Mounts) > 0:\n", New: "	case false:\n",
	},
	{
		Name: "files: a damaged stream is a lost connection", File: "launcher/tar.go", Test: "./executor -run DamageIsToldOnce",
		Why: "a damaged backup is sent three times and told as a lost connection",
		Old: "		err = fault // ", New: "		err = errors.Join(fault, err) // ",
	},
	{
		Name: "files: a folder of others is followed", File: "launcher/sh/66-digest.sh", Test: "./launcher -run NobodyFollows",
		Why: "the digest of one file is taken for that of another one, which a script is then given",
		Old: "	[ -n \"$lks_fresh\" ] && [ \"$1\" != - ] && [ \"$((0$lks_UM & 022))\" = 18 ] || return 1\n", New: "	[ \"$1\" != - ] || return 1\n",
	},
	{
		Name: "files: what nobody followed counts as digested", File: "launcher/sh/66-digest.sh", Test: "./launcher -run PlacedIsWhatIsThere",
		Why: "a file whose name is odd keeps a restore from ever ending well",
		Old: "	0*B*) cat", New: "	*B*) cat",
	},
	{
		Name: "files: a prefix under GNU's magic", File: "repository/tar.go", Test: "./repository -run OneReading",
		Why: "what is verified is not what a restore unpacks",
		Old: "	if err == nil && (t.scan.odd || ambiguous(h)) {\n", New: "	if err == nil && ambiguous(h) {\n",
	},
	{
		Name: "files: a time beyond its range wraps", File: "entries_numbers.go", Test: ". -run EntryTime",
		Why: "two readers of one time make different numbers of it",
		Old: "sec > last.Unix() ||", New: "",
	},
	{
		Name: "files: any number is an owner", File: "entries_numbers.go", Test: ". -run EntryNumbers",
		Why: "an owner that no file can have is kept and never comes back",
		Old: "const maxOwner = math.MaxUint32 - 1\n", New: "const maxOwner = math.MaxInt64\n",
	},
}
