package api

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

//fault:68 deeply nested JSON | refused
func TestDepth_OfWhatIsTooDeep(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a":[1,{"b":"[[[[[[[[[[[[[[[[[[[["}]}`:                                    true,
		`"\"[[[[[[[[[[[[[[[[[[[[[["`:                                                true,
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth):               true,
		strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1):           false,
		strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1): false,
	} {
		var v any
		if err := unmarshal([]byte(text), &v); (err == nil) != want {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

func TestDepth_IsThatOfTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nested := any(rapid.String().Draw(t, "leaf"))
		n := rapid.IntRange(0, maxDepth).Draw(t, "depth")
		for range n {
			if rapid.Bool().Draw(t, "object") {
				nested = map[string]any{rapid.String().Draw(t, "key"): nested, "other": 1}
			} else {
				nested = []any{"x", nested}
			}
		}
		data, err := json.Marshal(nested)
		if err != nil {
			t.Fatal(err)
		}
		if got := depth(data); got != n {
			t.Errorf("depth of %s is %d, want %d", data, got, n)
		}
	})
}
