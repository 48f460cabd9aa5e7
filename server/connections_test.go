package server

import (
	"net"
	"net/netip"
	"testing"
)

// One host may not have all connections, unless others stand behind it.
func TestConnections_OneHostMayNotHaveAll(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}
	for name, tc := range map[string]struct {
		from func(n int) string
		want int
	}{
		"one host":           {func(int) string { return "192.0.2.9:5000" }, 4},
		"one host of IPv6":   {func(n int) string { return net.JoinHostPort("2001:db8::"+string(rune('1'+n)), "5000") }, 4},
		"one, mapped":        {func(n int) string { return []string{"192.0.2.9:1", "[::ffff:192.0.2.9]:1"}[n%2] }, 4},
		"this host":          {func(int) string { return "127.0.0.1:5000" }, 8},
		"a proxy":            {func(int) string { return "10.0.0.5:5000" }, 8},
		"no two of one host": {func(n int) string { return "192.0.2." + string(rune('1'+n)) + ":5000" }, 8},
	} {
		c := newConnections(nil, 8, true, proxies)
		var open []func()
		for n := range 9 {
			addr := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(tc.from(n)))
			if leave, ok := c.enter(addr); ok {
				open = append(open, leave)
			}
		}
		if len(open) != tc.want {
			t.Errorf("%s: %d connections, want %d", name, len(open), tc.want)
		}
		for _, leave := range open {
			leave()
		}
		if c.open != 0 || len(c.by) != 0 {
			t.Errorf("%s: %d are left: %v", name, c.open, c.by)
		}
	}
}
