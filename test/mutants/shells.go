package main

// shellMutants are bugs in how the launcher meets shells, tools and logins.
var shellMutants = []mutant{
	{
		Name: "launcher: a variable without the prefix", File: "launcher/sh/20-step.sh", Test: "./launcher -run NamesAreOurs|EnvironmentOfALogin",
		Why: "a script sees a value of ours in a variable of the login's",
		Old: "	lks_created_=$?\n	set +C\n	return \"$lks_created_\"\n",
		New: "	created=$?\n	set +C\n	return \"$created\"\n",
	},
	{
		Name: "login: the input is not proven", File: "target/login.go", Test: "./launcher -run LoginsThatRunNoCommand",
		Why: "a start file that reads eats the launcher's text, and the run hangs",
		Old: "[ \"$lks_b\" = \"exit 97\" ] || {", New: "[ \"$lks_b\" = \"exit 97\" ] || true || {",
	},
	{
		Name: "login: the text is sent before anybody listens", File: "launcher/channel.go", Test: "./launcher -run TheTextIsForNobodyElse",
		Why: "another shell in the launcher's place runs its text",
		Old: "		if in.text == \"\" {\n", New: "		if in.rest, in.text = in.text, \"\"; in.rest != \"\" {\n			break\n		}\n		if in.text == \"\" {\n",
	},
	{
		Name: "login: a greeting is passed over", File: "discover/frame.go", Test: "./discover -run LoginsThatRunNoCommand",
		Why: "it is found in an artifact, when everything is locked",
		Old: "	if len(before) > 0 {\n", New: "	if false {\n",
	},
	{
		Name: "login: what is printed at the end is passed over", File: "discover/frame.go", Test: "./discover -run LoginsThatRunNoCommand",
		Why: "collecting fails on it, after lock and work",
		Old: "			if len(after) > 0 {\n", New: "			if false {\n",
	},
	{
		Name: "login: silence is waited for", File: "launcher/channel.go", Test: "./launcher -run ALoginThatWaits",
		Why: "a run hangs for as long as a start file does",
		Old: "	s.silent.Store(true)\n	s.close(endWithin)\n", New: "",
	},
	{
		Name: "launcher: a shell that cannot serve is taken", File: "launcher/text.go", Test: "./launcher -run ShellsAndToolsThatCannotServe",
		Why: "its first step never answers",
		Old: "case $lks_n in\n  0) ;;\n  8)", New: "case $lks_n in\n  *) ;;\n  8)",
	},
	{
		Name: "launcher: a folder that goes is somebody else's", File: "launcher/text.go", Test: "./launcher -run AFolderThatGoes",
		Why: "a run, or a recovery, is refused because another session ends in that moment",
		Old: "  lks_k=$(stat -c %f -- \"$lks_d\" 2>/dev/null) || continue\n", New: "  lks_k=$(stat -c %f -- \"$lks_d\" 2>/dev/null)\n",
	},
	{
		Name: "launcher: others may look into the folder", File: "launcher/text.go", Test: "./launcher -run AFolderOfOthers",
		Why: "whoever has a login on the instance reads records and scripts, or changes them",
		Old: "      4?[048c]0) if", New: "      4???) if",
	},
}
