// Package bosh is the source whose instances a BOSH director knows.
//
// The director is a server that made the deployment: it lists the virtual
// machines, holds the manifest, and makes an SSH user on each machine of an
// instance group when it is asked to. A Director is a client of one. What
// takes the director long is a task: a number that is asked about until it is
// done. A Source is one deployment of a director; a Host is the director's own
// machine, reached over SSH alone.
//
// The way is how this machine reaches all that: directly, through the proxy
// that BOSH_ALL_PROXY names, or through a jumpbox, which is a machine with an
// SSH server in front of the others. A pin is a host key that was remembered
// when its machine was first seen.
//
// Everything a director says is taken for untrusted: answers are bounded, and
// names are checked before they are used.
package bosh
