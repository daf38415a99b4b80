package updates

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/words"
)

// registryTimeout bounds how long registries are asked for somebody who sets no
// limit.
const registryTimeout = 2 * time.Minute

// askRegistries asks the registries, as long as ctx lasts, for what is not known of the
// images that the targets may move to, or not since longer than stale; 0 is as
// old as it may be. It returns by workload why that was in vain. tell, which may
// be nil, is told what is being done.
func (u *Updater) askRegistries(ctx context.Context, targets []images.Target, stale time.Duration, tell func(string)) map[string]string {
	var unknown []images.Target
	for _, t := range targets {
		view, err := u.scanner.Known(ctx, t)
		old := stale > 0 && now().Sub(view.Scanned) > stale
		if err == nil && (old || !view.Complete) {
			unknown = append(unknown, t)
		}
	}
	trouble := map[string]string{}
	if len(unknown) == 0 {
		return trouble
	}
	say := func(done int) {
		if tell != nil {
			tell(fmt.Sprintf("asks registries for the images of %s, %d repositories are read", words.Count(len(unknown), "container"), done))
		}
	}
	say(0)
	done := 0
	u.scanner.Scan(ctx, unknown, func(r images.Result) {
		done++
		say(done)
		if r.Err == nil {
			return
		}
		text := fmt.Sprintf("%s was not asked for news: %s", r.Repository, words.OneLine(deadline.Because(ctx, r.Err)))
		if host, _, _ := strings.Cut(r.Repository, "/"); ctx.Err() != nil {
			text += u.pace(host)
		}
		for _, t := range r.Targets {
			trouble[t.Workload] = t.Advised(text)
		}
	})
	return trouble
}

// pace tells what the requests to a registry wait for, "" if nothing is known to
// hold them back.
func (u *Updater) pace(host string) string {
	var text strings.Builder
	for _, b := range u.limiter.Budgets() {
		switch {
		case b.Host != host || b.Why == "":
		case b.BlockedUntil.IsZero():
			fmt.Fprintf(&text, "; %s is asked %s", host, b.Why)
		default:
			fmt.Fprintf(&text, "; %s is asked again at %s: %s", host, b.BlockedUntil.Format(time.RFC3339), b.Why)
		}
	}
	return text.String()
}

// targetsOf are what the scanner knows the containers of workloads by.
func targetsOf(list []*estate, workloads []update.Workload) []images.Target {
	wanted := map[string]bool{}
	for _, w := range workloads {
		wanted[w.Sync+" "+w.ID] = true
	}
	var targets []images.Target
	for _, s := range list {
		for _, t := range s.targets {
			if wanted[s.sync.Address+" "+t.Workload] {
				targets = append(targets, t)
			}
		}
	}
	return targets
}

// warned adds to the results what kept registries from being asked.
func warned(results []update.Result, trouble map[string]string) []update.Result {
	for i, r := range results {
		if text := trouble[r.ID]; text != "" && r.Status != update.Ignored {
			results[i].Warnings = append(slices.Clip(r.Warnings), text)
		}
	}
	return results
}

// unasked tells, by registry, which of those that have the images of targets
// cannot be asked for news: since when, and why.
func (u *Updater) unasked(targets []images.Target) map[string]string {
	failing := map[string][]images.RepositoryStatus{}
	for _, r := range u.scanner.Failing(targets) {
		host, _, _ := strings.Cut(r.Repository, "/")
		failing[host] = append(failing[host], r)
	}
	texts := map[string]string{}
	for host, list := range failing {
		first := list[0]
		for _, r := range list {
			if r.Failing.Before(first.Failing) {
				first = r
			}
		}
		what := first.Repository
		if len(list) > 1 {
			what = fmt.Sprintf("%d repositories of %s", len(list), host)
		}
		texts[host] = fmt.Sprintf("%s cannot be asked since %s: %s", what, first.Failing.UTC().Format(time.RFC3339), first.Error)
	}
	return texts
}
