// Package mirror finds what stands in for a URL. A mirror replaces the URLs that
// begin with a prefix, at the end of a path element, and of several prefixes the
// longest counts. git's short form, user@host:path, is taken as the ssh:// URL
// that it means. Source applies that to what a plugin is configured with.
package mirror

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Table holds the mirrors of a configuration. The zero Table has none. It does
// not change.
type Table struct {
	list []config.Mirror // the longest prefix first
}

// New makes a Table.
func New(mirrors []config.Mirror) Table {
	list := slices.Clone(mirrors)
	slices.SortStableFunc(list, func(a, b config.Mirror) int { return len(normal(b.Prefix)) - len(normal(a.Prefix)) })
	return Table{list}
}

// Find returns the URL that stands in for url, and the mirror that says so. ok
// is false if there is none.
func (t Table) Find(url string) (to string, m config.Mirror, ok bool) {
	whole := normal(url)
	for _, m := range t.list {
		rest, ok := strings.CutPrefix(whole, strings.TrimSuffix(normal(m.Prefix), "/"))
		if ok && (rest == "" || rest[0] == '/') {
			return strings.TrimSuffix(m.To, "/") + rest, m, true
		}
	}
	return "", config.Mirror{}, false
}

// Equal reports whether t and o say the same, secrets included.
func (t Table) Equal(o Table) bool {
	return slices.EqualFunc(t.list, o.list, func(a, b config.Mirror) bool {
		return a.Prefix == b.Prefix && a.To == b.To && a.Username == b.Username && a.CA == b.CA && a.Cert == b.Cert &&
			a.Password.Reveal() == b.Password.Reveal() && a.Key.Reveal() == b.Key.Reveal()
	})
}

// Remotes are the mirrors as helms know them.
func (t Table) Remotes() []helm.Remote {
	remotes := make([]helm.Remote, len(t.list))
	for i, m := range t.list {
		remotes[i] = helm.Remote{
			Prefix: m.Prefix, Mirror: m.To,
			Auth: helm.Auth{Username: m.Username, Password: m.Password, CA: m.CA, Cert: m.Cert, Key: m.Key},
		}
	}
	return remotes
}

// IsSSH reports whether url is read over ssh.
func IsSSH(url string) bool { return strings.HasPrefix(normal(url), "ssh://") }

// Same reports whether two URLs name the same repository.
func Same(a, b string) bool {
	plain := func(url string) string { return strings.TrimSuffix(strings.TrimSuffix(normal(url), "/"), ".git") }
	return plain(a) == plain(b)
}

// short is git's short form of an ssh URL.
var short = regexp.MustCompile(`^([^/:@]+@)?([^/:@]+):([^/].*|)$`)

// normal writes the short form out, and the host in lower case.
func normal(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		m := short.FindStringSubmatch(url)
		if m == nil || len(m[2]) == 1 { // C:\ is no host
			return url
		}
		scheme, rest = "ssh", m[1]+m[2]+"/"+m[3]
	}
	host, path, slash := strings.Cut(rest, "/")
	if slash {
		path = "/" + path
	}
	return strings.ToLower(scheme) + "://" + lowerHost(host) + path
}

// lowerHost leaves the user name of host as it is.
func lowerHost(host string) string {
	if i := strings.LastIndex(host, "@"); i >= 0 {
		return host[:i+1] + strings.ToLower(host[i+1:])
	}
	return strings.ToLower(host)
}
