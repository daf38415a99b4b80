// Package resource reads Helm releases that are declared as custom resources,
// those of the Helm operator of Flux v1, and writes their status as it did.
//
// Three kinds are known, see Kinds. Parse makes a release.Spec of each, with
// every field and default that the operator had. What it refuses names the
// field, and what it only cannot do is a warning: resources that worked go on
// working. Status is what kubectl shows of a resource: it changes as a run
// proceeds and ends (Resource.Progressed, Reported, Failed), and Patch tells
// whether there is anything to write at all. CRDs are the definitions.
//
// Nothing here speaks to a cluster; all functions are pure.
package resource

import (
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Finalizer keeps a resource until its release is uninstalled.
const Finalizer = "sluice.dev/release"

// Groups and versions of the resources.
const (
	GroupHelmRelease     = "helm.fluxcd.io"                     // HelmRelease v1
	GroupOldHelmRelease  = "flux.weave.works"                   // HelmRelease v1beta1
	GroupFluxHelmRelease = "helm.integrations.flux.weave.works" // FluxHelmRelease v1alpha2
)

// Options is what a resource means where it is silent, and what it may do.
type Options struct {
	// CrossNamespace lets a resource read Secrets and ConfigMaps of namespaces
	// other than its own.
	CrossNamespace bool
	// LocalURLs lets values come from URLs of the daemon's own machine and link,
	// see release.ValuesFrom.
	LocalURLs bool
	// DefaultRef is the branch of a chart's repository; empty: master, as the
	// Helm operator had it.
	DefaultRef string
	// Charts is where the chartGitPath of a FluxHelmRelease is looked for.
	Charts Charts
}

// Charts is a directory in the tree of a source.
type Charts struct {
	Source string // address of the source's node; empty: there is none
	Path   string // slash-separated; empty: the whole tree
}

// Resource is a custom resource that declares a release.
type Resource struct {
	Ref        applier.Ref
	UID        string
	Generation int64
	Finalized  bool      // it has Finalizer
	Created    time.Time // zero if it does not say

	Spec release.Spec
	// Git is where the chart is, if it is named by the URL of a git repository:
	// Spec.Chart.Tree is then for the caller to set.
	Git *Git
	// Declared is a digest of all that the resource says: it changes with the
	// declaration and with nothing else. Generation does not do for that, since
	// without a status subresource each change of the status counts as well.
	Declared string

	Suspended     bool
	SuspendReason string
	KeepOnRemove  bool     // the release stays when the resource goes
	DependsOn     []string // other resources, as namespace/name

	Warnings diag.List
	Status   Status // as it stands in the resource
}

// Git is a directory of a git repository.
type Git struct {
	URL  string
	Ref  string // branch, tag or commit
	Path string // of the chart's directory
	// Secret holds the keys username and password, for https URLs. Its Key is
	// empty.
	Secret *release.ObjectKey
}

// Kinds are the custom resources that declare releases.
func Kinds() []applier.VersionedKind {
	return []applier.VersionedKind{
		{Group: GroupHelmRelease, Version: "v1", Kind: "HelmRelease"},
		{Group: GroupOldHelmRelease, Version: "v1beta1", Kind: "HelmRelease"},
		{Group: GroupFluxHelmRelease, Version: "v1alpha2", Kind: "FluxHelmRelease"},
	}
}

// ID is the name of the resource's node: helmrelease.prod/demo/ghost, where prod
// is the name of the applier.
func (r Resource) ID(applierName string) string {
	return r.word() + "." + applierName + "/" + r.Ref.Namespace + "/" + r.Ref.Name
}

// ApplierOf returns the name of the applier in the ID of a resource, "" if id is
// none.
func ApplierOf(id string) string {
	kind, rest, _ := strings.Cut(id, ".")
	if !strings.Contains(kind, "helmrelease") {
		return ""
	}
	name, _, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return name
}

// NamespaceOf returns the namespace in the ID of a resource, "" if id is none.
func NamespaceOf(id string) string {
	if parts := strings.Split(id, "/"); ApplierOf(id) != "" && len(parts) == 3 {
		return parts[1]
	}
	return ""
}

// word tells the kinds apart, in the names of nodes and owners.
func (r Resource) word() string {
	switch r.Ref.Group {
	case GroupOldHelmRelease:
		return "helmrelease-v1beta1"
	case GroupFluxHelmRelease:
		return "fluxhelmrelease"
	}
	return "helmrelease"
}
