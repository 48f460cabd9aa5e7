package server

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

// Who asks from behind a proxy is known by their own address, and nobody by one
// that they wrote.
func TestFromBehind(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for name, tc := range map[string]struct {
		remote    string
		forwarded []string
		want      string
	}{
		"no proxy":                   {"192.0.2.9:5000", nil, "192.0.2.9:5000"},
		"no proxy, but a claim":      {"192.0.2.9:5000", []string{"198.51.100.1"}, "192.0.2.9:5000"},
		"behind one":                 {"10.0.0.1:5000", []string{"198.51.100.1"}, "198.51.100.1"},
		"behind two":                 {"[::1]:5000", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		"behind two, each a line":    {"[::1]:5000", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		"with a claim before":        {"10.0.0.1:5000", []string{"127.0.0.1, 198.51.100.1"}, "198.51.100.1"},
		"a claim to be a proxy":      {"10.0.0.1:5000", []string{"203.0.113.7, 10.9.9.9, 198.51.100.1"}, "198.51.100.1"},
		"of version 6":               {"10.0.0.1:5000", []string{"2001:db8::7"}, "2001:db8::7"},
		"mapped into version 6":      {"[::ffff:10.0.0.1]:5000", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		"the proxy itself":           {"10.0.0.1:5000", nil, "10.0.0.1"},
		"nonsense":                   {"10.0.0.1:5000", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		"nonsense before the client": {"10.0.0.1:5000", []string{"<script>, 198.51.100.1"}, "198.51.100.1"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tc.remote
		for _, line := range tc.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if fromBehind(proxies, r); r.RemoteAddr != tc.want {
			t.Errorf("%s: %s, want %s", name, r.RemoteAddr, tc.want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "10.0.0.1:5000"
	r.Header.Set("X-Forwarded-For", "198.51.100.1")
	if fromBehind(nil, r); r.RemoteAddr != "10.0.0.1:5000" {
		t.Errorf("where no proxy is trusted: %s", r.RemoteAddr)
	}
}
