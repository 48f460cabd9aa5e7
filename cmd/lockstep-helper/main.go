// Command lockstep-helper is lent to an instance for the length of a run; see package
// helper. It is not for people: the launcher calls it.
package main

import (
	"os"

	"lockstep/helper"
)

func main() {
	os.Exit(helper.Main(os.Args[1:], os.Stdin, descriptor, os.Stderr))
}

// descriptor is the i-th that is written to: standard output, then those from 3 on,
// which the launcher's deal has opened.
func descriptor(i int) int {
	if i == 0 {
		return 1
	}
	return i + 2
}
