// Package lockstep is the vocabulary of Lockstep: the nouns of backing up and
// restoring a whole distributed system as one thing, and the pure functions
// over them. It does no I/O and imports the standard library only.
//
// A client asks for an operation on a deployment. A deployment has instances,
// an instance carries jobs, a job ships scripts. A Plan is everything that
// will happen, in stages, waves and steps, decided before it happens. An Event
// is something that did happen; a Run is the fold of its events. Run.Next
// decides, from nothing but a Run and the time, what must happen next: the
// barrier between stages and the promise that whatever was locked is unlocked
// live there and nowhere else.
//
// The words, one each, are defined in GLOSSARY.md.
package lockstep
