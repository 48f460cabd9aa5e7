// Package demo is the demonstration: a small shop, with instances that are
// folders of this machine and an SSH server each, is backed up while its
// customers order, destroyed, restored, and compared with what it was.
package demo
