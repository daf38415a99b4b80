package images

import (
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/glob"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// filter holds the globs of Settings, with canonical names.
type filter struct{ include, exclude, trust []string }

func newFilter(s Settings) filter {
	return filter{include: canonical(s.Include), exclude: canonical(s.Exclude), trust: canonical(s.TrustLabels)}
}

// canonical rewrites the spellings of Docker Hub's host, and adds the form with
// library/ of patterns such as docker.io/nginx, which are meant for it.
func canonical(patterns []string) []string {
	var all []string
	for _, p := range patterns {
		host, path, hasPath := strings.Cut(p, "/")
		switch strings.ToLower(host) {
		case "docker.io", "registry-1.docker.io", ref.DockerHub:
			host = ref.DockerHub
		}
		if !hasPath {
			all = append(all, host)
			continue
		}
		all = append(all, host+"/"+path)
		if host == ref.DockerHub && !strings.Contains(path, "/") {
			all = append(all, host+"/library/"+path)
		}
	}
	return all
}

// refuses returns why nothing may be asked about the repository, or "".
func (f filter) refuses(name string) string {
	if matchesAny(f.exclude, name) {
		return "excluded"
	}
	if len(f.include) > 0 && !matchesAny(f.include, name) {
		return "not included"
	}
	return ""
}

func (f filter) trusts(name string) bool { return matchesAny(f.trust, name) }

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return glob.Match(p, name) })
}
