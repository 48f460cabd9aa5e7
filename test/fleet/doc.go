// Package fleet has the tests of runs that workers do for servers: with a real
// Temporal, a real PostgreSQL, and the program in processes that are killed, stopped
// and cut off.
package fleet
