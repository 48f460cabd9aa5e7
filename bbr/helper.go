package bbr

import "fmt"

// helperVariable is the environment variable that refuses the helper: with "off",
// nothing of ours is lent to instances but the launcher's text.
const helperVariable = "LOCKSTEP_HELPER"

// helperRefused reports what the environment says. With an error, which says what is
// wrong with the variable, it is refused too: somebody meant something.
func helperRefused(getenv func(string) (string, bool)) (bool, error) {
	switch text, _ := getenv(helperVariable); text {
	case "", "on":
		return false, nil
	case "off":
		return true, nil
	default:
		return true, fmt.Errorf("$%s is %q, which is neither on nor off: it is off", helperVariable, text)
	}
}
