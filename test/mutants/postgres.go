package main

// What takes a server is tried by test/postgres/run alone.
const inPGDB = "./internal/pgdb"

var postgresMutants = []mutant{
	{
		Name: "postgres: a password in a connection string", File: "internal/pgdb/pgdb.go", Test: inPGDB,
		Why: "who lists processes, or is shown a configuration, reads it",
		Old: "has || u.Query().Has(\"password\")", New: "has && u.Query().Has(\"password\")",
	},
	{
		Name: "postgres: the configuration may hold a password", File: "config/state.go", Test: "./config -run TestState",
		Why: "whoever is shown the configuration reads it",
		Old: "err := pgdb.CheckURL(url); err != nil {", New: "err := pgdb.CheckURL(url); err != nil && false {",
	},
	{
		Name: "move: what was written is not compared", File: "move/move.go", Test: "./move",
		Why: "facts that another database keeps otherwise replace those that were right",
		Old: "		if there != r.Tables[i] {\n", New: "		if there.Name != r.Tables[i].Name {\n",
	},
	{
		Name: "move: damaged events are moved", File: "move/check.go", Test: "./move",
		Why: "what a disk changed is believed in the other database",
		Old: "		_, err := at.Follow(uint64(seq), body, link)\n		return err\n", New: "		_, _ = at.Follow(uint64(seq), body, link)\n		return nil\n",
	},
	{
		Name: "move: what was left is used on", File: "move/move.go", Test: "./move",
		Why: "two databases go on with the same runs, and neither knows what the other has locked",
		Old: "	if err := from.mark(ctx, source, to.Name); err != nil {\n", New: "	if err := error(nil); err != nil {\n",
	},
	{
		Name: "move: into a database that is not empty", File: "move/check.go", Test: "./move",
		Why: "facts of two installations are mixed",
		Old: "		if n > 0 {\n			return fmt.Errorf(\"%w: table %s has", New: "		if n < 0 {\n			return fmt.Errorf(\"%w: table %s has",
	},
	{
		Name: "postgres: commits are not waited for", File: "internal/pgdb/pgdb.go", Test: inPGDB,
		Why: "a lock that was recorded is forgotten when the server loses power",
		Old: "\"synchronous_commit\": \"on\"", New: "\"synchronous_commit\": \"off\"",
	},
	{
		Name: "postgres: a server that restarts is an end", File: "internal/pgdb/explain.go", Test: inPGDB,
		Why: "each restart of the server ends all runs",
		Old: "strings.HasPrefix(code, \"57P\")", New: "false",
	},
	{
		Name: "postgres: a zero in a text", File: "internal/pgdb/pgdb.go", Test: inPGDB,
		Why: "a run whose error has one cannot be ended",
		Old: "return strings.ReplaceAll(strings.ToValidUTF8(s, \"\\uFFFD\"), \"\\x00\", \"\\uFFFD\")", New: "return strings.ToValidUTF8(s, \"\\uFFFD\")",
	},
}
