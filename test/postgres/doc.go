// Package postgres has the tests of a journal, a state and an audit log that lie in a
// real PostgreSQL server, which they kill, and of several servers of ours that share one.
package postgres
