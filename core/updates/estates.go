package updates

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
)

const (
	// refreshTimeout bounds how long a job waits for the newest revisions:
	// whatever is decided on older ones is checked again when it is written.
	refreshTimeout = 30 * time.Second
	// collectors bounds how many syncs' files are read, or rendered, at a time.
	collectors = 8
)

// estates collects what is known of the syncs that a job concerns, at the newest
// revisions, with what runs now. named are the workloads that the job is about,
// nil for all. A sync that cannot be read is a problem, and keeps nobody from
// the others. The caller owes each a release.
func (u *Updater) estates(ctx context.Context, named []string) (list []*estate, problems []string, err error) {
	ids := u.site.Syncs()
	asking, cancel := deadline.Within(ctx, refreshTimeout)
	err = u.site.Refresh(asking, ids)
	cancel()
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	if err != nil {
		problems = append(problems, "the newest revisions are not known: "+words.OneLine(err))
	}
	live, err := u.site.Workloads(ctx, workload.Request{})
	if err != nil {
		return nil, nil, err
	}
	problems = append(problems, live.Problems...)
	likely, rest := u.concerned(ids, named, live.Workloads)
	for _, part := range [][]string{likely, rest} {
		if len(named) > 0 && declareAll(list, named) {
			break
		}
		found, lacking := u.collect(ctx, part, live.Workloads)
		list, problems = append(list, found...), append(problems, lacking...)
	}
	if ctx.Err() != nil {
		releaseAll(list)
		return nil, nil, context.Cause(ctx)
	}
	return list, problems, nil
}

// concerned divides syncs into those whose files are likely to declare the named
// workloads, or are read at no cost, and the rest, whose files would have to be
// rendered to know. Without names all are likely.
func (u *Updater) concerned(ids, named []string, live []workload.Workload) (likely, rest []string) {
	for _, id := range ids {
		f, ok := u.site.Files(id)
		if !ok {
			continue
		}
		cfg := f.Sync
		owns := slices.ContainsFunc(live, func(w workload.Workload) bool {
			return w.Applier == cfg.Applier && w.Owner == cfg.Name && slices.Contains(named, w.ID)
		})
		if len(named) == 0 || cfg.Renderer == "" || owns {
			likely = append(likely, id)
		} else {
			rest = append(rest, id)
		}
	}
	return likely, rest
}

// declareAll reports whether all the named workloads are declared.
func declareAll(list []*estate, named []string) bool {
	known := map[string]bool{}
	for _, s := range list {
		for _, w := range s.found.Workloads {
			known[w.ID] = true
		}
	}
	return !slices.ContainsFunc(named, func(id string) bool { return !known[id] })
}

// collect takes stock of several syncs at a time, so that one that takes long
// holds up no others.
func (u *Updater) collect(ctx context.Context, ids []string, live []workload.Workload) (list []*estate, problems []string) {
	found, errs := make([]*estate, len(ids)), make([]error, len(ids))
	slots := make(chan struct{}, collectors)
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			found[i], errs[i] = u.estate(ctx, id, u.ofApplier(id, live))
		})
	}
	wg.Wait()
	for i, id := range ids {
		if errs[i] != nil {
			problems = append(problems, fmt.Sprintf("%s: %s", id, words.OneLine(errs[i])))
			continue
		}
		list = append(list, found[i])
	}
	return list, problems
}

func releaseAll(list []*estate) {
	for _, s := range list {
		s.release()
	}
}

// ofApplier are the workloads that run where a sync applies to.
func (u *Updater) ofApplier(sync string, all []workload.Workload) []workload.Workload {
	f, ok := u.site.Files(sync)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(w workload.Workload) bool { return w.Applier != f.Sync.Applier })
}
