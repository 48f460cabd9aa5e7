package serve

import "lockstep/launcher"

// Helpers are the machines, as `uname -m` calls them, for which a helper is built in.
func Helpers() []string {
	return append([]string{}, launcher.BuiltIn().Machines()...)
}

// programs are the helpers that runs may lend.
func programs() launcher.Programs { return launcher.BuiltIn() }
