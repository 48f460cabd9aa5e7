// Package pgtest gives tests databases of a real PostgreSQL server, which
// test/postgres/run starts and names in LOCKSTEP_TEST_POSTGRES, and servers of their own
// that they may kill. Without it they fail: they are built only where they are wanted.
package pgtest
