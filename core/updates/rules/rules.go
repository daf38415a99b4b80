package rules

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

// Book is what the configuration says about which images may be taken. It
// is never changed.
type Book []Block

// Block is one image_policy block.
type Block struct {
	config.ImagePolicy
	Rules policy.Rules
}

func newBook(blocks []config.ImagePolicy) Book {
	book := make(Book, len(blocks))
	for i, b := range blocks {
		r := policy.Rules{
			Source:    fmt.Sprintf("%s (%s)", b.Address, b.Range),
			Platforms: b.Platforms, MinAge: b.MinAge, Downgrade: b.AllowDowngrade, Digest: policy.DigestMode(b.Digest),
		}
		if r.Policy, r.Err = policy.Parse(b.Policy.Text); r.Err != nil {
			r.Err = fmt.Errorf("%s: %w", b.Policy.Range, r.Err)
		}
		book[i] = Block{b, r}
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

// About is what a policy is asked about: a container, and where it is declared.
type About struct {
	Sync      string // address; empty: of none that is known
	Workload  string
	Container string
	Image     ref.Ref
}

// covers reports whether the block is about a.
func (r Block) covers(a About) bool {
	return (r.Sync == "" || r.Sync == a.Sync) &&
		matches(r.Workloads, a.Workload) && matches(r.Containers, a.Container) &&
		(r.Images == nil || ref.Globs(r.Images).Match(a.Image.CanonicalName()))
}

func matches(patterns []string, name string) bool {
	return patterns == nil || slices.ContainsFunc(patterns, func(p string) bool { return glob.Match(p, name) })
}

// Of returns the rules for a container, and whether its images are taken
// without anybody asking. What annotations say comes first, then the first
// block that covers it; what is automated without either may go anywhere.
func (book Book) Of(a About, annotated policy.Workload) (rules policy.Rules, automated bool) {
	for _, r := range book {
		if r.covers(a) {
			return annotated.Refine(a.Container, r.Rules), annotated.Automated || r.Automated
		}
	}
	return annotated.Rules(a.Container), annotated.Automated
}

// isCalled reports whether markers of the name stand for the block.
func (r Block) isCalled(marker string) bool {
	return r.Name == marker || slices.Contains(r.Markers, marker)
}

// Called returns the block that markers of the name stand for, in whichever
// sync.
func (book Book) Called(marker string) (Block, bool) {
	i := slices.IndexFunc(book, func(r Block) bool { return r.isCalled(marker) })
	if i < 0 {
		return Block{}, false
	}
	return book[i], true
}

// Named returns the block that markers of the name stand for in the files of a
// sync. The error says why there is none.
func (book Book) Named(sync, marker string) (Block, error) {
	r, ok := book.Called(marker)
	switch {
	case !ok:
		return r, fmt.Errorf("the marker names %q, and there is no image_policy of that name, nor one with it among its markers", marker)
	case r.Sync != "" && r.Sync != sync:
		return r, fmt.Errorf("the marker names %s, which is for %s and not for %s", r.Address, r.Sync, sync)
	}
	return r, nil
}

// OfRepository returns the block for an image that stands in no container.
func (book Book) OfRepository(sync string, image ref.Ref) (Block, bool) {
	for _, r := range book {
		if r.Images != nil && r.Workloads == nil && r.Containers == nil && r.covers(About{Sync: sync, Image: image}) {
			return r, true
		}
	}
	return Block{}, false
}

// Targets are the images that policies name exactly, for markers and entries of
// kustomizations: nothing that runs need have them.
func (book Book) Targets() []images.Target {
	var list []images.Target
	for _, r := range book {
		if !r.Automated {
			continue
		}
		for _, image := range r.repositories() {
			list = append(list, images.Target{Workload: r.Address, Image: image, Rules: &r.Rules})
		}
	}
	return list
}

// repositories are the images that a block names exactly.
func (r Block) repositories() []ref.Ref {
	var list []ref.Ref
	for _, pattern := range r.Images {
		if image, err := ref.Parse(pattern); err == nil && image.Tag == "" && image.Digest == "" && !slices.Contains([]byte(pattern), '*') {
			list = append(list, image)
		}
	}
	return list
}
