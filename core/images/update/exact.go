package update

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
)

// exact decides on a workload of an exact list of containers.
func (r *releaser) exact(w Workload) Result {
	var res Result
	var missing, mismatched []string
	for _, swap := range r.spec.Containers[w.ID] {
		i := slices.IndexFunc(w.Containers, func(c Container) bool { return c.Name == swap.Container })
		if i < 0 {
			missing = append(missing, swap.Container)
			continue
		}
		c := w.Containers[i]
		target, err := ref.Parse(swap.Target)
		switch {
		case err != nil:
			return Result{Status: Failed, Reason: fmt.Sprintf("container %s: %v", c.Name, err)}
		case !stands(swap.Current, c):
			mismatched = append(mismatched, swap.Container)
		case target != c.Current && c.Fixed != "":
			return Result{Status: Failed, Reason: fmt.Sprintf("container %s: %s", c.Name, c.Fixed)}
		case target != c.Current:
			res.Containers = append(res.Containers, Swap{Container: c.Name, Current: c.Current.String(), Target: swap.Target})
		}
	}
	mismatch := reasonMismatch + strings.Join(mismatched, ", ")
	switch {
	case len(missing) > 0:
		return Result{Status: Failed, Reason: reasonNoContainer + strings.Join(missing, ", ")}
	case len(mismatched) > 0 && !r.spec.SkipMismatches:
		return Result{Status: Failed, Reason: mismatch}
	case len(mismatched) > 0:
		res.Reason = mismatch
	case len(res.Containers) == 0:
		res.Reason = ReasonUpToDate
	}
	res.Status = Success
	if len(res.Containers) == 0 {
		res.Status = Skipped
	}
	return res
}

// stands reports whether c has the image that the person saw, in whatever
// spelling; "" is any.
func stands(current string, c Container) bool {
	if current == "" {
		return true
	}
	seen, err := ref.Parse(current)
	return err == nil && c.Invalid == "" && seen.Canonical() == c.Current.Canonical() && seen.Digest == c.Current.Digest
}
