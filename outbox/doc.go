// Package outbox tells those who want to know what happens. It makes notices of
// what the journal says, keeps them until they are delivered, and tries again
// until they are.
//
// It is a reader: it looks at the journal, at what is held and at what became
// of scheduled slots, from durable cursors, when it is woken and every half
// minute. A run does not know that it is there, waits for nothing of it, and
// cannot fail by it.
//
// Each notice has a key that says what it is about, and there is one notice for
// each key. So whatever crashes when, the same things are looked at again, and
// a notice is made once; it may be sent twice where a crash comes between
// sending and noting that, and has the same ID then.
package outbox
