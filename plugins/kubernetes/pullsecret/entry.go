package pullsecret

import (
	"fmt"
	"path"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// entry is a credential and what it is for.
type entry struct {
	key        string // as shown
	host       string // canonical; may have globs
	glob       bool   // it has
	path       string // without slashes around it; empty: every repository
	credential registry.Credential
	err        error // why there is no credential
}

func newEntry(key string, f fields) (entry, error) {
	host, path, err := split(key)
	if err != nil {
		return entry{}, err
	}
	e := entry{key: shown(key), host: host, glob: hasGlob(host), path: path}
	if e.credential, err = f.credential(); err != nil {
		e.err = fmt.Errorf("the entry for %s cannot be used: %w", shown(key), err)
	}
	return e, nil
}

// dockerHub is the name under which all names of Docker Hub are known.
const dockerHub = "index.docker.io"

// split returns the canonical host and the path of an entry's key.
func split(key string) (host, repositories string, err error) {
	rest := strings.TrimSpace(key)
	if _, after, has := strings.Cut(rest, "://"); has {
		rest = after
	}
	host, repositories, _ = strings.Cut(rest, "/")
	host = canonical(host[strings.LastIndex(host, "@")+1:])
	if host == "" || strings.HasPrefix(host, ":") {
		return "", "", fmt.Errorf("the entry %q names no host", shown(key))
	}
	if hasGlob(host) {
		for label := range strings.SplitSeq(host, ".") {
			if _, err := path.Match(label, ""); err != nil {
				return "", "", fmt.Errorf("the entry %q is not a host: a [ in it is not closed", shown(key))
			}
		}
	}
	return host, trimAPI(strings.Trim(repositories, "/")), nil
}

// trimAPI takes the prefix of the registry's API off a path.
func trimAPI(p string) string {
	first, rest, _ := strings.Cut(p, "/")
	if strings.EqualFold(first, "v1") || strings.EqualFold(first, "v2") {
		return strings.Trim(rest, "/")
	}
	return p
}

// canonical returns a host as it is compared.
func canonical(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	switch host {
	case "docker.io", "registry-1.docker.io":
		return dockerHub
	}
	return host
}

// shown is a key of an entry as it may stand in an error.
func shown(key string) string { return key[strings.LastIndex(key, "@")+1:] }

// hasGlob tells a pattern from a host; [ begins the address of IPv6.
func hasGlob(host string) bool {
	return !strings.HasPrefix(host, "[") && strings.ContainsAny(host, "*?[")
}

// isFor tells whether the entry is for a registry, whose name is canonical.
func (e *entry) isFor(host string) bool {
	if !e.glob {
		return e.host == host
	}
	name, port := cutPort(host)
	pattern, patternPort := cutPort(e.host)
	labels, patterns := strings.Split(name, "."), strings.Split(pattern, ".")
	if port != patternPort || len(labels) != len(patterns) {
		return false
	}
	for i := range labels {
		if ok, err := path.Match(patterns[i], labels[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

func cutPort(host string) (name, port string) {
	if i := strings.LastIndex(host, ":"); i > strings.LastIndex(host, "]") {
		return host[:i], host[i+1:]
	}
	return host, ""
}

// covers tells whether a repository is at or below the entry's path.
func (e *entry) covers(repository string) bool {
	rest, below := strings.CutPrefix(repository, e.path)
	return e.path == "" || below && (rest == "" || rest[0] == '/')
}
