// Package brief says whether tests leave out what repeats others: the same in a
// second shell, the same over a server. `make test`, which follows each change,
// leaves it out; `go test` does not, and `make repeats`, which a change must pass
// too, is that alone.
package brief

import "os"

// Variable is set to 1 where tests are brief.
const Variable = "LOCKSTEP_TEST_BRIEF"

// On reports whether they are.
func On() bool { return os.Getenv(Variable) == "1" }
