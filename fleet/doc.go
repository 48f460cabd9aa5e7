// Package fleet runs what servers are asked for on workers, near the instances: a
// server chooses a run's id and asks Temporal, and a worker of the deployment's zone
// drives the run.
//
// A deployment key has one workflow, which has one run at a time; whoever asks for
// another one is told of the conflict. A run is an activity of that workflow on the
// task queue of its zone. Its first attempt begins the run. A later one, after a
// worker died or was cut off, never begins a second run: it finds the run in the
// journal, follows it while somebody drives it, and settles it when nobody does.
//
// Temporal says which worker acts, and notices one that is gone; it does not keep
// anybody from acting. That the journal does, which has one owner of a key and fences
// an earlier one, and the claim on each instance (docs/adr/0033). So a run goes on
// and ends also while Temporal is away.
package fleet
