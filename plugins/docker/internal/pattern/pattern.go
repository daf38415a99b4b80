// Package pattern tells which images a key is for: one of a docker
// configuration file, or of a credential provider's answer. A key is a host
// with an optional port and path, and may be written as a URL; * stands for
// anything within one label of the host.
package pattern

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"strings"
)

// DockerHub is the host of Docker Hub, which has several names.
const DockerHub = "index.docker.io"

// Pattern is a parsed key.
type Pattern struct {
	host string // without a port
	port string
	path string // without slashes around it; empty: every repository
}

// Parse reads a key. The error does not repeat it.
func Parse(key string) (Pattern, error) {
	_, rest, isURL := strings.Cut(key, "://")
	if !isURL {
		rest = key
	}
	if strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '@' || r == '?' || r == '#' }) {
		return Pattern{}, errors.New("it holds characters that no registry has in its name")
	}
	hostPort, repository, _ := strings.Cut(rest, "/")
	p := Pattern{path: strings.Trim(repository, "/")}
	p.host, p.port = splitHost(hostPort)
	if p.host == "" {
		return Pattern{}, errors.New("it names no host")
	}
	if p.path == "v1" || p.path == "v2" {
		p.path = "" // the version of the API, as docker writes it
	}
	if _, err := path.Match(p.host, ""); err != nil {
		return Pattern{}, fmt.Errorf("its host is no pattern: %w", err)
	}
	return p, nil
}

// Host returns the one name under which a registry is known here: lower case,
// without the standard port, and one for Docker Hub.
func Host(host string) string {
	name, port := splitHost(host)
	if port == "" {
		return name
	}
	return name + ":" + port
}

func splitHost(hostPort string) (host, port string) {
	host = strings.ToLower(hostPort)
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
	}
	if port == "443" {
		port = ""
	}
	switch host {
	case "docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		host = DockerHub
	}
	return host, port
}

// MatchHost reports whether the pattern is for repositories of host, all or
// some of them.
func (p Pattern) MatchHost(host string) bool {
	name, port := splitHost(host)
	if p.port != port {
		return false
	}
	if p.host == name { // also an IPv6 address, whose brackets mean something else in patterns
		return true
	}
	want, have := strings.Split(p.host, "."), strings.Split(name, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return true
}

// Match reports whether the pattern is for a repository of host. A path stands
// for itself and what is below it.
func (p Pattern) Match(host, repository string) bool {
	return p.MatchHost(host) && (p.path == "" || repository == p.path || strings.HasPrefix(repository, p.path+"/"))
}

// MatchPrefix is Match as the kubelet does it: a path stands for everything
// that begins with it, "team" for "teams/app" too.
func (p Pattern) MatchPrefix(host, repository string) bool {
	return p.MatchHost(host) && strings.HasPrefix(repository, p.path)
}

// HasPath reports whether the pattern is for some repositories of its hosts.
func (p Pattern) HasPath() bool { return p.path != "" }

// Compare orders patterns: the most specific one comes first, that is the one
// with the longest path, then one that names a host before one with wildcards.
func Compare(a, b Pattern) int {
	return cmp.Or(
		cmp.Compare(len(b.path), len(a.path)),
		cmp.Compare(wildcards(a.host), wildcards(b.host)),
		cmp.Compare(a.host, b.host),
	)
}

func wildcards(host string) int {
	return strings.Count(host, "*") + strings.Count(host, "?") + strings.Count(host, "[")
}
