package release

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// transport asks servers. A guarded one asks none that only this machine, or
// its link, can reach: whoever may write a custom resource may not thereby read
// what listens beside the daemon, or what a cloud tells its machines.
func transport(t *tls.Config, guarded bool) http.RoundTripper {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if guarded {
		dialer.Control = refuseLocal
	}
	rt := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: t, ForceAttemptHTTP2: true,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 2,
	}
	if !guarded {
		return rt
	}
	direct := rt.Clone()
	direct.Proxy = nil
	rt.DialContext = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	return &guard{direct: direct, proxied: rt}
}

// guard is a guarded transport. Addresses are looked at when they are dialled,
// so that no name can stand for another one by then. A proxy dials by itself: it
// may be on this machine, and only addresses that are written out are refused.
type guard struct{ direct, proxied *http.Transport }

// RoundTrip implements http.RoundTripper, for each redirect anew.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	proxy, err := g.proxied.Proxy(req)
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return g.direct.RoundTrip(req)
	}
	if at, err := netip.ParseAddr(req.URL.Hostname()); err == nil && isLocal(at) {
		return nil, &localError{at}
	}
	return g.proxied.RoundTrip(req)
}

// CloseIdleConnections is what http.Client calls.
func (g *guard) CloseIdleConnections() {
	g.direct.CloseIdleConnections()
	g.proxied.CloseIdleConnections()
}

// refuseLocal is a Control of a net.Dialer.
func refuseLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("the address %q cannot be read", address)
	}
	if isLocal(at.Addr()) {
		return &localError{at.Addr().Unmap()}
	}
	return nil
}

// isLocal reports whether an address means another machine to each machine.
func isLocal(at netip.Addr) bool {
	at = bare(at)
	return at.IsLoopback() || at.IsLinkLocalUnicast() || at.IsUnspecified() || at.IsMulticast() ||
		slices.ContainsFunc(clouds, func(p netip.Prefix) bool { return p.Contains(at) })
}

// clouds are where clouds tell their machines about themselves, beside the
// link-local addresses that most of them use.
var clouds = []netip.Prefix{
	netip.MustParsePrefix("fd00:ec2::/32"),      // AWS
	netip.MustParsePrefix("fd20:ce::254/128"),   // Google Cloud
	netip.MustParsePrefix("168.63.129.16/32"),   // Azure
	netip.MustParsePrefix("100.100.100.200/32"), // Alibaba Cloud
	netip.MustParsePrefix("192.0.0.192/32"),     // Oracle Cloud
	netip.MustParsePrefix("fd00:c1::/32"),       // and over IPv6
}

// carriers are the IPv6 prefixes whose last four bytes are an IPv4 address:
// what is sent there may come to it.
var carriers = []netip.Prefix{netip.MustParsePrefix("::/96"), netip.MustParsePrefix("64:ff9b::/96")}

// bare is an address without the clothes of another family, and without the
// zone, which no prefix has.
func bare(at netip.Addr) netip.Addr {
	at = at.Unmap().WithZone("")
	if at.IsLoopback() || at.IsUnspecified() || !slices.ContainsFunc(carriers, func(p netip.Prefix) bool { return p.Contains(at) }) {
		return at
	}
	whole := at.As16()
	return netip.AddrFrom4([4]byte(whole[12:]))
}

// localError says which address was refused.
type localError struct{ at netip.Addr }

func (e *localError) Error() string {
	return fmt.Sprintf("%s is an address of this machine or its link, which a custom resource may not read: set local_urls in the helm block if it may, or declare a mirror", e.at)
}
