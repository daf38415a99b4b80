package cli_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// qualified are names as ids.
func qualified(names []string, namespace string) []string {
	var ids []string
	for _, n := range names {
		if !strings.Contains(n, ":") {
			n = cmp.Or(namespace, "default") + ":" + n
		}
		ids = append(ids, n)
	}
	return ids
}

func (s *shop) Release(_ context.Context, req jobs.ReleaseRequest) (jobs.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	req.Spec.Workloads, req.Spec.Exclude = qualified(req.Spec.Workloads, req.Namespace), qualified(req.Spec.Exclude, req.Namespace)
	namespace, asked := "", fmt.Sprintf("release %s to %s", cmp.Or(req.Spec.Image, "the newest images"), strings.Join(req.Spec.Workloads, ", "))
	if req.Spec.All {
		namespace = req.Namespace
	}
	results, err := update.Release(req.Spec, s.known(namespace), s.exists)
	if err != nil && results == nil {
		return jobs.Job{}, err
	}
	job := jobs.Job{Kind: jobs.Release, Asked: asked, Named: req.Spec.Workloads, State: jobs.Succeeded, Results: results, User: req.User, Message: req.Message, DryRun: req.DryRun}
	if err != nil {
		job.State, job.Error = jobs.Failed, err.Error()
	}
	if req.DryRun {
		return job, nil
	}
	return s.start(job, func() {
		for _, r := range results {
			for _, c := range r.Containers {
				s.swap(r.ID, c)
			}
		}
	}), nil
}

func (s *shop) find(id string) *shopItem {
	i := slices.IndexFunc(s.items, func(x *shopItem) bool { return x.id == id })
	if i < 0 {
		return nil
	}
	return s.items[i]
}

func (s *shop) swap(id string, swap update.Swap) {
	x := s.find(id)
	for i := range x.containers {
		if x.containers[i].Name == swap.Container {
			x.containers[i].Image = swap.Target
		}
	}
}

func (s *shop) Policy(_ context.Context, req jobs.PolicyRequest) (jobs.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	job := jobs.Job{
		Kind: jobs.Policy, State: jobs.Succeeded, User: req.User, Message: req.Message, DryRun: req.DryRun,
		Named: qualified(req.Workloads, req.Namespace),
	}
	job.Asked = fmt.Sprintf("%s %s", req.Change, strings.Join(job.Named, ", "))
	changed := map[string]map[string]string{}
	for _, id := range qualified(req.Workloads, req.Namespace) {
		x := s.find(id)
		if x == nil {
			job.Results = append(job.Results, update.Result{ID: id, Status: update.Skipped, Reason: update.ReasonNotInRepo})
			job.Error = id + ": " + update.ReasonNotInRepo
			continue
		}
		notes := annotated(x.notes, req.Change)
		if maps.Equal(notes, x.notes) {
			job.Results = append(job.Results, update.Result{ID: id, Status: update.Skipped})
			continue
		}
		changed[id] = notes
		job.Results = append(job.Results, update.Result{ID: id, Status: update.Success, Detail: req.Change.String()})
	}
	if req.DryRun {
		return job, nil
	}
	return s.start(job, func() {
		for id, notes := range changed {
			s.find(id).notes = notes
		}
	}), nil
}

// annotated are annotations after a change, in the one prefix that the shop has.
func annotated(notes map[string]string, c update.PolicyChange) map[string]string {
	notes = maps.Clone(notes)
	if notes == nil {
		notes = map[string]string{}
	}
	const prefix = "fluxcd.io/"
	set := func(on, off bool, name string) {
		switch {
		case on:
			notes[prefix+name] = "true"
		case off:
			delete(notes, prefix+name)
		}
	}
	set(c.Automate, c.Deautomate, "automated")
	set(c.Lock, c.Unlock, "locked")
	if c.Lock {
		notes[prefix+"locked_user"], notes[prefix+"locked_msg"] = c.LockUser, c.LockMessage
	}
	if c.TagAll != "" {
		notes[prefix+"tag_all"] = c.TagAll
	}
	for name, pattern := range c.Tags {
		notes[prefix+"tag."+name] = pattern
	}
	return notes
}

// start queues a job that commits what write changes. s.mu is held.
func (s *shop) start(job jobs.Job, write func()) jobs.Job {
	job.ID, job.Created = "job-"+strconv.Itoa(len(s.jobs)+1), time.Now()
	j := &shopJob{Job: job, ended: make(chan struct{}), applied: make(chan struct{})}
	s.jobs = append(s.jobs, j)
	changes := slices.ContainsFunc(job.Results, func(r update.Result) bool { return r.Status == update.Success })
	if job.State == jobs.Failed || !changes {
		close(j.ended)
		close(j.applied)
		return j.Job
	}
	j.State = jobs.Queued
	go s.run(j, write) // it ends with the process
	return j.Job
}

func (s *shop) run(j *shopJob, write func()) {
	s.wait(s.pushes)
	s.mu.Lock()
	j.Finished = time.Now()
	if s.fails != "" {
		j.State, j.Error = jobs.Failed, s.fails
		close(j.applied)
	} else {
		write()
		j.State = jobs.Succeeded
		revision := strings.Repeat(strconv.Itoa(len(s.jobs)), 40)
		j.Commits = []jobs.Commit{{Source: "source.git.shop", Revision: revision, Branch: s.branch, Syncs: []string{"sync.shop"}}}
	}
	close(j.ended)
	s.mu.Unlock()
	if s.fails != "" || s.branch != "" {
		return
	}
	s.wait(s.applies)
	s.mu.Lock()
	defer s.mu.Unlock()
	j.Commits[0].Applied = true
	s.looks = 0
	for _, x := range s.items {
		for i := range x.running {
			x.running[i] = x.containers[i].Image
		}
	}
	close(j.applied)
}

// wait takes as long as d, or until the process ends.
func (s *shop) wait(d time.Duration) {
	if d < 0 {
		<-s.ctx.Done()
		return
	}
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
}

func (s *shop) job(id string) (*shopJob, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.jobs {
		if j.ID == id {
			return j, nil
		}
	}
	return nil, fmt.Errorf("there is no job %q: %w", id, refusal.ErrNotFound)
}

func (s *shop) Job(id string) (jobs.Job, error) {
	j, err := s.job(id)
	if err != nil {
		return jobs.Job{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.copyOf(j), nil
}

func (s *shop) copyOf(j *shopJob) jobs.Job {
	job := j.Job
	job.Commits = slices.Clone(job.Commits)
	return job
}

func (s *shop) Jobs() []jobs.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []jobs.Job{}
	for _, j := range slices.Backward(s.jobs) {
		list = append(list, s.copyOf(j))
	}
	return list
}

func (s *shop) WaitJob(ctx context.Context, id string, applied bool) (jobs.Job, error) {
	j, err := s.job(id)
	if err != nil {
		return jobs.Job{}, err
	}
	until := j.ended
	if applied {
		until = j.applied
	}
	select {
	case <-until:
		return s.Job(id)
	case <-ctx.Done():
		return jobs.Job{}, ctx.Err()
	}
}

func (s *shop) Workloads(_ context.Context, req workload.Request) (workload.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	answer := workload.Answer{Workloads: []workload.Workload{}}
	for _, x := range s.items {
		if x.running == nil || req.Namespace != "" && !strings.HasPrefix(x.id, req.Namespace+":") {
			continue
		}
		w := workload.Workload{ID: x.id, Applier: "applier.shop", Owner: "shop", Rollout: s.rollout()}
		for i, c := range x.containers {
			c.Image = x.running[i]
			w.Containers = append(w.Containers, c)
		}
		answer.Workloads = append(answer.Workloads, w)
	}
	return answer, nil
}

// rollout is one that goes on when somebody looks.
func (s *shop) rollout() applier.Rollout {
	const desired = 3
	r := applier.Rollout{Phase: applier.RolloutUpdating, Desired: desired, Updated: min(s.looks, desired)}
	r.Outdated = desired - r.Updated
	switch {
	case r.Updated == desired && s.breaks != "":
		r.Phase, r.Message = applier.RolloutFailed, s.breaks
	case r.Updated == desired:
		r.Phase = applier.RolloutReady
	}
	return r
}

func (s *shop) WhyImages(_ context.Context, req updates.WhyImagesRequest) ([]updates.WhyImage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := qualified([]string{req.Workload}, req.Namespace)[0]
	list := []updates.WhyImage{}
	for _, w := range s.known("") {
		if w.ID != id {
			continue
		}
		for i, c := range w.Containers {
			if req.Container != "" && req.Container != c.Name {
				continue
			}
			x := updates.WhyImage{
				Workload: w.ID, Container: c.Name, Image: c.Current.String(), Sync: w.Sync, Applier: "applier.shop",
				File: path.Join("apps", path.Base(w.ID)+".yaml"), Line: 21 + i, Policy: c.Rules.String(), Source: c.Rules.Source, Automated: c.Automated,
				Selection: c.Rules.Select(c.Input()), View: &images.View{Repository: c.Current.CanonicalName(), Scanned: time.Now().Add(-150 * time.Minute)},
			}
			if running := s.find(w.ID).running; running != nil {
				x.Running = running[i]
			}
			if x.Selection.Selected != "" {
				x.Target = c.Rules.Target(c.Current, x.Selection).String()
			}
			if w.Policy.Locked {
				x.Blocked = "locked by ann: stock-taking"
			}
			list = append(list, x)
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("there is no workload %s: %w", id, refusal.ErrNotFound)
	}
	return list, nil
}

func (s *shop) Status() engine.Status                 { return engine.Status{Nodes: []engine.Node{}} }
func (s *shop) ImageScans() []images.RepositoryStatus { return nil }
func (s *shop) ImageBudget() []limit.Budget           { return nil }

func (s *shop) Quarantined() []gate.Quarantine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.quarantine)
}

func (s *shop) Unquarantine(_ context.Context, req updates.UnquarantineRequest) ([]gate.Quarantine, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lifted []gate.Quarantine
	s.quarantine = slices.DeleteFunc(s.quarantine, func(q gate.Quarantine) bool {
		if req.Image != q.Repository && req.Image != q.Repository+":"+q.Tag {
			return false
		}
		lifted = append(lifted, q)
		return true
	})
	if lifted == nil {
		return nil, fmt.Errorf("%s is not in quarantine: %w", req.Image, refusal.ErrNotFound)
	}
	return lifted, nil
}

func (s *shop) Version() string { return "test" }
