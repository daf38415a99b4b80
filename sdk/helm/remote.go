package helm

import (
	"net/url"
	"regexp"
	"strings"
)

// FindRemote finds the remote whose prefix covers most of an address, and returns
// its index, -1 if there is none, and the address to ask instead: the address
// itself, if no mirror stands in for it.
//
// Scheme and host are the same in any case, and git's short form of an address,
// user@host:path, is the ssh:// URL that it means.
func FindRemote(remotes []Remote, address string) (index int, at string) {
	index, at = -1, address
	whole, longest := NormalURL(address), 0
	for i, r := range remotes {
		prefix := strings.TrimSuffix(NormalURL(r.Prefix), "/")
		rest, covers := strings.CutPrefix(whole, prefix)
		if !covers || len(prefix) <= longest || rest != "" && !strings.ContainsAny(rest[:1], "/?#") {
			continue
		}
		index, at, longest = i, address, len(prefix)
		if r.Mirror != "" {
			at = strings.TrimSuffix(r.Mirror, "/") + rest
		}
	}
	return index, at
}

// short is git's short form of an ssh URL.
var short = regexp.MustCompile(`^([^/:@]+@)?([^/:@]+):([^/].*|)$`)

// NormalURL writes git's short form of an address out, and scheme and host in
// lower case.
func NormalURL(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		m := short.FindStringSubmatch(address)
		if m == nil || len(m[2]) == 1 { // C:\ is no host
			return address
		}
		scheme, rest = "ssh", m[1]+m[2]+"/"+m[3]
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host := strings.LastIndex(rest[:end], "@") + 1 // a user name is left as it is
	return strings.ToLower(scheme) + "://" + rest[:host] + strings.ToLower(rest[host:end]) + rest[end:]
}

// HasDotSegments reports whether a URL has dot segments, which a server, or a
// library on the way to it, would take for another path than the one that is
// written: one outside a prefix that covers it.
func HasDotSegments(u *url.URL) bool {
	for _, path := range []string{u.Path, u.EscapedPath()} {
		for segment := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if unescaped, err := url.PathUnescape(segment); err == nil {
				segment = unescaped // of what was escaped twice
			}
			if segment == "." || segment == ".." {
				return true
			}
		}
	}
	return false
}
