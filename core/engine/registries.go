package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/update"
)

// registryTimeout bounds how long registries are asked for somebody who sets no
// limit.
const registryTimeout = 2 * time.Minute

// askRegistries asks the registries, as long as ctx lasts, for what is not known of the
// images that the targets may move to, or not since longer than stale; 0 is as
// old as it may be. It returns by workload why that was in vain. tell, which may
// be nil, is told what is being done.
func (e *Engine) askRegistries(ctx context.Context, targets []images.Target, stale time.Duration, tell func(string)) map[string]string {
	var unknown []images.Target
	for _, t := range targets {
		view, err := e.imaging.scanner.Known(ctx, t)
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
			tell(fmt.Sprintf("asks registries for the images of %s, %d repositories are read", many(len(unknown), "container"), done))
		}
	}
	say(0)
	done := 0
	e.imaging.scanner.Scan(ctx, unknown, func(r images.Result) {
		done++
		say(done)
		if r.Err == nil {
			return
		}
		text := fmt.Sprintf("%s was not asked for news: %s", r.Repository, oneLine(because(ctx, r.Err)))
		if host, _, _ := strings.Cut(r.Repository, "/"); ctx.Err() != nil {
			text += e.pace(host)
		}
		for _, t := range r.Targets {
			trouble[t.Workload] = advised(text, t)
		}
	})
	return trouble
}

// pace tells what the requests to a registry wait for, "" if nothing is known to
// hold them back.
func (e *Engine) pace(host string) string {
	var text strings.Builder
	for _, b := range e.imaging.limiter.Budgets() {
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

// scanInterval is how often repositories are looked at: what is older is not
// what the registry has.
func (e *Engine) scanInterval() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.running.cfg.Images.Interval
}

// attended reports whether an automation looks after a sync.
func (e *Engine) attended(sync string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.nodes {
		if n.automation != nil && n.automation.cfg.Target == sync {
			return true
		}
	}
	return false
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
