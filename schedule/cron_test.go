package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/adhocore/gronx"
	"pgregory.net/rapid"
)

func TestParse_RefusesWhatIsWrong(t *testing.T) {
	for expression, want := range map[string]string{
		"":                            "0 fields",
		"* * * *":                     "4 fields",
		"0 0 * * * *":                 "6 fields",
		"60 * * * *":                  "60 is not from 0 to 59",
		"0,99 * * * *":                "99 is not from 0 to 59",
		"* 24 * * *":                  "24 is not from 0 to 23",
		"0 0 0 * *":                   "0 is not from 1 to 31",
		"0 0 * 13 *":                  "13 is not from 1 to 12",
		"0 0 * * 8":                   "8 is not from 0 to 7",
		"*/0 * * * *":                 "a step must be",
		"*/60 * * * *":                "a step must be",
		"*/ * * * *":                  "a step must be",
		"/5 * * * *":                  `"" is not a number`,
		"5-1 * * * *":                 "ends before it begins",
		"5- * * * *":                  `"" is not a number`,
		"-5 * * * *":                  `"" is not a number`,
		"1,,2 * * * *":                `"" is not a number`,
		"+1 * * * *":                  `"+1" is not a number`,
		"0 0 * JAN-FOO *":             `"FOO" is not a number`,
		"JAN * * * *":                 `"JAN" is not a number`,
		"0 0 30 2 *":                  "never due",
		"0 0 31 4,6,9,11 *":           "never due",
		"@reboot":                     "is not known",
		"0 0 L * *":                   `"L" is not a number`,
		"9999999999999999999 * * * *": "is not a number",
	} {
		_, err := Parse(expression, "UTC")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v; want an error with %q", expression, err, want)
		}
	}
	for _, zone := range []string{"Local", "Mars/Olympus", "../etc/passwd", "CESTX"} {
		if _, err := Parse("@daily", zone); err == nil {
			t.Errorf("zone %q is taken", zone)
		}
	}
}

// expressions draws expressions that are valid, and rarely never due.
func expressions(t *rapid.T) string {
	part := func(name string, low, high int) string {
		kind := rapid.SampledFrom([]string{"*", "*", "n", "n", "range", "step", "range/step", "list"}).Draw(t, name)
		n := rapid.IntRange(low, high).Draw(t, name+" n")
		m := rapid.IntRange(n, high).Draw(t, name+" m")
		s := rapid.IntRange(1, high).Draw(t, name+" step")
		switch kind {
		case "n":
			return fmt.Sprint(n)
		case "range":
			return fmt.Sprintf("%d-%d", n, m)
		case "step":
			return fmt.Sprintf("*/%d", s)
		case "range/step":
			return fmt.Sprintf("%d-%d/%d", n, m, s)
		case "list":
			return fmt.Sprintf("%d,%d", n, m)
		}
		return "*"
	}
	return strings.Join([]string{
		part("minute", 0, 59), part("hour", 0, 23), part("day", 1, 31), part("month", 1, 12), part("weekday", 0, 6),
	}, " ")
}

// Another implementation must agree on which minutes match.
func TestCron_AgreesWithAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		expression := expressions(t)
		c, err := parseCron(expression)
		if err != nil {
			if strings.Contains(err.Error(), "never due") {
				t.Skip("never due")
			}
			t.Fatal(err)
		}
		if words := strings.Fields(expression); words[2][0] == '*' && words[2] != "*" && words[4] != "*" {
			t.Skip("the other one has an opinion of its own on steps of days with days of the week")
		}
		from := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 4*365*24*60).Draw(t, "from")) * time.Minute)
		if next, ok := c.next(from); ok {
			from = next.Add(-2 * time.Minute)
		}
		other := gronx.New()
		for i := range 4 {
			at := from.Add(time.Duration(i) * time.Minute)
			want, err := other.IsDue(expression, at)
			if err != nil {
				t.Fatal(err)
			}
			next, ok := c.next(at.Add(-time.Minute))
			if got := ok && next.Equal(at); got != want {
				t.Fatalf("%q at %s: due %t, and the other one says %t", expression, at.Format("Mon 2006-01-02 15:04"), got, want)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 3 * * *", "@daily", "*/5 0-23/2 1,15 JAN-MAR MON", "0 0 29 2 *", "0 0 30 2 *"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		times, err := Parse(s, "Europe/Berlin")
		if err != nil {
			return
		}
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if next, ok := times.After(from); !ok || !next.After(from) {
			t.Errorf("%q is valid, and after %s comes %s", s, from, next)
		}
	})
}
