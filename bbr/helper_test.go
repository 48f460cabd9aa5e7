package bbr

import "testing"

func TestHelperOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for text, refused := range map[string]bool{"": false, "on": false, "off": true, "no": true} {
		got, err := helperRefused(func(name string) (string, bool) { return text, name == "LOCKSTEP_HELPER" })
		if got != refused || (err != nil) != (text == "no") {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
