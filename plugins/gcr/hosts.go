package main

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// isGoogle reports whether host, in lower case, is one of Google's container
// registries: gcr.io, REGION.gcr.io or LOCATION-docker.pkg.dev. Everything else
// below pkg.dev serves other kinds of packages.
func isGoogle(host string) bool {
	name, port, found := strings.Cut(host, ":")
	if found && port != "443" {
		return false
	}
	if name == "gcr.io" {
		return true
	}
	label, domain, _ := strings.Cut(name, ".")
	if !validLabel(label) {
		return false
	}
	return domain == "gcr.io" || domain == "pkg.dev" && strings.HasSuffix(label, "-docker")
}

// validHost reports whether s is a host name or an IP address, with or without
// a port.
func validHost(s string) bool {
	if host, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		s = host
	}
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}
	for label := range strings.SplitSeq(strings.ToLower(s), ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

func validLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' &&
		!strings.ContainsFunc(s, func(r rune) bool { return !isLabelRune(r) || 'A' <= r && r <= 'Z' })
}

func isLabelRune(r rune) bool {
	return r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}
