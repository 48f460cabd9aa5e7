package access

import (
	"strings"
	"testing"
)

// There is exactly one way to write each token.
func FuzzParseToken(f *testing.F) {
	f.Add(newTokenText().String())
	f.Add("lks_")
	f.Add("lks_aaaaaaaaaaaaaaaa_" + strings.Repeat("a", secretChars+sumChars))
	f.Fuzz(func(t *testing.T, s string) {
		text, ok := parseToken(s)
		if ok && text.String() != s {
			t.Errorf("%q is read as %q", s, text)
		}
		if ok && (len(text.secret) != secretBytes || len(text.id) != idChars) {
			t.Errorf("%q has an id of %d and a secret of %d", s, len(text.id), len(text.secret))
		}
	})
}

func TestParseToken_FindsEveryMistypedLetter(t *testing.T) {
	good := newTokenText().String()
	if len(good) != tokenChars {
		t.Fatalf("it has %d characters", len(good))
	}
	for i := range good {
		for _, c := range "a7_z" {
			if bad := good[:i] + string(c) + good[i+1:]; bad != good {
				if _, ok := parseToken(bad); ok {
					t.Errorf("letter %d as %c was not found", i, c)
				}
			}
		}
	}
}
