package credentials

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CanonicalHost returns host in lower case, with the spellings of Docker Hub
// (docker.io, registry-1.docker.io) as index.docker.io.
func CanonicalHost(host string) string {
	host = strings.ToLower(host)
	switch host {
	case "docker.io", "registry-1.docker.io":
		return "index.docker.io"
	}
	return host
}

// DefaultMatch returns the patterns that providers of a plugin type are asked
// for if their block has no match; nil is everything.
func DefaultMatch(typ string) []string {
	switch typ {
	case "ecr":
		return []string{
			"*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com.cn", "*.dkr.ecr-fips.*.amazonaws.com",
			"*.dkr-ecr.*.on.aws", "*.dkr-ecr-fips.*.on.aws", "*.dkr-ecr.*.on.amazonwebservices.com.cn", "*.dkr-ecr.*.on.amazonwebservices.eu",
			"*.dkr.ecr.*.amazonaws.eu", "*.dkr.ecr.*.c2s.ic.gov", "*.dkr.ecr.*.sc2s.sgov.gov", "*.dkr.ecr.*.cloud.adc-e.uk", "*.dkr.ecr.*.csp.hci.ic.gov",
			"public.ecr.aws",
		}
	case "gcr":
		return []string{"gcr.io", "*.gcr.io", "*.pkg.dev"}
	case "acr":
		return []string{"*.azurecr.io", "*.azurecr.cn", "*.azurecr.us", "*.azurecr.de"}
	}
	return nil
}

// MayAnswer reports whether a provider of a plugin type can answer for anything
// that the pattern covers: for the hosts of DefaultMatch, or one of hosts, which
// its own configuration names.
func MayAnswer(typ, pattern string, hosts []string) bool {
	own := DefaultMatch(typ)
	p, err := parsePattern(pattern)
	return own == nil || err != nil || slices.ContainsFunc(slices.Concat(own, hosts), func(text string) bool {
		other, err := parsePattern(text)
		return err == nil && p.meets(other)
	})
}

// CheckMatch returns why pattern is not a pattern of images, or nil.
//
// A pattern is a registry host, optionally with a port, optionally with the
// beginning of a repository: "*.gcr.io", "registry.example.com:5000",
// "registry.example.com/team". It is the rule of the kubelet's matchImages,
// except that the repository counts by whole segments and may hold stars:
//
//   - A star stands for any characters, or none, within one label of the host,
//     within the port, or within one segment of the repository. So "*.gcr.io"
//     is eu.gcr.io and neither gcr.io nor a.eu.gcr.io. A host that is just "*"
//     is every host with every port.
//   - A pattern without a port is for hosts without one.
//   - The repository begins with the segments of the pattern: with "/team" it
//     is team, team/web and team/a/b, but not teams; with "/team/*" not team.
//   - Hosts compare without regard to case, and all spellings of Docker Hub are
//     one, as in CanonicalHost.
func CheckMatch(pattern string) error {
	_, err := parsePattern(pattern)
	return err
}

// pattern is one parsed pattern.
type pattern struct {
	any        bool     // every host and port
	labels     []string // of the host
	port       string
	repository []string // segments that it begins with
}

func parsePattern(text string) (pattern, error) {
	fail := func(why string) (pattern, error) {
		return pattern{}, fmt.Errorf("pattern %q: %s", text, why)
	}
	if strings.Contains(text, "://") {
		return fail("leave out the scheme: a pattern begins with the host")
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`?{}\@#`, r) }); i >= 0 {
		return fail(fmt.Sprintf("%q has no place in a host or repository; the only wildcard is *", text[i]))
	}
	host, repository, more := strings.Cut(strings.TrimSuffix(text, "/"), "/")
	var p pattern
	p.any = host == "*"
	if more {
		p.repository = strings.Split(repository, "/")
	}
	name, port, err := splitPort(CanonicalHost(host))
	if err != nil {
		return fail(err.Error())
	}
	p.labels, p.port = strings.Split(name, "."), port
	if slices.Contains(p.labels, "") {
		return fail("a label of the host is empty; a pattern begins with the host of the registry")
	}
	if slices.Contains(p.repository, "") {
		return fail("a segment of the repository is empty")
	}
	return p, nil
}

// splitPort splits host:port; a host that is an IPv6 address is in brackets.
func splitPort(host string) (name, port string, err error) {
	if strings.HasPrefix(host, "[") {
		end := strings.Index(host, "]")
		if end < 0 {
			return "", "", errors.New("the bracket of the address is not closed")
		}
		name, port = host[:end+1], host[end+1:]
		if port == "" {
			return name, "", nil
		}
		if port[0] != ':' || len(port) == 1 {
			return "", "", errors.New("after an address comes nothing or a port")
		}
		return name, port[1:], nil
	}
	name, port, found := strings.Cut(host, ":")
	if found && (port == "" || strings.Contains(port, ":")) {
		return "", "", errors.New("after a colon comes a port")
	}
	return name, port, nil
}

// matches reports whether p covers repository on host, which is canonical.
func (p pattern) matches(host, repository string) bool {
	return p.matchesHost(host) && p.matchesRepository(repository)
}

func (p pattern) matchesHost(host string) bool {
	if p.any {
		return true
	}
	name, port, err := splitPort(host)
	if err != nil || !star(p.port, port) || (p.port == "") != (port == "") {
		return false
	}
	for i, want := range p.labels {
		label, rest, more := strings.Cut(name, ".")
		if label == "" || !star(want, label) || more != (i < len(p.labels)-1) {
			return false
		}
		name = rest
	}
	return true
}

func (p pattern) matchesRepository(repository string) bool {
	for i, want := range p.repository {
		segment, rest, more := strings.Cut(repository, "/")
		if segment == "" || !star(want, segment) || !more && i < len(p.repository)-1 {
			return false
		}
		repository = rest
	}
	return true
}

// meets reports whether there are hosts that both p and other are for.
func (p pattern) meets(other pattern) bool {
	if p.any || other.any {
		return true
	}
	port, otherPort := cmp.Or(p.port, "443"), cmp.Or(other.port, "443")
	if len(p.labels) != len(other.labels) || !starsMeet(port, otherPort) {
		return false
	}
	for i := range p.labels {
		if !starsMeet(p.labels[i], other.labels[i]) {
			return false
		}
	}
	return true
}

// starsMeet reports whether there is a text that both globs stand for.
func starsMeet(a, b string) bool {
	// meet[i][j] tells it of the rests a[i:] and b[j:]. Beyond the ends, it is false.
	meet := make([][]bool, len(a)+2)
	for i := range meet {
		meet[i] = make([]bool, len(b)+2)
	}
	for i := len(a); i >= 0; i-- {
		for j := len(b); j >= 0; j-- {
			switch {
			case i == len(a) && j == len(b):
				meet[i][j] = true
			case strings.HasPrefix(a[i:], "*"), strings.HasPrefix(b[j:], "*"): // ends here, or takes one more of the other
				meet[i][j] = meet[i+1][j] || meet[i][j+1]
			case i < len(a) && j < len(b):
				meet[i][j] = a[i] == b[j] && meet[i+1][j+1]
			}
		}
	}
	return meet[0][0]
}

// star reports whether text is glob, in which * stands for any characters. It
// takes time in proportion to the product of the lengths at most.
func star(glob, text string) bool {
	first, rest, found := strings.Cut(glob, "*")
	if !found {
		return glob == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for {
		part, more, found := strings.Cut(rest, "*")
		if !found {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}

// matcher is the patterns of a provider; without any it covers everything.
type matcher struct {
	patterns []pattern
	err      error // patterns that are none, and cover nothing
}

func newMatcher(texts []string) matcher {
	var m matcher
	var errs []error
	for _, text := range texts {
		p, err := parsePattern(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m.patterns = append(m.patterns, p)
	}
	m.err = errors.Join(errs...)
	return m
}

func (m matcher) matches(host, repository string) bool {
	if len(m.patterns) == 0 {
		return m.err == nil
	}
	for _, p := range m.patterns {
		if p.matches(host, repository) {
			return true
		}
	}
	return false
}
