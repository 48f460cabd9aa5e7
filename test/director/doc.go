// Package director tests both programs against a BOSH director: as processes
// of their own, which can be killed, with machines that are SSH servers in the
// process of the test. It needs nothing but Go and a shell.
package director
