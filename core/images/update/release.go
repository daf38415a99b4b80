package update

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// Errors of a release of an exact list of containers.
var (
	ErrCannotSatisfy = errors.New("cannot satisfy specs")
	ErrNoChanges     = errors.New("no changes found")
)

// Validate tells what is contradictory or missing in the spec.
func (s Spec) Validate() error {
	kinds := 0
	for _, given := range []bool{s.Image != "", s.AllImages, len(s.Containers) > 0} {
		if given {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return errors.New("release: exactly one of an image, all images and a list of containers is needed")
	case len(s.Containers) > 0 && (s.All || len(s.Workloads) > 0 || len(s.Exclude) > 0):
		return errors.New("release: a list of containers names the workloads itself")
	case len(s.Containers) > 0:
		return nil
	case s.All == (len(s.Workloads) > 0):
		return errors.New("release: either all workloads or at least one by name")
	case s.Force && s.All && s.AllImages:
		return errors.New("release: force needs workloads by name or one image: it would change nothing here")
	}
	return nil
}

// Release decides what a release changes: one result for each workload of all
// that git declares, and for each that the spec names, sorted by ID.
//
// exists is asked whether the registry has Spec.Image. An error means that
// nothing is to be written; where it is one of a list of containers
// (ErrCannotSatisfy, ErrNoChanges), the results are there and say why.
func Release(spec Spec, all []Workload, exists Lookup) ([]Result, error) {
	r, err := newReleaser(spec, exists)
	if err != nil {
		return nil, err
	}
	var results []Result
	known := map[string]bool{}
	for _, w := range all {
		if w.InRepo {
			known[w.ID] = true
			results = append(results, w.result(r.decide(w)))
		}
	}
	for id := range r.named {
		if !known[id] {
			results = append(results, Result{ID: id, Status: Skipped, Reason: ReasonNotInRepo})
		}
	}
	slices.SortStableFunc(results, func(a, b Result) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Sync, b.Sync))
	})
	return results, r.verdict(results)
}

// releaser is a spec, read.
type releaser struct {
	spec     Spec
	named    map[string]bool // nil: all
	excluded map[string]bool
	image    ref.Ref
	digest   string // of image, "" if unknown
}

func newReleaser(spec Spec, exists Lookup) (*releaser, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	r := &releaser{spec: spec, excluded: set(slices.Values(spec.Exclude))}
	switch {
	case len(spec.Containers) > 0:
		r.named = set(maps.Keys(spec.Containers))
	case !spec.All:
		r.named = set(slices.Values(spec.Workloads))
	}
	if spec.Image == "" {
		return r, nil
	}
	var err error
	if r.image, err = ref.Parse(spec.Image); err != nil {
		return nil, err
	}
	if r.image.Tag == "" && r.image.Digest == "" {
		return nil, fmt.Errorf("image %q has no tag: name the one to release", spec.Image)
	}
	if r.digest, err = exists(r.image); err != nil {
		return nil, fmt.Errorf("image %s does not exist: %w", r.image, err)
	}
	r.digest = cmp.Or(r.image.Digest, r.digest)
	return r, nil
}

// decide says what becomes of a workload that git declares. Its filters come in
// Flux v1's order, which shows in the reasons.
func (r *releaser) decide(w Workload) Result {
	switch {
	case r.named != nil && !r.named[w.ID]:
		return Result{Status: Ignored, Reason: ReasonNotIncluded}
	case r.excluded[w.ID]:
		return Result{Status: Ignored, Reason: ReasonExcluded}
	case !w.InCluster:
		return Result{Status: Skipped, Reason: ReasonNotInCluster}
	case r.spec.Image != "" && !slices.ContainsFunc(w.Containers, r.uses):
		return Result{Status: Ignored, Reason: ReasonOtherImage}
	}
	if forced := r.spec.Force && r.named != nil; !forced {
		if reason := w.hold(); reason != "" {
			return Result{Status: Skipped, Reason: reason}
		}
	}
	switch {
	case w.Problem != "":
		return Result{Status: Failed, Reason: w.Problem}
	case len(r.spec.Containers) > 0:
		return r.exact(w)
	case r.spec.AllImages:
		return judge(w.Containers, newest)
	}
	return judge(w.Containers, r.given)
}

// hold is why neither automation nor an unforced release touches w.
func (w Workload) hold() string {
	switch {
	case w.Policy.Locked:
		return ReasonLocked
	case w.ignored():
		return ReasonIgnore
	}
	return ""
}

func (w Workload) result(r Result) Result {
	r.ID, r.Sync, r.Source = w.ID, w.Sync, w.Source
	return r
}

// uses reports whether a container is of the repository that is released.
func (r *releaser) uses(c Container) bool {
	return c.Invalid == "" && c.Current.CanonicalName() == r.image.CanonicalName()
}

// given decides on the image that was asked for.
func (r *releaser) given(c Container) choice {
	switch {
	case !r.uses(c):
		return choice{kind: unused}
	case !r.spec.Force && refuses(c.Rules, r.image.Tag):
		why := fmt.Sprintf("%s does not match %s", c.Rules, r.image.Tag)
		if c.Rules.Err != nil {
			why = c.Rules.Err.Error()
		}
		return choice{kind: undecided, why: why}
	}
	target := c.Current.WithTag(r.image.Tag)
	target.Digest = r.image.Digest
	if target.Digest == "" && c.Rules.NeedsDigest(c.Current) {
		if target.Digest = r.digest; target.Digest == "" {
			return choice{kind: undecided, why: "it is pinned, and the digest of " + r.image.String() + " is not known"}
		}
	}
	return chosen(c, target)
}

// refuses reports whether somebody's pattern keeps the tag out. The pattern of
// those who gave none keeps nothing out that a person asks for.
func refuses(rules policy.Rules, tag string) bool {
	if rules.Err == nil && rules.Policy.String() == policy.Default {
		return false
	}
	return rules.Err != nil || !rules.Policy.Matches(tag)
}

// verdict is the error of a release as a whole.
func (r *releaser) verdict(results []Result) error {
	if len(r.spec.Containers) == 0 {
		return nil
	}
	has := func(s Status) bool {
		return slices.ContainsFunc(results, func(res Result) bool { return res.Status == s })
	}
	switch {
	case has(Failed):
		return ErrCannotSatisfy
	case !has(Success):
		return ErrNoChanges
	}
	return nil
}
