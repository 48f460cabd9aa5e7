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
