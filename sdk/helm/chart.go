package helm

import "github.com/sluice-gitops/sluice/sdk/secret"

// ChartRef is a chart as a user names it: one of a repository (an https://,
// http:// or oci:// URL), or one in a tree of files.
type ChartRef struct {
	Repository string
	Name       string
	Version    string // exact or a semantic version range; empty: newest release

	Tree string // absolute path of a directory; if set, the chart is in there
	Path string // of the chart's directory below Tree, slash-separated
	// KeepDependencies leaves charts/ of a chart in a tree as it is.
	KeepDependencies bool
	// IgnoreLock picks dependencies by their ranges, whatever version the
	// chart's lock file has, as Flux v1 did.
	IgnoreLock bool

	Auth    Auth     // for the server of Repository, and no other
	Remotes []Remote // for every other URL, and before Auth for Repository
	Keyring string   // armored OpenPGP keys; if set, the chart must be signed by one of them
}

// Remote is how to reach the URLs that begin with Prefix: the longest one
// wins. A prefix ends at the end of a path element.
type Remote struct {
	Prefix string
	Mirror string // URL that stands in for Prefix; empty: itself
	Auth   Auth
}

// Auth is how to reach a chart repository. Where it is empty, an OCI registry
// gets what the host's Credential service answers.
type Auth struct {
	Username string
	Password secret.Secret
	CA       string // PEM; instead of the system's
	Cert     string // PEM
	Key      secret.Secret
}

// Chart is a resolved ChartRef.
type Chart struct {
	Ref     ChartRef
	Version string
	// Digest is "sha256:..." of the archive, of the manifest in an OCI
	// registry, or of the files of a chart in a tree and its Dependencies.
	Digest       string
	Dependencies []Dependency // what Pull adds to a chart in a tree
}

// Dependency is a resolved dependency of a chart.
type Dependency struct {
	Repository string
	Name       string
	Version    string
	Digest     string // as Chart.Digest
}
