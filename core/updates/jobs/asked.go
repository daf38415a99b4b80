package jobs

import (
	"fmt"
	"maps"
	"slices"

	"github.com/sluice-gitops/sluice/core/images/update"
)

// Asked says in one line what a release was asked for.
func (r ReleaseRequest) Asked() string {
	what := r.Spec.Image
	switch {
	case len(r.Spec.Containers) > 0:
		what = "chosen images"
	case what == "":
		what = "the newest images"
	}
	whom := shortList(r.Named())
	if r.Spec.All {
		whom = "all workloads"
		if r.Namespace != "" {
			whom += " of " + r.Namespace
		}
	}
	text := fmt.Sprintf("release %s to %s", what, whom)
	if r.Spec.Force {
		text += " by force"
	}
	return text
}

// Named are the ids of the workloads that the request names.
func (r ReleaseRequest) Named() []string {
	if r.Spec.All {
		return nil
	}
	return append(slices.Sorted(maps.Keys(r.Spec.Containers)), r.Spec.Workloads...)
}

// Asked says in one line what a change of policies was asked for.
func (r PolicyRequest) Asked() string {
	return fmt.Sprintf("%s %s", r.Change, shortList(r.Workloads))
}

// shortList names the first of several.
func shortList(ids []string) string {
	const most = 2
	switch {
	case len(ids) == 0:
		return "nothing"
	case len(ids) > most:
		return fmt.Sprintf("%s and %d more", ids[0], len(ids)-1)
	case len(ids) == most:
		return ids[0] + ", " + ids[1]
	}
	return ids[0]
}

// Missed sums up what of a job could not be done for the workloads that were
// named, and of all what failed; "" if there is nothing like that. That nobody can
// tell which images are the newest is missed, a pattern that refuses an image is
// an answer.
func (j *Stored) Missed() string {
	first, n := "", 0
	for _, r := range j.Results {
		unknown := r.Reason == update.ReasonImageNotFound && j.Release != nil && j.Release.Spec.AllImages
		if r.Status != update.Failed && (!unknown && !r.Missed() || !slices.Contains(j.Named, r.ID)) {
			continue
		}
		if n++; n == 1 {
			first = r.ID + ": " + r.Why()
		}
	}
	if n > 1 {
		return fmt.Sprintf("%s, and %d more", first, n-1)
	}
	return first
}
