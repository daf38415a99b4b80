package images

import "github.com/sluice-gitops/sluice/core/images/ref"

// Reasons of filter.refuses.
const (
	excluded    = "excluded"
	notIncluded = "not included"
)

// filter holds the globs of Settings.
type filter struct{ include, exclude, trust ref.Globs }

func newFilter(s Settings) filter {
	return filter{include: s.Include, exclude: s.Exclude, trust: s.TrustLabels}
}

// refuses returns why nothing may be asked about the repository, or "".
func (f filter) refuses(name string) string {
	if f.exclude.Match(name) {
		return excluded
	}
	if len(f.include) > 0 && !f.include.Match(name) {
		return notIncluded
	}
	return ""
}

func (f filter) trusts(name string) bool { return f.trust.Match(name) }
