// Package ssh reaches instances over SSH.
//
// A Target keeps one connection to its instance and runs each command in a
// session of it; where the server allows too few sessions it opens further
// connections, or waits. A Dialer opens targets and owns what they share: the
// bound on dials in flight, the connections to jump hosts, and the parsed
// known_hosts and ~/.ssh/config files. A hop is one machine on the way: the
// jump hosts, and at the end the instance.
//
// Three rules hold throughout. Host keys are always checked, and before
// anything is said about the user. Nothing is ever executed on this machine:
// ProxyCommand and Match exec are refused. No agent, port or display is ever
// forwarded to an instance.
package ssh
