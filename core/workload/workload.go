// Package workload is what runs containers: its name, as people write it, the
// images that run, and what its annotations say of them. It asks nobody; whoever
// has a cluster makes a Workload of what that tells.
//
// A release block is a workload too, whose containers are the images in its
// values. It is called NAMESPACE:release/NAME.
//
// Values may be read by several goroutines.
package workload

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Workload is something that runs containers in one of the clusters, or a
// release block, whose containers are the images in its values.
type Workload struct {
	ID         string              `json:"id"` // shop:deployment/web
	Applier    string              `json:"applier"`
	Owner      string              `json:"owner,omitempty"` // name of the sync that owns it; of a release block, its address
	Containers []applier.Container `json:"containers"`      // in the order of the pod, init containers last
	Rollout    applier.Rollout     `json:"rollout"`
	Policies   []string            `json:"policies"` // of automated, ignore, locked; sorted
	Warnings   []string            `json:"warnings,omitempty"`

	// Release is the Helm release that made it, or that it declares: shop/web.
	Release string `json:"release,omitempty"`

	raw    applier.Workload
	policy policy.Workload
}

// The annotations by which Helm tells the release that an object belongs to.
const (
	ReleaseAnnotation          = "meta.helm.sh/release-name"
	ReleaseNamespaceAnnotation = "meta.helm.sh/release-namespace"
)

// Request narrows what is listed; empty fields match everything.
type Request struct {
	Namespace string `json:"namespace,omitempty"`
	Applier   string `json:"applier,omitempty"` // address
}

// Answer is what runs, ordered by applier and id, and why some of it may be
// missing.
type Answer struct {
	Workloads []Workload `json:"workloads"`
	Problems  []string   `json:"problems,omitempty"` // appliers that did not answer
}

// New is what the applier with the address has told.
func New(address string, raw applier.Workload) Workload {
	w := Workload{
		ID: ID(raw.Ref), Applier: address, Owner: raw.Owner, Rollout: raw.Rollout,
		Containers: slices.Clone(raw.Containers), Policies: []string{}, raw: raw,
	}
	slices.SortStableFunc(w.Containers, func(a, b applier.Container) int {
		switch {
		case a.Init == b.Init:
			return 0
		case a.Init:
			return 1
		}
		return -1
	})
	w.policy = policy.Of(raw.Annotations)
	if name := raw.Annotations[ReleaseAnnotation]; name != "" {
		w.Release = raw.Annotations[ReleaseNamespaceAnnotation] + "/" + name
	}
	w.raw.Annotations = nil // up to 256 KiB of each workload are not kept for the few that count
	w.Warnings = w.warnings()
	for name, set := range map[string]bool{"automated": w.policy.Automated, "locked": w.policy.Locked, "ignore": w.policy.Ignored} {
		if set {
			w.Policies = append(w.Policies, name)
		}
	}
	slices.Sort(w.Policies)
	return w
}

// warnings are what is wrong with the images and patterns of a workload.
func (w Workload) warnings() []string {
	warnings := slices.Clone(w.policy.Warnings)
	for _, c := range w.Containers {
		if _, err := ref.Parse(c.Image); err != nil {
			warnings = append(warnings, fmt.Sprintf("container %s: %v", c.Name, err))
		}
	}
	const most = 40 // a workload may have thousands of annotations
	for i, name := range w.policy.Containers() {
		if len(warnings) >= most {
			return append(warnings, fmt.Sprintf("%d more patterns were not looked at", len(w.policy.Containers())-i))
		}
		if err := w.policy.Rules(name).Err; err != nil {
			warnings = append(warnings, fmt.Sprintf("container %s: it takes no image: %v", name, err))
		}
		if !slices.ContainsFunc(w.Containers, func(c applier.Container) bool { return c.Name == name }) {
			warnings = append(warnings, fmt.Sprintf("there is a pattern for a container %q, which it does not have", name))
		}
	}
	return warnings
}

// Policy is what its annotations say of images.
func (w Workload) Policy() policy.Workload { return w.policy }

// Sync is the address of the sync that owns the workload, "" if none does. A
// release block owns itself.
func (w Workload) Sync() string {
	if w.Owner == "" || strings.HasPrefix(w.Owner, "release.") {
		return w.Owner
	}
	return "sync." + w.Owner
}

// Consumer is who asks registries for its images.
func (w Workload) Consumer() credentials.Consumer {
	return credentials.Consumer{
		Applier: w.Applier, Namespace: w.raw.Ref.Namespace, ServiceAccount: w.raw.ServiceAccount, PullSecrets: w.raw.PullSecrets,
	}
}

// ImageOf is the image of a container, "" if there is no such.
func (w Workload) ImageOf(container string) string {
	for _, c := range w.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}

// SameImages reports whether nothing differs between two workloads that decides
// on their images.
func SameImages(a, b Workload) bool {
	return a.ID == b.ID && a.Owner == b.Owner && slices.Equal(a.Containers, b.Containers) && reflect.DeepEqual(a.policy, b.policy)
}

// Missing says why something may be missing in an answer with these problems: in
// brackets, to end a sentence with. It is empty without any.
func Missing(problems []string) string {
	if len(problems) == 0 {
		return ""
	}
	return " (" + strings.Join(problems, "; ") + ")"
}
