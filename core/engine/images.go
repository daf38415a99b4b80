package engine

import (
	"context"
	"slices"

	"github.com/sluice-gitops/sluice/core/available"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/workload"
)

// Images tells what the registries have for the images of workloads, see
// available.List.
func (e *Engine) Images(ctx context.Context, req available.Request, progress func(available.Progress)) (available.Answer, error) {
	if err := e.checkAlive(); err != nil {
		return available.Answer{}, err
	}
	found, err := e.findWorkloads(ctx, req.Workloads, req.Namespace, "")
	if err != nil {
		return available.Answer{}, err
	}
	answer := available.List(ctx, e.imaging.scanner, e.setup().Book, found, req, progress)
	if err := e.checkAlive(); err != nil {
		return available.Answer{}, err // the scanner was closed meanwhile
	}
	return answer, ctx.Err()
}

// findWorkloads lists the workloads that names name, all without names. A name
// that fits none is an error.
func (e *Engine) findWorkloads(ctx context.Context, names []string, namespace, applierID string) (workload.Answer, error) {
	if len(names) == 0 {
		return e.Workloads(ctx, workload.Request{Namespace: namespace, Applier: applierID})
	}
	wanted := map[string]bool{}
	for _, name := range names {
		id, err := workload.Qualify(name, namespace)
		if err != nil {
			return workload.Answer{}, err
		}
		wanted[id] = true
	}
	found, err := e.Workloads(ctx, workload.Request{Namespace: workload.OnlyNamespace(wanted), Applier: applierID})
	if err != nil {
		return workload.Answer{}, err
	}
	found.Workloads = slices.DeleteFunc(found.Workloads, func(w workload.Workload) bool { return !wanted[w.ID] })
	for id := range wanted {
		if !slices.ContainsFunc(found.Workloads, func(w workload.Workload) bool { return w.ID == id }) {
			return workload.Answer{}, refusal.NotFound("there is no workload %s%s", id, workload.Missing(found.Problems))
		}
	}
	return found, nil
}

// ImageScans tells how the scans of each repository fare.
func (e *Engine) ImageScans() []images.RepositoryStatus { return e.imaging.scanner.Status() }

// ImageBudget tells what each registry is asked, and may be.
func (e *Engine) ImageBudget() []limit.Budget { return e.imaging.limiter.Budgets() }

// ImageCache counts what is remembered of images.
func (e *Engine) ImageCache() (cache.Stats, error) { return e.imaging.cache.Stats() }

// ClearImageCache forgets what is remembered of the repositories whose
// host/path matches the glob, and returns how much that was.
func (e *Engine) ClearImageCache(pattern string) (cache.Stats, error) {
	gone, err := e.imaging.cache.Clear(pattern)
	e.imaging.scanner.Again(pattern)
	return gone, err
}

// ImageMetrics are the figures of scans.
func (e *Engine) ImageMetrics() images.Metrics {
	if e.imaging == nil {
		return images.Metrics{}
	}
	return e.imaging.scanner.Metrics()
}
