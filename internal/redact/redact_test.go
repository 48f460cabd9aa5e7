package redact

import (
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`director "https://admin:s3cret@10.0.0.6:25555" is not safe`: `director "https://***@10.0.0.6:25555" is not safe`,
		`https://a:p@ss/w#rd?x@h and socks5://u@j:1`:                 `https://***@h and socks5://***@j:1`,
		`postgres://u:p@db/x?y=1, then https://plain/x`:              `postgres://***@db/x?y=1, then https://plain/x`,
		`mail ops@example.com about https://example.com`:             `mail ops@example.com about https://example.com`,
		`ssh+socks5://ops@jumpbox:22, ssh+socks5://ops:pw@jumpbox`:   `ssh+socks5://ops@jumpbox:22, ssh+socks5://***@jumpbox`,
		`nothing`: `nothing`,
	} {
		if got := Text(in); got != want {
			t.Errorf("%s\nbecomes %s\n    not %s", in, got, want)
		}
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"admin:s3cret@10.0.0.6": "***@10.0.0.6", "https://a:b c@h": "https://***@h", "10.0.0.6:25555": "10.0.0.6:25555", "a@b@c": "***@c",
	} {
		if got := Address(in); got != want {
			t.Errorf("%s becomes %s, not %s", in, got, want)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("https://u:", "s3cret", "@host/x")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		secret = strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\n\v\f\r\"'<>`@", r) {
				return -1
			}
			return r
		}, secret)
		const mark = "MARK0f5"
		if got := Text(before + "x://u:" + secret + mark + "@h" + after); strings.Contains(got, mark) {
			t.Errorf("%q shows the password", got)
		}
	})
}
