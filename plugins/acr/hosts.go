package main

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
)

// authorityHosts are the clouds, by the end of their registries' names. The
// German one is closed; its names are kept for those who run a copy.
var authorityHosts = map[string]string{
	"azurecr.io": cloud.AzurePublic.ActiveDirectoryAuthorityHost,
	"azurecr.cn": cloud.AzureChina.ActiveDirectoryAuthorityHost,
	"azurecr.us": cloud.AzureGovernment.ActiveDirectoryAuthorityHost,
	"azurecr.de": "https://login.microsoftonline.de/",
}

// parseHost returns the domain that host, in lower case, is a registry of:
// NAME.azurecr.io and its likes.
func parseHost(host string) (domain string, ok bool) {
	name, port, found := strings.Cut(host, ":")
	if found && port != "443" {
		return "", false
	}
	label, domain, _ := strings.Cut(name, ".")
	if !validLabel(label) || authorityHosts[domain] == "" {
		return "", false
	}
	return domain, true
}

// cloudOf returns the authority of the cloud that a registry belongs to; ok
// is false if the provider does not answer for the host.
func (c *Config) cloudOf(host string) (authority string, ok bool) {
	host = strings.ToLower(host)
	if domain, ok := parseHost(host); ok {
		return authorityHosts[domain], true
	}
	if slices.ContainsFunc(c.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return cloud.AzurePublic.ActiveDirectoryAuthorityHost, true
	}
	return "", false
}

// knownAuthority reports whether Microsoft's list of clouds has the authority;
// asking for it is pointless with others.
func knownAuthority(authority string) bool {
	u, err := url.Parse(authority)
	return err == nil && slices.Contains([]string{
		"login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net",
		"login.chinacloudapi.cn", "login.partner.microsoftonline.cn", "login.microsoftonline.us", "login.usgovcloudapi.net",
		"login.microsoftonline.de",
	}, u.Host)
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
