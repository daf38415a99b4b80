// Package available tells which images the registries have for what runs: for
// each container the tags, the newest first, and what its policy makes of them.
//
// What is known is read from the scanner; a registry is asked where somebody
// wants that, or asks about workloads by name of which nothing is known yet. All
// that is kept is kept by the scanner. Its functions are safe for concurrent use.
package available

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/updates/rules"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Request asks what the registries have for the images that run.
type Request struct {
	Workloads []string `json:"workloads,omitempty"` // ids, or kind/name in Namespace; empty: all
	Namespace string   `json:"namespace,omitempty"` // empty: all
	Container string   `json:"container,omitempty"` // empty: all
	Limit     int      `json:"limit,omitempty"`     // tags for each container; 0: all
	Scan      bool     `json:"scan,omitempty"`      // ask the registries now

	Timeout time.Duration `json:"timeout,omitempty"` // for what the registries are asked, in nanoseconds; 0: none
}

// Images is what a registry has for the image of one container.
type Images struct {
	Workload  string       `json:"workload"`
	Applier   string       `json:"applier"`
	Container string       `json:"container"`
	Image     string       `json:"image"` // that runs, as written
	Init      bool         `json:"init,omitempty"`
	Rows      []images.Row `json:"rows"` // the newest tags first, within the limit
	View      *images.View `json:"view,omitempty"`
	Error     string       `json:"error,omitempty"` // why there are no rows, or old ones
}

// Answer is ordered by applier, workload and container.
type Answer struct {
	Images   []Images `json:"images"`
	Problems []string `json:"problems,omitempty"` // appliers that did not answer
	Warnings []string `json:"warnings,omitempty"` // what is wrong with patterns and annotations, by workload
}

// Progress is a repository that was scanned for somebody who waits.
type Progress struct {
	Repository string `json:"repository"`
	Tags       int    `json:"tags"`
	Done       int    `json:"done"` // repositories so far
	Error      string `json:"error,omitempty"`
}

// List tells what the registries have for the images of the workloads that were
// found. It asks them if the request says so, and for workloads that it names if
// nothing is known of their images yet. progress may be nil.
func List(ctx context.Context, scanner *images.Scanner, book rules.Book, found workload.Answer, req Request, progress func(Progress)) Answer {
	l := &list{scanner: scanner, req: req, rows: containersOf(found.Workloads, req.Container, book)}
	asking, cancel := deadline.Within(ctx, req.Timeout)
	defer cancel()
	l.scan(asking, progress)
	answer := Answer{Images: make([]Images, len(l.rows)), Problems: found.Problems}
	for _, w := range found.Workloads {
		for _, text := range w.Warnings {
			answer.Warnings = append(answer.Warnings, w.ID+": "+text)
		}
	}
	var reading sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, row := range l.rows {
		slots <- struct{}{}
		reading.Go(func() {
			defer func() { <-slots }()
			answer.Images[i] = l.describe(ctx, asking, row)
		})
	}
	reading.Wait()
	return answer
}

// list is one answer that is being made.
type list struct {
	scanner *images.Scanner
	req     Request
	rows    []container
}

// container is one container of a workload with what the scanner knows it by.
type container struct {
	images  Images
	target  images.Target
	invalid error // no image can be read from its image field
}

func containersOf(list []workload.Workload, name string, book rules.Book) []container {
	var found []container
	for _, w := range list {
		for _, c := range w.Containers {
			if name == "" || name == c.Name {
				found = append(found, containerOf(w, c, book))
			}
		}
	}
	return found
}

func containerOf(w workload.Workload, c applier.Container, book rules.Book) container {
	row := container{images: Images{
		Workload: w.ID, Applier: w.Applier, Container: c.Name, Image: c.Image, Init: c.Init, Rows: []images.Row{},
	}}
	row.target, row.invalid = book.Target(w, c)
	return row
}

// scan asks the registries for what is wanted now.
func (l *list) scan(ctx context.Context, progress func(Progress)) {
	var targets []images.Target
	for _, row := range l.rows {
		if row.invalid != nil {
			continue
		}
		view, err := l.scanner.Known(ctx, row.target)
		unknown := err == nil && view.Scanned.IsZero() && view.FailedAt.IsZero()
		if l.req.Scan || unknown && len(l.req.Workloads) > 0 {
			targets = append(targets, row.target)
		}
	}
	if len(targets) == 0 {
		return
	}
	done := 0
	l.scanner.Scan(ctx, targets, func(r images.Result) {
		done++
		p := Progress{Repository: r.Repository, Tags: r.Tags, Done: done, Error: r.Skipped}
		if r.Err != nil {
			p.Error = r.Targets[0].Advised(words.OneLine(r.Err))
		}
		if progress != nil {
			progress(p)
		}
	})
}

// describe fills in what is known of one container's image, and reads the
// times of the tags that will be shown if somebody asked for just them, as long
// as asking lasts.
func (l *list) describe(ctx, asking context.Context, row container) Images {
	out := row.images
	if row.invalid != nil {
		out.Error = words.OneLine(row.invalid)
		return out
	}
	view, err := l.scanner.Known(ctx, row.target)
	if err == nil && (l.req.Scan || len(l.req.Workloads) > 0) {
		if tags := untimed(view.Window(l.req.Limit)); len(tags) > 0 {
			if err := l.scanner.Resolve(asking, row.target, tags); err != nil {
				out.Error = row.target.Advised(words.OneLine(deadline.Because(asking, err)))
			}
			view, err = l.scanner.Known(ctx, row.target)
		}
	}
	if err != nil {
		out.Error = words.OneLine(err)
		return out
	}
	out.Rows = view.Window(l.req.Limit)
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
