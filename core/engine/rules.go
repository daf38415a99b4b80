package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/glob"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// rulebook is what the configuration says about which images may be taken. It
// is never changed.
type rulebook []imageRules

// imageRules is one image_policy block.
type imageRules struct {
	config.ImagePolicy
	rules policy.Rules
}

func newRulebook(blocks []config.ImagePolicy) rulebook {
	book := make(rulebook, len(blocks))
	for i, b := range blocks {
		r := policy.Rules{
			Source:    fmt.Sprintf("%s (%s)", b.Address, b.Range),
			Platforms: b.Platforms, MinAge: b.MinAge, Downgrade: b.AllowDowngrade, Digest: policy.DigestMode(b.Digest),
		}
		if r.Policy, r.Err = policy.Parse(b.Policy.Text); r.Err != nil {
			r.Err = fmt.Errorf("%s: %w", b.Policy.Range, r.Err)
		}
		book[i] = imageRules{b, r}
	}
	return book
}

// checkPolicies reports the patterns that are none.
func checkPolicies(cfg *config.Config) diag.List {
	var l diag.List
	for _, b := range cfg.ImagePolicies {
		if b.Policy.Text == "" {
			continue // reported already
		}
		if _, err := policy.Parse(b.Policy.Text); err != nil {
			l = append(l, diag.Diagnostic{Summary: "Wrong policy", Detail: fmt.Sprintf("%s: %v.", b.Address, err), Subject: &b.Policy.Range})
		}
	}
	return l
}

// checkMessages reports the templates of commit messages that fail.
func checkMessages(cfg *config.Config) diag.List {
	var l diag.List
	for _, a := range cfg.ImageAutomations {
		if a.Message == "" {
			continue
		}
		if err := writeback.ParseMessage(a.Message); err != nil {
			l = append(l, diag.Diagnostic{Summary: "Wrong message", Detail: fmt.Sprintf("%s: %v.", a.Address, err), Subject: &a.MessageRange})
		}
	}
	return l
}

// checkKinds reports places of images that can be none.
func checkKinds(cfg *config.Config) diag.List {
	var l diag.List
	for _, k := range cfg.ImageKinds {
		for _, path := range slices.Concat(k.Containers, k.InitContainers, slices.Sorted(maps.Values(k.Images))) {
			if err := edit.CheckPath(path); err != nil {
				l = append(l, diag.Diagnostic{Summary: "Wrong path", Detail: fmt.Sprintf("%s: %v.", k.Address, err), Subject: &k.Range})
			}
		}
	}
	return l
}

// about is what a policy is asked about: a container, and where it is declared.
type about struct {
	sync      string // address; empty: of none that is known
	workload  string
	container string
	image     ref.Ref
}

// covers reports whether the block is about a.
func (r imageRules) covers(a about) bool {
	return (r.Sync == "" || r.Sync == a.sync) &&
		matches(r.Workloads, a.workload) && matches(r.Containers, a.container) &&
		(r.Images == nil || ref.Globs(r.Images).Match(a.image.CanonicalName()))
}

func matches(patterns []string, name string) bool {
	return patterns == nil || slices.ContainsFunc(patterns, func(p string) bool { return glob.Match(p, name) })
}

// of returns the rules for a container, and whether its images are taken
// without anybody asking. What annotations say comes first, then the first
// block that covers it; what is automated without either may go anywhere.
func (book rulebook) of(a about, annotated policy.Workload) (rules policy.Rules, automated bool) {
	for _, r := range book {
		if r.covers(a) {
			return annotated.Refine(a.container, r.rules), annotated.Automated || r.Automated
		}
	}
	return annotated.Rules(a.container), annotated.Automated
}

// isCalled reports whether markers of the name stand for the block.
func (r imageRules) isCalled(marker string) bool {
	return r.Name == marker || slices.Contains(r.Markers, marker)
}

// called returns the block that markers of the name stand for, in whichever
// sync.
func (book rulebook) called(marker string) (imageRules, bool) {
	i := slices.IndexFunc(book, func(r imageRules) bool { return r.isCalled(marker) })
	if i < 0 {
		return imageRules{}, false
	}
	return book[i], true
}

// named returns the block that markers of the name stand for in the files of a
// sync. The error says why there is none.
func (book rulebook) named(sync, marker string) (imageRules, error) {
	r, ok := book.called(marker)
	switch {
	case !ok:
		return r, fmt.Errorf("the marker names %q, and there is no image_policy of that name, nor one with it among its markers", marker)
	case r.Sync != "" && r.Sync != sync:
		return r, fmt.Errorf("the marker names %s, which is for %s and not for %s", r.Address, r.Sync, sync)
	}
	return r, nil
}

// ofRepository returns the block for an image that stands in no container.
func (book rulebook) ofRepository(sync string, image ref.Ref) (imageRules, bool) {
	for _, r := range book {
		if r.Images != nil && r.Workloads == nil && r.Containers == nil && r.covers(about{sync: sync, image: image}) {
			return r, true
		}
	}
	return imageRules{}, false
}

// targets are the images that policies name exactly, for markers and entries of
// kustomizations: nothing that runs need have them.
func (book rulebook) targets() []images.Target {
	var list []images.Target
	for _, r := range book {
		if !r.Automated {
			continue
		}
		for _, image := range r.repositories() {
			list = append(list, images.Target{Workload: r.Address, Image: image, Rules: &r.rules})
		}
	}
	return list
}

// repositories are the images that a block names exactly.
func (r imageRules) repositories() []ref.Ref {
	var list []ref.Ref
	for _, pattern := range r.Images {
		if image, err := ref.Parse(pattern); err == nil && image.Tag == "" && image.Digest == "" && !slices.Contains([]byte(pattern), '*') {
			list = append(list, image)
		}
	}
	return list
}
