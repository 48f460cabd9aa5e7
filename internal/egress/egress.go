// Package egress connects to hosts that somebody else named, and to no place
// where such a host has no business to be: not to this machine, its network's
// metadata services or private networks, unless that was allowed.
//
// Addresses are judged when they are dialed, after every name was resolved and
// every redirect refused: what a name meant a moment before does not count.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Timeout bounds dialing, and each exchange as a whole.
const Timeout = 10 * time.Second

// Guard says which addresses may be dialed. The zero Guard allows what is
// public.
type Guard struct {
	// Allow are networks that may be dialed though they are not public. Nothing
	// allows multicast.
	Allow []netip.Prefix
}

// special are networks that no public host is in, beside those that netip
// knows: this network, shared and benchmark space, documentation, reserved,
// translated and tunneled addresses, metadata services.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, s := range texts {
		list[i] = netip.MustParsePrefix(s)
	}
	return list
}

// Private are the networks of one's own: this machine and private ones, without
// link-local ones.
func Private() []netip.Prefix {
	return prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
}

// Check says why an address may not be dialed.
func (g Guard) Check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() || addr.IsMulticast() {
		return fmt.Errorf("%s is not an address of one host", addr)
	}
	for _, p := range g.Allow {
		if p.Contains(addr) {
			return nil
		}
	}
	if what := whatIs(addr); what != "" {
		return fmt.Errorf("%s is %s, and not among the networks that are allowed", addr, what)
	}
	return nil
}

func whatIs(addr netip.Addr) string {
	switch {
	case addr.IsLoopback(), addr.IsUnspecified():
		return "this machine"
	case addr.IsLinkLocalUnicast():
		return "link-local, where metadata services are"
	case addr.IsPrivate():
		return "in a private network"
	}
	for _, p := range special {
		if p.Contains(addr) {
			return "no public address"
		}
	}
	return ""
}

// control is called with the resolved address of each connection before it is
// made.
func (g Guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address", address)
	}
	return g.Check(ap.Addr())
}

// DialContext connects over TCP.
func (g Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: Timeout, Control: g.control}
	return d.DialContext(ctx, network, address)
}

// client makes an HTTP client that goes straight there: no proxy, no redirect,
// no connection kept for later.
func (g Guard) client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: Timeout,
		Transport: &http.Transport{
			Proxy:                  nil,
			DialContext:            g.DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
			TLSHandshakeTimeout:    Timeout,
			ResponseHeaderTimeout:  Timeout,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
