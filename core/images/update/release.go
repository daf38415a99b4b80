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

// decide says what becomes of a workload that git declares.
func (r *releaser) decide(w Workload) Result {
	if res, out := r.filter(w); out {
		return res
	}
	switch {
	case len(r.spec.Containers) > 0:
		return foretell(w, r.exact(w))
	case r.spec.AllImages:
		return judge(w.Containers, newest)
	}
	return foretell(w, judge(w.Containers, r.given))
}

// filter decides on what is left alone whatever the registry has. The filters
// come in Flux v1's order, which shows in the reasons.
func (r *releaser) filter(w Workload) (res Result, out bool) {
	switch {
	case r.named != nil && !r.named[w.ID]:
		return Result{Status: Ignored, Reason: ReasonNotIncluded}, true
	case r.excluded[w.ID]:
		return Result{Status: Ignored, Reason: ReasonExcluded}, true
	case !w.InCluster:
		return Result{Status: Skipped, Reason: ReasonNotInCluster}, true
	case r.spec.Image != "" && !slices.ContainsFunc(w.Containers, r.uses):
		return Result{Status: Ignored, Reason: ReasonOtherImage}, true
	}
	if forced := r.spec.Force && r.named != nil; !forced {
		if res, held := w.hold(); held {
			return res, true
		}
	}
	return Result{Status: Failed, Reason: w.Problem}, w.Problem != ""
}

// Concerned are the workloads of all on which s decides by what the registry has
// of each of their repositories.
func (s Spec) Concerned(all []Workload) []Workload {
	if !s.AllImages {
		return nil
	}
	r, err := newReleaser(s, nil) // which only an image is looked up with
	if err != nil {
		return nil // Release tells
	}
	return slices.DeleteFunc(slices.Clone(all), func(w Workload) bool { _, out := r.filter(w); return out || !w.InRepo })
}

// hold is why neither automation nor an unforced release touches w.
func (w Workload) hold() (res Result, held bool) {
	switch {
	case w.Policy.Locked:
		return Result{Status: Skipped, Reason: ReasonLocked, Detail: w.lockedBy()}, true
	case w.ignored():
		return Result{Status: Skipped, Reason: ReasonIgnore}, true
	}
	return Result{}, false
}

// foretell warns of swaps that automation will not leave as they are.
func foretell(w Workload, res Result) Result {
	if _, held := w.hold(); held || !w.Attended {
		return res
	}
	keeps := cmp.Or(w.Keeps, fmt.Sprintf("`sluice lock %s`", w.ID))
	for _, swap := range res.Containers {
		i := slices.IndexFunc(w.Containers, func(c Container) bool { return c.Name == swap.Container })
		target, err := ref.Parse(swap.Target)
		if c := w.Containers[i]; err == nil && c.Automated && c.Input != nil {
			c.Current = target
			if then := newest(c); then.kind == change {
				res.Warnings = append(res.Warnings, fmt.Sprintf("container %s: automation will replace it by %s: %s keeps it", c.Name, then.target, keeps))
			}
		}
	}
	return res
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
		why := fmt.Sprintf("%s does not match %s (--force goes past it)", c.Rules, r.image.Tag)
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
