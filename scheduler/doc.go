// Package scheduler begins what is scheduled, when it is due. What is due and
// what becomes of it package schedule decides; here it is kept before it is
// done.
//
// A slot is claimed before it is begun: its record, with the id of the run that
// it will begin, is durable. So a crash in between loses nothing and does
// nothing twice: whoever comes next asks the journal whether that run is there,
// and begins it under the same id if it is not.
//
// Several processes may change schedules of one state folder; one of them, the
// server, runs them.
package scheduler
