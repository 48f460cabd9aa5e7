package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// fromBehind puts the client's address in place of that of a trusted proxy. Each
// proxy appends whom it was asked by to X-Forwarded-For, so that the last one
// which is not a proxy of ours is the client; what stands before it, the client may
// have written.
func fromBehind(proxies []netip.Prefix, r *http.Request) {
	if len(proxies) == 0 {
		return
	}
	at, err := netip.ParseAddr(hostOf(r.RemoteAddr))
	if err != nil || !trusted(proxies, at) {
		return
	}
	asked := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, word := range slices.Backward(asked) {
		next, err := netip.ParseAddr(strings.TrimSpace(word))
		if err != nil {
			break
		}
		at = next.Unmap()
		if !trusted(proxies, at) {
			break
		}
	}
	r.RemoteAddr = at.String()
}

func trusted(proxies []netip.Prefix, addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
