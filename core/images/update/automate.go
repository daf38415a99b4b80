package update

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Automate decides what automation changes now: one result for each workload
// that git declares and of which a container is automated, sorted by ID. next
// is when an image that is too young now will be old enough; zero if there is
// none.
func Automate(all []Workload, now time.Time) (results []Result, next time.Time) {
	for _, w := range all {
		containers := slices.DeleteFunc(slices.Clone(w.Containers), func(c Container) bool { return !c.Automated || c.Decider != "" || c.Fixed != "" })
		if !w.InRepo || len(containers) == 0 {
			continue
		}
		results = append(results, w.result(w.automate(containers, func(t time.Time) {
			if t.After(now) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		})))
	}
	slices.SortStableFunc(results, func(a, b Result) int {
		return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.Sync, b.Sync))
	})
	return results, next
}

// automate decides on the containers of w that are automated.
func (w Workload) automate(containers []Container, notBefore func(time.Time)) Result {
	res, held := w.hold()
	switch {
	case !w.InCluster:
		return Result{Status: Skipped, Reason: ReasonNotInCluster}
	case held:
		return res
	case w.Problem != "":
		return Result{Status: Failed, Reason: w.Problem}
	}
	return judge(containers, func(c Container) choice {
		ch := newest(c)
		notBefore(ch.notBefore)
		return ch
	})
}
