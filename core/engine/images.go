package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates/rules"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// ImagesRequest asks what the registries have for the images that run.
type ImagesRequest struct {
	Workloads []string `json:"workloads,omitempty"` // ids, or kind/name in Namespace; empty: all
	Namespace string   `json:"namespace,omitempty"` // empty: all
	Container string   `json:"container,omitempty"` // empty: all
	Limit     int      `json:"limit,omitempty"`     // tags for each container; 0: all
	Scan      bool     `json:"scan,omitempty"`      // ask the registries now

	Timeout time.Duration `json:"timeout,omitempty"` // for what the registries are asked, in nanoseconds; 0: none
}

// ContainerImages is what a registry has for the image of one container.
type ContainerImages struct {
	Workload  string       `json:"workload"`
	Applier   string       `json:"applier"`
	Container string       `json:"container"`
	Image     string       `json:"image"` // that runs, as written
	Init      bool         `json:"init,omitempty"`
	Rows      []images.Row `json:"rows"` // the newest tags first, within the limit
	View      *images.View `json:"view,omitempty"`
	Error     string       `json:"error,omitempty"` // why there are no rows, or old ones
}

// ImagesAnswer is ordered by applier, workload and container.
type ImagesAnswer struct {
	Images   []ContainerImages `json:"images"`
	Problems []string          `json:"problems,omitempty"` // appliers that did not answer
	Warnings []string          `json:"warnings,omitempty"` // what is wrong with patterns and annotations, by workload
}

// ImagesProgress is a repository that was scanned for somebody who waits.
type ImagesProgress struct {
	Repository string `json:"repository"`
	Tags       int    `json:"tags"`
	Done       int    `json:"done"` // repositories so far
	Error      string `json:"error,omitempty"`
}

// Images tells what the registries have for the images of workloads. It asks
// them if the request says so, and for workloads that it names if nothing is
// known of their images yet.
func (e *Engine) Images(ctx context.Context, req ImagesRequest, progress func(ImagesProgress)) (ImagesAnswer, error) {
	if err := e.checkAlive(); err != nil {
		return ImagesAnswer{}, err
	}
	found, err := e.findWorkloads(ctx, req.Workloads, req.Namespace, "")
	if err != nil {
		return ImagesAnswer{}, err
	}
	rows := e.containersOf(found.Workloads, req.Container)
	asking, cancel := bounded(ctx, req.Timeout)
	defer cancel()
	e.scanFor(asking, rows, req, progress)
	answer := ImagesAnswer{Images: make([]ContainerImages, len(rows)), Problems: found.Problems}
	for _, w := range found.Workloads {
		for _, text := range w.Warnings {
			answer.Warnings = append(answer.Warnings, w.ID+": "+text)
		}
	}
	var reading sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, row := range rows {
		slots <- struct{}{}
		reading.Go(func() {
			defer func() { <-slots }()
			answer.Images[i] = e.describeImages(ctx, asking, row, req)
		})
	}
	reading.Wait()
	if err := e.checkAlive(); err != nil {
		return ImagesAnswer{}, err // the scanner was closed meanwhile
	}
	return answer, ctx.Err()
}

// container is one container of a workload with what the scanner knows it by.
type container struct {
	images  ContainerImages
	target  images.Target
	invalid error // no image can be read from its image field
}

func (e *Engine) containersOf(list []workload.Workload, name string) []container {
	var found []container
	for _, w := range list {
		for _, c := range w.Containers {
			if name == "" || name == c.Name {
				found = append(found, containerOf(w, c, e.setup().Book))
			}
		}
	}
	return found
}

func containerOf(w workload.Workload, c applier.Container, book rules.Book) container {
	row := container{images: ContainerImages{
		Workload: w.ID, Applier: w.Applier, Container: c.Name, Image: c.Image, Init: c.Init, Rows: []images.Row{},
	}}
	row.target, row.invalid = book.Target(w, c)
	return row
}

// scanFor asks the registries for what req wants to know now.
func (e *Engine) scanFor(ctx context.Context, rows []container, req ImagesRequest, progress func(ImagesProgress)) {
	var targets []images.Target
	for _, row := range rows {
		if row.invalid != nil {
			continue
		}
		view, err := e.imaging.scanner.Known(ctx, row.target)
		unknown := err == nil && view.Scanned.IsZero() && view.FailedAt.IsZero()
		if req.Scan || unknown && len(req.Workloads) > 0 {
			targets = append(targets, row.target)
		}
	}
	if len(targets) == 0 {
		return
	}
	done := 0
	e.imaging.scanner.Scan(ctx, targets, func(r images.Result) {
		done++
		p := ImagesProgress{Repository: r.Repository, Tags: r.Tags, Done: done, Error: r.Skipped}
		if r.Err != nil {
			p.Error = r.Targets[0].Advised(oneLine(r.Err))
		}
		if progress != nil {
			progress(p)
		}
	})
}

// describeImages fills in what is known of one container's image, and reads the
// times of the tags that will be shown if somebody asked for just them, as long
// as asking lasts.
func (e *Engine) describeImages(ctx, asking context.Context, row container, req ImagesRequest) ContainerImages {
	out := row.images
	if row.invalid != nil {
		out.Error = oneLine(row.invalid)
		return out
	}
	view, err := e.imaging.scanner.Known(ctx, row.target)
	if err == nil && (req.Scan || len(req.Workloads) > 0) {
		if tags := untimed(view.Window(req.Limit)); len(tags) > 0 {
			if err := e.imaging.scanner.Resolve(asking, row.target, tags); err != nil {
				out.Error = row.target.Advised(oneLine(because(asking, err)))
			}
			view, err = e.imaging.scanner.Known(ctx, row.target)
		}
	}
	if err != nil {
		out.Error = oneLine(err)
		return out
	}
	out.Rows = view.Window(req.Limit)
	switch {
	case out.Error != "":
	case view.Error != "":
		view.Error = row.target.Advised(view.Error)
		out.Error = view.Error
	case len(view.Tags) == 0:
		out.Error = view.Skipped
	}
	view.Tags = nil // they are in Rows, as many as were asked for
	out.View = &view
	return out
}

// untimed names the tags among rows whose time is not known and could be. There
// is a limit: a person looks at them.
func untimed(rows []images.Row) []string {
	const most = 50
	var tags []string
	for _, r := range rows {
		if r.Relation != images.Omitted && r.Tag.Name != "" && r.Tag.Created.IsZero() && r.Tag.Problem == "" && len(tags) < most {
			tags = append(tags, r.Tag.Name)
		}
	}
	return tags
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
