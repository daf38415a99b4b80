// Package release keeps Helm releases as they are declared.
//
// A Spec is a declared release, whatever it was declared as. A Runner makes the
// cluster so: it composes the values, finds the chart, looks at the release,
// decides (see Decide, which is pure), acts, and looks again, until there is
// nothing left that this run may do. What it did and why stands in the Report;
// what the next run must know in the Record. The cluster knows most of it by
// itself: each revision carries who declares it and from what it was made, so
// that a lost Record costs a comparison and no upgrade.
//
// A run may end at any moment: by its context, or with the process. The next
// one finds out where it stands by looking at the cluster.
package release

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Spec is a declared release. It does not change.
type Spec struct {
	// Owner is who declares the release: OwnerOf of an identity that stays the
	// same as long as the declaration lives.
	Owner  string
	Ref    helm.ReleaseRef
	Chart  Chart
	From   []ValuesFrom  // later ones win
	Values secret.Secret // JSON object or empty; wins over From
	// Locate finds where the value at a path of Values is declared; nil if it
	// is not known. It may be nil itself.
	Locate func(diag.Path) *diag.Range
	// Annotations is what the names of the annotations begin with by which the
	// author of the declaration sets options; empty: they are arguments of a block.
	Annotations string

	Interval time.Duration // between looks at chart, values and cluster; zero: 5 minutes
	Timeout  time.Duration // of the waits of an operation and of each hook; zero: 5 minutes

	Wait            helm.Wait
	WaitForJobs     bool
	MaxHistory      int // revisions to keep; zero: all
	CRDs            helm.CRDs
	Force           bool
	DisableHooks    bool
	TakeOwnership   bool
	CreateNamespace bool
	ReuseValues     bool
	SkipSchema      bool
	SkipOpenAPI     bool

	Adopt bool // take over a release that nobody declares
	// Inherits is the Owner of a declaration that was about the same release and
	// is gone: its release is taken over, whatever Adopt says.
	Inherits  string
	OnMove    OnMove
	Remedy    Remedy
	Test      *Test // nil: no tests
	Drift     Drift
	Uninstall Uninstall
}

// Chart is the chart of a release: in a tree of a source, or in a repository.
type Chart struct {
	Tree *TreeChart // if set, Repository, Name and Version are empty

	Repository string // https://, http:// or oci:// URL
	Name       string
	Version    string // exact or a range; empty: the newest release

	Auth helm.Auth
	// AuthFrom is a Secret with a user name and password for Repository, in the
	// keys username and password, or in .dockerconfigjson. Its Key is empty.
	AuthFrom         *ObjectKey
	Keyring          string // armored OpenPGP keys; if set, the chart must be signed by one of them
	KeepDependencies bool
	IgnoreLock       bool
}

// TreeChart is a chart in the tree of a source.
type TreeChart struct {
	Source string // address of the source's node, as Host.Tree knows it
	Path   string // of the chart's directory, slash-separated
}

// ValuesFrom is one place where values come from. Exactly one of ConfigMap,
// Secret, ChartFile, Path (with Source) and URL is set.
type ValuesFrom struct {
	ConfigMap *ObjectKey
	Secret    *ObjectKey
	ChartFile string // path below the chart's directory
	Source    string // address of a source's node
	Path      string // of a file in its tree
	URL       string // http:// or https://
	SHA256    string // in hex, of what URL holds; empty: not checked
	// NoLocal keeps URL from leading to addresses that only the daemon's machine
	// and its link can reach. Mirrors may.
	NoLocal bool
	// Optional forgives what does not exist.
	Optional bool
	// Lenient makes what exists and is not YAML a warning, where it is optional,
	// as the Helm operator had it; else it is an error.
	Lenient bool
	Place   string // file:line of the declaration, for errors; may be empty
}

// ObjectKey is a key of a ConfigMap or Secret.
type ObjectKey struct {
	Namespace string
	Name      string
	Key       string // empty: values.yaml
}

// OnMove is what happens when the release has another name or namespace than
// the one that the same declaration made before.
type OnMove string

const (
	MoveRefuse    OnMove = ""          // nothing, with an error that names both
	MoveReinstall OnMove = "reinstall" // the old release is uninstalled, then the new one installed
)

// Remedy is what happens when an install or upgrade, or the tests after it,
// fails.
type Remedy struct {
	// Retries is how many more times an upgrade to the same chart and values is
	// tried before Action; negative: without end.
	Retries int
	Action  RemedyAction

	// Of a rollback.
	Force        bool
	DisableHooks bool
	Wait         helm.Wait
	WaitForJobs  bool
	Timeout      time.Duration // zero: Spec.Timeout

	// RetryRolledBack tries an upgrade again, at each interval, although it was
	// rolled back; at most MaxRollbacks times, without end if that is zero.
	RetryRolledBack bool
	MaxRollbacks    int
}

// RemedyAction is what is done about a release whose retries are used up.
type RemedyAction string

const (
	RemedyNone      RemedyAction = "" // it stays as it is until its declaration changes
	RemedyRollback  RemedyAction = "rollback"
	RemedyUninstall RemedyAction = "uninstall"
)

// Test tells to run the chart's tests after each install and upgrade.
type Test struct {
	Timeout        time.Duration // of each; zero: Spec.Timeout
	IgnoreFailures bool
	Cleanup        bool // delete their pods afterwards
	Names          []string
}

// Drift is what happens to live objects that are not as the release says.
type Drift struct {
	Mode   DriftMode
	Ignore []helm.Ignore
}

// DriftMode tells what becomes of drift.
type DriftMode string

const (
	DriftCorrect DriftMode = "" // made so again, without a new revision
	DriftWarn    DriftMode = "warn"
	DriftOff     DriftMode = "off" // not looked for
)

// Uninstall is how a release ends.
type Uninstall struct {
	KeepHistory  bool          `json:"keep_history,omitempty"`
	Wait         bool          `json:"wait,omitempty"` // until the objects are gone
	Timeout      time.Duration `json:"timeout,omitempty"`
	DisableHooks bool          `json:"disable_hooks,omitempty"`
}

// Defaults of a Spec.
const (
	DefaultInterval = 5 * time.Minute
	DefaultTimeout  = 5 * time.Minute
)

func (s *Spec) interval() time.Duration { return cmp.Or(s.Interval, DefaultInterval) }
func (s *Spec) timeout() time.Duration  { return cmp.Or(s.Timeout, DefaultTimeout) }

// OwnerOf makes a label value of the identity of a declaration, such as
// "release.ghost" or "helmrelease.prod/demo/ghost". Different identities have
// different owners.
func OwnerOf(id string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		case r == '/':
			return '_'
		}
		return -1
	}, id)
	if len(plain) <= maxLabel && strings.ReplaceAll(plain, "_", "/") == id && alphanumeric(plain) {
		return plain
	}
	// What a label cannot hold, or not in whole, is told apart by its digest.
	const sum = 16
	plain = strings.Trim(plain[:min(len(plain), maxLabel-sum-1)], "-_.")
	return strings.TrimPrefix(plain+"_"+short([]byte(id), sum), "_")
}

// CheckName tells whether a release may be called so.
func CheckName(name string) error {
	const most = 53
	if len(name) == 0 || len(name) > most || !nameForm.MatchString(name) {
		return fmt.Errorf("release name %q: a name has at most %d lower-case letters, digits, - and ., and begins and ends with a letter or digit", name, most)
	}
	return nil
}

// CheckVersion tells whether a version of a chart can be looked for: an exact
// one, or a range, or none.
func CheckVersion(version string) error {
	if version == "" {
		return nil
	}
	if _, err := semver.NewConstraint(version); err != nil {
		return fmt.Errorf("%q is neither a version nor a range of versions", version)
	}
	return nil
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

// maxLabel is how long a label value may be.
const maxLabel = 63

// alphanumeric reports whether s begins and ends as a label value must.
func alphanumeric(s string) bool {
	return s != "" && strings.Trim(s, "-_.") == s
}

var labelEncoding = base32.HexEncoding.WithPadding(base32.NoPadding)

// short is the digest of data, n lower-case letters and digits of five bits each.
func short(data []byte, n int) string {
	sum := sha256.Sum256(data)
	return strings.ToLower(labelEncoding.EncodeToString(sum[:]))[:n]
}
