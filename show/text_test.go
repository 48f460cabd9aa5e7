package show

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

//fault:47 control characters and terminal escapes in what a script printed | they are shown harmlessly
func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain, with\ttab\nand line": "plain, with\ttab\nand line",
		"\x1b[31mred\x1b[0m":         `\x1b[31mred\x1b[0m`,
		"a\rb":                       `a\x0db`,
		"dos\r\nline":                "dos\nline",
		"\x07bell\x7f":               `\x07bell\x7f`,
		"csi \u009b2J":               `csi \u009b2J`,
		"\u202egnp.exe":              `\u202egnp.exe`,
		"bad \xff\xfe utf":           `bad \xff\xfe utf`,
		"größe ✓":                    "größe ✓",
	} {
		if got := Clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestJSONIsHarmlessAndInUTC(t *testing.T) {
	t.Parallel()
	in := map[string]any{
		"name": "a\u009b2J\u202e\x1b", "tag": "\U000e0041",
		"at": time.Date(2026, 11, 22, 15, 42, 41, 5e8, time.FixedZone("CET", 3600)),
	}
	var b strings.Builder
	i := NewTerminal(&b, io.Discard, nil, time.Now)
	if err := i.WriteJSON(in); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(b.String(), dangerous) {
		t.Errorf("a terminal would act on %q", b.String())
	}
	var out map[string]string
	if err := json.Unmarshal([]byte(b.String()), &out); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"name": "a\u009b2J\u202e\x1b", "tag": "\U000e0041", "at": "2026-11-22T14:42:41.5Z"}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Size(0): "0 B", Size(1023): "1023 B", Size(1 << 20): "1.0 MiB", Size(129394278): "123.4 MiB", Size(1<<20 - 1): "1.0 MiB",
		Span(42 * time.Millisecond): "0.04s", Span(12300 * time.Millisecond): "12.3s",
		Span(245 * time.Second): "4m05s", Span(2*time.Hour + 3*time.Minute): "2h03m",
		Age(30 * time.Second): "just now", Age(61 * time.Hour): "2 days ago", Age(time.Hour): "1 hour ago",
		clock(62 * time.Second): "1:02", clock(3661 * time.Second): "1:01:01",
		Clip("abcdef", 4): "abc…", Clip("abc", 3): "abc",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	tab := NewTable("NAME", ">SIZE", "STATE")
	tab.Add("größe", 5, Cell{"ok", Palette{On: true}.Good})
	tab.Add("b\x1b[2J", 12345, "multi\nline")
	var b strings.Builder
	tab.Write(&b, Palette{})
	want := "NAME       SIZE  STATE\n" +
		"größe         5  \x1b[32mok\x1b[0m\n" +
		`b\x1b[2J  12345  multi\nline` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestBrief(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{"a", 4, "a"},
		{"a\nb\nc\nd", 4, "a\nb\nc\nd"},
		{"a\nb\nc\nd\ne\n", 4, "a\nb\n… 2 lines more …\ne"},
		{"", 4, ""},
	} {
		if got := brief(test.in, test.n); got != test.want {
			t.Errorf("brief(%q, %d) = %q, want %q", test.in, test.n, got, test.want)
		}
	}
}
