package ref

import (
	"strings"

	"github.com/sluice-gitops/sluice/core/images/glob"
)

// Globs matches canonical names of repositories against globs as people write
// them: with any spelling of Docker Hub's host, and "docker.io/nginx" for what
// is "index.docker.io/library/nginx". A glob without a slash is of hosts and
// paths alike, such as "*" or "*nginx".
type Globs []string

// Match reports whether one of the globs matches a CanonicalName.
func (g Globs) Match(canonicalName string) bool {
	for _, pattern := range g {
		if matchCanonical(pattern, canonicalName) {
			return true
		}
	}
	return false
}

func matchCanonical(pattern, name string) bool {
	host, path, hasPath := strings.Cut(pattern, "/")
	host = Ref{Domain: host}.Host()
	if !hasPath {
		return glob.Match(pattern, name) || glob.Match(host, name)
	}
	if glob.Match(host+"/"+path, name) {
		return true
	}
	return host == DockerHub && !strings.Contains(path, "/") && glob.Match(host+"/library/"+path, name)
}
