// Package launcher runs scripts on an instance so that neither they nor their
// results nor their unlocks depend on the connection that asked for them.
//
// It is a shell script (folder sh, embedded) that is pushed over a
// target.Target, and a Client that speaks with it. PROTOCOL.md tells how.
//
// Words:
//   - control session: the one command per instance that carries all verbs;
//     it may die at any moment and is started again by the next verb.
//   - run folder: where the launcher keeps what does not survive a reboot
//     (Config.RunDir). State folder: where it keeps what must
//     (Config.StateDir).
//   - claim: which run, in which term, owns the instance. Verbs of a run that
//     does not are refused (ErrFenced).
//   - step: one script run once. Its folder is made by `mkdir`: who makes it
//     decides. A tombstone is a folder made by Settle or by a script that
//     changed since it was planned; its step never starts.
//   - supervisor: the process that waits for a step's script and records how
//     it ended. It belongs to no connection.
//   - armed unlocks: what must be run to let go, stored with the claim. Owed:
//     armed, its lock was started, and no try of it has ended with 0.
//   - lease: the instance's own timer. When nobody renews it, it fires: ends
//     what runs and runs the unlocks owed.
package launcher
