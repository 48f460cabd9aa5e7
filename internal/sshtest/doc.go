// Package sshtest is a small SSH server that lives inside the process: for
// the tests of everything that speaks SSH, and for the sample deployment of
// `lockstep demo`.
//
// A Server stands for one instance. It listens on loopback, checks the user's
// key or certificate, and runs each command with `sh -c` in the instance's
// folder and environment, as sshd would: a command has a session of its own,
// outlives the connection that started it, and its exit status is sent when
// it ends, even when a child of it still holds its output open.
//
// A Fault is a way in which a server misbehaves on purpose. Faults can be
// switched at any time and hold for what happens from then on.
//
// The server is for loopback and for people who own the machine: whoever may
// log in runs commands as the user of this process.
package sshtest
