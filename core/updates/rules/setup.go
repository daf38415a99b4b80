// Package rules is what a configuration says of images: where they stand, which
// of them may be taken, and who decides that. It reads and writes nothing but
// the values it is given, and what it returns is never changed: it may be read by
// several goroutines.
//
//   - A Book has the image_policy blocks. For a container, what its annotations
//     say comes first, then the first block that covers it.
//   - Deciders are the blocks that markers in files stand for, in one tree. What
//     has a marker is decided on by that block and by nobody else.
//   - A Setup is a Book with the kinds of objects that hold images in places of
//     their own.
package rules

import (
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Setup is what a configuration says about where images stand and which of
// them may be taken. The zero value is that of an empty one.
type Setup struct {
	Book  Book
	kinds []edit.Kind    // that hold images in places of their own
	list  []applier.Kind // to list beside what appliers know to run containers
}

// New is the setup of a configuration.
func New(cfg *config.Config) *Setup {
	s := &Setup{Book: newBook(cfg.ImagePolicies)}
	s.list = append(s.list, helmKinds...)
	for _, k := range cfg.ImageKinds {
		s.kinds = append(s.kinds, edit.Kind{
			Group: k.Group, Kind: k.Kind, Containers: k.Containers, InitContainers: k.InitContainers, Images: k.Images,
		})
		if kind := (applier.Kind{Group: k.Group, Kind: k.Kind}); !slices.Contains(s.list, kind) {
			s.list = append(s.list, kind)
		}
	}
	return s
}

// helmKinds hold images in the values of a chart.
var helmKinds = []applier.Kind{
	{Group: "helm.fluxcd.io", Kind: "HelmRelease"},
	{Group: "flux.weave.works", Kind: "HelmRelease"},
	{Group: "helm.integrations.flux.weave.works", Kind: "FluxHelmRelease"},
	{Group: "helm.toolkit.fluxcd.io", Kind: "HelmRelease"},
}

// Kinds are those to list beside what appliers know to run containers.
func (s *Setup) Kinds() []applier.Kind { return s.list }

// Options say how the files of a sync are read for their images.
func (s *Setup) Options(namespace string) edit.Options {
	return edit.Options{Namespace: namespace, Kinds: s.kinds}
}

// ReadContainers finds the images of an object that has them in places of its
// own kind.
func (s *Setup) ReadContainers(w *applier.Workload) {
	if w.Object == nil {
		return
	}
	for _, found := range edit.Scan(w.Object, s.Options(w.Ref.Namespace)).Workloads {
		for _, c := range found.Containers {
			w.Containers = append(w.Containers, applier.Container{Name: c.Name, Image: c.Image, Init: c.Init})
		}
	}
	w.Object = nil // it was read
}

// Target is what the scanner is told of a container that runs. An error is about
// its image; a pattern that is none is a policy that takes nothing.
func (book Book) Target(w workload.Workload, c applier.Container) (images.Target, error) {
	image, err := ref.Parse(c.Image)
	if err != nil {
		return images.Target{}, err
	}
	t := images.Target{Workload: w.ID, Container: c.Name, Image: image, Consumer: w.Consumer()}
	rules, automated := book.Of(About{Sync: w.Sync(), Workload: w.ID, Container: c.Name, Image: image}, w.Policy())
	if automated && !w.Policy().Ignored {
		t.Rules = &rules // those that are not valid take nothing; Warnings tell
	}
	return t, nil
}

// Check reports what of a configuration is wrong in what this package reads:
// patterns, templates of commit messages, places of images.
func Check(cfg *config.Config) diag.List {
	return slices.Concat(checkPolicies(cfg), checkMessages(cfg), checkKinds(cfg))
}
