// Package spec is the source whose instances are written down in a
// specification: each with the host where it is reached over SSH, or with a
// folder of this machine.
//
// Nothing is found out and nothing is made remotely: the instances are always
// those of the specification, in its order, and the first one of each group is
// its bootstrap instance.
package spec
