package oldyaml

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestTheLastOfEqualKeysCounts(t *testing.T) {
	t.Parallel()
	var got struct {
		A string
		B []map[string]string
	}
	if err := Decode(strings.NewReader("a: 1\nb: [{x: 1, y: 2, x: 3}]\na: yes\n---\na: other\n"), &got); err != nil {
		t.Fatal(err)
	}
	if got.A != "yes" || cmp.Diff([]map[string]string{{"x": "3", "y": "2"}}, got.B) != "" {
		t.Errorf("got %+v", got)
	}
	if err := Decode(strings.NewReader("# nothing"), &got); !errors.Is(err, io.EOF) {
		t.Errorf("of nothing: %v", err)
	}
	if err := Decode(strings.NewReader("a: ["), &got); err == nil {
		t.Error("what is not YAML is taken")
	}
}

func TestAnyKnowsTheWordsForTrueAndFalse(t *testing.T) {
	t.Parallel()
	got, err := DecodeAny(strings.NewReader("a: [Yes, off, \"on\", 'n', !!str y, no way]\non: x\nb: &b {t: True}\nc: {<<: *b, u: N}\n"))
	want := map[string]any{
		"a":  []any{true, false, "on", "n", "y", "no way"},
		"on": "x", "b": map[string]any{"t": true}, "c": map[string]any{"t": true, "u": false},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestBoolIsOfScalarsOnly(t *testing.T) {
	t.Parallel()
	for _, n := range []*yaml.Node{{Kind: yaml.SequenceNode, Value: "yes"}, {Kind: yaml.ScalarNode, Value: "1"}, {Kind: yaml.ScalarNode, Value: "tRUE"}} {
		if _, ok := Bool(n); ok {
			t.Errorf("%+v is one", n)
		}
	}
}
