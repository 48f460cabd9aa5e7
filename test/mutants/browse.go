package main

// browseMutants are bugs in what looks into backups.
var browseMutants = []mutant{
	{
		Name: "browse: a list in any order is compared", File: "entries_pairs.go", Test: ". -run TestEntryPairs",
		Why: "files are told as deleted that are there",
		Old: "if p.at != nil && p.at.Path >= e.Path {", New: "if p.at != nil && p.at.Path == \"\" {",
	},
	{
		Name: "browse: a folder's name begins those of others", File: "browse/browse.go", Test: "./browse -run TestChanges",
		Why: "changes of conf-old are told of conf",
		Old: "strings.HasPrefix(path, p.Path+\"/\")", New: "strings.HasPrefix(path, p.Path)",
	},
	{
		Name: "browse: a list that breaks off has ended", File: "browse/find.go", Test: "./browse -run TestAListThatBreaksOff",
		Why: "a file that is in a backup is said to be in none",
		Old: "			if err != nil {\n				return err\n			}\n			if e.Path", New: "			if err != nil {\n				break\n			}\n			if e.Path",
	},
	{
		Name: "browse: whoever sees backups sees their files", File: "access/guard_read.go", Test: "./access -run TestGuard",
		Why: "a viewer reads the names of everybody's files",
		Old: "g.allowBackup(ctx, BackupsBrowse, id)", New: "g.allowBackup(ctx, BackupsRead, id)",
	},
}
