package cli

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
		if got := clean(in); got != want {
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
	i := newInvocation(Program{Stdout: &b, Stderr: &b})
	if err := i.writeJSON(in); err != nil {
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
		size(0): "0 B", size(1023): "1023 B", size(1 << 20): "1.0 MiB", size(129394278): "123.4 MiB", size(1<<20 - 1): "1.0 MiB",
		span(42 * time.Millisecond): "0.04s", span(12300 * time.Millisecond): "12.3s",
		span(245 * time.Second): "4m05s", span(2*time.Hour + 3*time.Minute): "2h03m",
		age(30 * time.Second): "just now", age(61 * time.Hour): "2 days ago", age(time.Hour): "1 hour ago",
		clock(62 * time.Second): "1:02", clock(3661 * time.Second): "1:01:01",
		clip("abcdef", 4): "abc…", clip("abc", 3): "abc",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestParseSpan(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{"90d": 90 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "36h": 36 * time.Hour} {
		if got, err := parseSpan(in); got != want || err != nil {
			t.Errorf("parseSpan(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "soon", "-1h", "-3d", "1.5d", "99999999d"} {
		if got, err := parseSpan(in); err == nil {
			t.Errorf("parseSpan(%q) = %v, want an error", in, got)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	tab := newTable("NAME", ">SIZE", "STATE")
	tab.add("größe", 5, cell{"ok", palette{on: true}.good})
	tab.add("b\x1b[2J", 12345, "multi\nline")
	var b strings.Builder
	tab.write(&b, palette{})
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
