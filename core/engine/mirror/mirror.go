// Package mirror finds what stands in for a URL. A mirror replaces the URLs that
// begin with a prefix, at the end of a path element, and of several prefixes the
// longest counts; helm.FindRemote says how they are compared. Source applies that
// to what a plugin is configured with.
package mirror

import (
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
	slices.SortStableFunc(list, func(a, b config.Mirror) int { return len(helm.NormalURL(b.Prefix)) - len(helm.NormalURL(a.Prefix)) })
	return Table{list}
}

// Find returns the URL that stands in for url, and the mirror that says so. ok
// is false if there is none.
func (t Table) Find(url string) (to string, m config.Mirror, ok bool) {
	i, to := helm.FindRemote(t.Remotes(), url)
	if i < 0 {
		return "", config.Mirror{}, false
	}
	return to, t.list[i], true
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
func IsSSH(url string) bool { return strings.HasPrefix(helm.NormalURL(url), "ssh://") }

// Same reports whether two URLs name the same repository.
func Same(a, b string) bool {
	plain := func(url string) string {
		return strings.TrimSuffix(strings.TrimSuffix(helm.NormalURL(url), "/"), ".git")
	}
	return plain(a) == plain(b)
}
