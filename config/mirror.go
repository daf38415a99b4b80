package config

import (
	"net/url"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

var mirrorSchema = schema.Schema{Attributes: append([]schema.Attribute{{Name: "to", Required: true}}, accessAttributes...)}

// Mirror is one mirror block: what stands in for the URLs that begin with a
// prefix, of sources, charts and their dependencies alike. The longest prefix
// counts; it ends at the end of a path element.
type Mirror struct {
	Prefix string // without a slash at its end
	To     string // without a slash at its end
	Access
	Range diag.Range
}

// mirrored are the schemes of URLs that a mirror stands in for, or is at.
var mirrored = []string{"https", "http", "oci", "ssh", "git", "file"}

func (l *loader) loadMirror(b *hclsyntax.Block) {
	a := l.arguments(b, mirrorSchema, scope{})
	m := Mirror{Prefix: b.Labels[0], Range: toRange(b.DefRange())}
	if problem := checkMirrored(m.Prefix); problem != "" {
		l.errorf(b.LabelRanges[0], "Wrong URL", "The URL of a mirror block %s", problem)
		return
	}
	m.Prefix = strings.TrimRight(m.Prefix, "/")
	if first, ok := l.claim("mirror of "+canonical(m.Prefix), toRange(b.DefRange()).String(), b.DefRange()); !ok {
		l.errorf(b.LabelRanges[0], "Duplicate mirror", "These URLs have a mirror already, at %s. Remove one of the blocks.", toRange(first.at))
	}
	m.To = a.url("to", "Write username and password.", mirrored...)
	if m.To != "" && !strings.HasPrefix(m.To, "oci://") && strings.HasPrefix(m.Prefix, "oci://") {
		l.errorf(a.at("to"), "Wrong URL", "Only an oci:// URL can stand in for another: a chart repository does not speak a registry's protocol.")
	}
	if strings.HasPrefix(m.To, "oci://") && !ociFor(m.Prefix) {
		l.errorf(a.at("to"), "Wrong URL", "An OCI registry holds charts. It can stand in for a chart repository (https://, http://) or another registry (oci://).")
	}
	m.Access = a.access("to", m.To)
	l.cfg.Mirrors = append(l.cfg.Mirrors, m)
}

// ociFor reports whether an OCI registry may hold what the URLs with a prefix name.
func ociFor(prefix string) bool {
	scheme, _, _ := strings.Cut(prefix, "://")
	return scheme == "oci" || scheme == "https" || scheme == "http"
}

// checkMirrored is checkPlace for what may also be git's short form of an
// ssh:// URL.
func checkMirrored(s string) string {
	if scpLike.MatchString(s) {
		return ""
	}
	return checkPlace(s, "Leave them out: it is only compared.", mirrored...)
}

// canonical returns a URL in the form in which two of the same prefix are equal.
func canonical(s string) string {
	if host, path, _ := strings.Cut(s, ":"); scpLike.MatchString(s) {
		s = "ssh://" + host + "/" + path
	}
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	u.Host = strings.ToLower(u.Host)
	return u.String()
}
