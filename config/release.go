package config

import (
	"encoding/json"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Helm is one helm block, or one instance of it: what manages the releases of
// an applier's cluster. An applier has at most one.
type Helm struct {
	Block
	Applier              string // address
	Resources            bool   // follow the custom resources of the cluster that declare releases
	UninstallOnCRDDelete bool   // also when their definition is what is deleted
	CrossNamespace       bool   // they may read secrets and config maps of other namespaces
	Implicit             bool   // there is no block; it has the name of the applier
	Plugin               PluginConfig
}

// Release is one release block, or one instance of it: a Helm release.
type Release struct {
	Block
	Applier         string // address
	Helm            string // address of the applier's; "" if there is none, which is reported
	ReleaseName     string // as Helm knows it
	Namespace       string
	CreateNamespace bool
	Chart           ReleaseChart
	Values          ReleaseValues // stronger than those of From
	From            []ValuesFrom  // later wins
	DependsOn       []string      // addresses of syncs and releases, each once
	Interval        time.Duration
	Timeout         time.Duration // of one run's install, upgrade or wait
	Suspend         bool
	SuspendReason   string // for people

	Wait          string // "": for hooks only; "ready": until objects are, by watching them; "poll": by asking
	WaitForJobs   bool
	MaxHistory    int    // revisions to keep; 0: all
	CRDs          string // "create", "replace" or "skip"
	Force         bool   // replace objects rather than change them
	DisableHooks  bool
	TakeOwnership bool // of objects that are not the release's
	ReuseValues   bool
	SkipSchema    bool
	SkipOpenAPI   bool

	Adopt     bool   // take over a release that nobody declares
	OnRemove  string // when the block goes: "uninstall" or "keep"
	OnMove    string // when name or namespace change: "refuse" or "reinstall"
	OnFailure OnFailure
	Test      *ReleaseTest // nil: none
	Drift     ReleaseDrift
	Uninstall ReleaseUninstall
}

// Secrets returns the sensitive strings of r, for scrubbing.
func (r Release) Secrets() []string {
	list := r.Values.Secrets
	for _, s := range []secret.Secret{r.Chart.Password, r.Chart.Key} {
		if !s.IsZero() {
			list = append(list[:len(list):len(list)], s.Reveal())
		}
	}
	return list
}

// ReleaseChart says where the chart is: at Path in the tree of Source, or in
// Repository.
type ReleaseChart struct {
	Source string // address; "" for a chart of a repository
	Path   string // slash-separated, relative to the tree's root, clean

	Repository string // https://, http:// or oci:// URL
	Name       string // "": the last part of an oci:// URL
	Version    string // exact or a range; "": the newest
	Username   string
	Password   secret.Secret
	CA         string        // PEM, instead of the system's
	Cert       string        // PEM of a client certificate
	Key        secret.Secret // PEM of its key
	Keyring    string        // armored OpenPGP keys; "": signatures are not asked for

	KeepDependencies bool
	IgnoreLock       bool
	Range            diag.Range // of the block
}

// ReleaseValues are the values of a release.
type ReleaseValues struct {
	// JSON is an object; nil if there are no values. It may hold secrets:
	// marshal the ReleaseValues itself to show it. Equal values have equal
	// bytes.
	JSON json.RawMessage

	// Secrets holds the sensitive strings in JSON, for scrubbing.
	Secrets []string

	display json.RawMessage
	root    *place
}

// MarshalJSON shows the values to people, with secrets redacted.
func (v ReleaseValues) MarshalJSON() ([]byte, error) {
	if v.display == nil {
		return []byte("null"), nil
	}
	return v.display, nil
}

// String keeps %v from printing secrets.
func (v ReleaseValues) String() string { return string(v.display) }

// GoString keeps %#v from printing secrets.
func (v ReleaseValues) GoString() string { return "config.ReleaseValues(" + v.String() + ")" }

// Locate returns the place of the deepest part of path that is spelled out in
// the file. What an expression computes is at the expression. A zero Range
// says that there are no values.
func (v ReleaseValues) Locate(path diag.Path) diag.Range {
	if v.root == nil {
		return diag.Range{}
	}
	return v.root.find(path)
}

// ValuesFrom is one values_from block. Exactly one of ConfigMap, Secret,
// ChartFile, Source and URL is set.
type ValuesFrom struct {
	ConfigMap, Secret *ObjectKey
	ChartFile         string // slash-separated, relative to the chart's directory, clean
	Source, Path      string // a source's address, and a file in its tree
	URL               string // https:// or http://
	SHA256            string // of what URL has, in lower case hexadecimal; "": not checked
	Optional          bool   // what is missing is no error
	Range             diag.Range
}

// ObjectKey is one entry of an object in the release's cluster.
type ObjectKey struct{ Namespace, Name, Key string }

// OnFailure says what follows when an install or upgrade fails.
type OnFailure struct {
	Retries       int           // after the first failure, before the remedy; negative: without end
	RetryInterval time.Duration // least; 0: as everything that fails
	Remediate     string        // "none", "rollback" or "uninstall"
	Timeout       time.Duration // of the remedy; 0: the release's
}

// ReleaseTest says how a release is tested after an install or upgrade.
type ReleaseTest struct {
	Timeout        time.Duration // of each test
	IgnoreFailures bool
	Cleanup        bool     // delete the pods of tests
	Names          []string // nil: all
}

// ReleaseDrift says what happens when live objects are not as the release says.
type ReleaseDrift struct {
	Mode   string // "correct", "warn" or "off"
	Ignore []DriftIgnore
}

// DriftIgnore leaves out objects, or fields of them. What is empty matches
// everything.
type DriftIgnore struct {
	Kind, Name, Namespace string
	Paths                 []string // JSON pointers; nil: the whole object
}

// ReleaseUninstall says how a release is removed.
type ReleaseUninstall struct {
	KeepHistory  bool
	Wait         bool          // until its objects are gone
	Timeout      time.Duration // 0: the release's
	DisableHooks bool
}

// Mirror is one mirror block: what stands in for the URLs that begin with a
// prefix, of sources, charts and their dependencies alike. The longest prefix
// counts; it ends at the end of a path element.
type Mirror struct {
	Prefix   string // without a slash at its end
	To       string // without a slash at its end
	Username string
	Password secret.Secret
	CA       string        // PEM, instead of the system's
	Cert     string        // PEM of a client certificate
	Key      secret.Secret // PEM of its key
	Range    diag.Range
}

// Secrets returns the sensitive strings of m, for scrubbing.
func (m Mirror) Secrets() []string {
	var list []string
	for _, s := range []secret.Secret{m.Password, m.Key} {
		if !s.IsZero() {
			list = append(list, s.Reveal())
		}
	}
	return list
}
