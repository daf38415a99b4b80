package updates

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// Release changes the images of workloads in git. It returns once the job
// stands on disk; a dry run returns when it knows what would be done. A
// namespace without workloads narrows a release of all to itself.
func (u *Updater) Release(ctx context.Context, req jobs.ReleaseRequest) (jobs.Job, error) {
	spec, err := qualifySpec(req.Spec, req.Namespace)
	if err != nil {
		return jobs.Job{}, err
	}
	if err := spec.Validate(); err != nil {
		return jobs.Job{}, refusal.Invalid("%v", err)
	}
	req.Spec = spec
	return u.newJob(ctx, jobs.Stored{
		Job: jobs.Job{
			Kind: jobs.Release, Asked: req.Asked(), Named: req.Named(), User: req.User, Message: req.Message, DryRun: req.DryRun,
		},
		Release: &req,
	})
}

// Policy changes the policies of workloads in git, in the way of Release.
func (u *Updater) Policy(ctx context.Context, req jobs.PolicyRequest) (jobs.Job, error) {
	if len(req.Workloads) == 0 {
		return jobs.Job{}, refusal.Invalid("name the workloads whose policies are to change")
	}
	var err error
	if req.Workloads, err = qualifyAll(req.Workloads, req.Namespace); err != nil {
		return jobs.Job{}, err
	}
	if err := req.Change.Validate(); err != nil {
		return jobs.Job{}, refusal.Invalid("%v", err)
	}
	return u.newJob(ctx, jobs.Stored{
		Job: jobs.Job{
			Kind: jobs.Policy, Asked: req.Asked(), Named: req.Workloads, User: req.User, Message: req.Message, DryRun: req.DryRun,
		},
		Policy: &req,
	})
}

func qualifyAll(names []string, namespace string) ([]string, error) {
	ids := make([]string, len(names))
	for i, name := range names {
		var err error
		if ids[i], err = workload.Qualify(name, namespace); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// qualifySpec writes out the workloads of a spec.
func qualifySpec(s update.Spec, namespace string) (update.Spec, error) {
	var err error
	if s.Workloads, err = qualifyAll(s.Workloads, namespace); err != nil {
		return s, err
	}
	if s.Exclude, err = qualifyAll(s.Exclude, namespace); err != nil {
		return s, err
	}
	exact := map[string][]update.Swap{}
	for name, swaps := range s.Containers {
		id, err := workload.Qualify(name, namespace)
		if err != nil {
			return s, err
		}
		exact[id] = swaps
	}
	if len(exact) > 0 {
		s.Containers = exact
	}
	return s, nil
}

// plan decides what a job changes. An error means that nothing is to be written.
func (u *Updater) plan(ctx context.Context, j *jobs.Stored) ([]writeback.Change, error) {
	list, problems, err := u.estates(ctx, j.Named)
	if err != nil {
		return nil, err
	}
	defer releaseAll(list)
	var changes []writeback.Change
	if j.Release != nil {
		changes, err = u.planRelease(ctx, j, list)
	} else {
		changes, err = u.planPolicy(ctx, j, list)
	}
	if missed := j.Missed(); missed != "" {
		problems = append(problems, missed)
	}
	j.Error = strings.Join(problems, "; ") // what a person should know beside the results
	return changes, err
}

// planRelease fills in the results of a release.
func (u *Updater) planRelease(ctx context.Context, j *jobs.Stored, list []*estate) ([]writeback.Change, error) {
	req := j.Release
	var all []update.Workload
	for _, s := range list {
		attended := len(u.site.Automations(s.sync.Address)) > 0
		for _, w := range u.updatable(ctx, s) {
			if req.Spec.All && req.Namespace != "" && !strings.HasPrefix(w.ID, req.Namespace+":") {
				continue
			}
			w.Attended = attended
			all = append(all, w)
		}
	}
	asking, cancel := deadline.Within(ctx, cmp.Or(req.Timeout, registryTimeout))
	defer cancel()
	trouble := u.askRegistries(asking, targetsOf(list, req.Spec.Concerned(all)), u.setup.Load().interval, func(text string) { u.jobs.Doing(j.ID, text) })
	results, err := update.Release(req.Spec, all, u.lookup(asking, list))
	j.Results = warned(results, trouble)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	subject := writeback.Subject{Image: req.Spec.Image, Workloads: req.Spec.Workloads, Containers: len(req.Spec.Containers) > 0}
	var changes []writeback.Change
	for _, s := range list {
		var edits []edit.Edit
		for _, r := range results {
			if r.Status == update.Success && r.Sync == s.sync.Address {
				edits = append(edits, s.editsFor(r.ID, r.Containers)...)
			}
		}
		changes = append(changes, changeOf(j, s, edits, writeback.Release, subject)...)
	}
	return changes, nil
}

// lookup asks the registry for the image that is released, as one of the
// workloads that have its repository.
func (u *Updater) lookup(ctx context.Context, list []*estate) update.Lookup {
	return func(image ref.Ref) (found string, err error) {
		err = errors.New("no workload has an image of its repository")
		asked := map[string]bool{}
		for _, s := range list {
			for _, t := range s.targets {
				who := digest.Of(t.Consumer)
				if t.Image.CanonicalName() != image.CanonicalName() || asked[who] {
					continue
				}
				asked[who] = true
				t.Image, t.Rules = image, nil
				if found, err = u.scanner.Lookup(ctx, t); err == nil || closing(ctx) {
					return found, deadline.Because(ctx, err)
				}
			}
		}
		return "", err
	}
}

// planPolicy fills in the results of a change of policies.
func (u *Updater) planPolicy(ctx context.Context, j *jobs.Stored, list []*estate) ([]writeback.Change, error) {
	known := map[string]bool{}
	var changes []writeback.Change
	for _, s := range list {
		var edits []edit.Edit
		all := u.updatable(ctx, s)
		for i, w := range s.found.Workloads {
			if !slices.Contains(j.Policy.Workloads, w.ID) {
				continue
			}
			known[w.ID] = true
			r := update.Result{ID: w.ID, Sync: s.sync.Address, Source: s.sync.Source, Status: update.Success}
			switch ed, changed, err := update.Policies(j.Policy.Change, all[i], w.Annotations); {
			case err != nil:
				r.Status, r.Reason = update.Failed, strings.TrimPrefix(words.OneLine(err), w.ID+": ")
			case !changed:
				r.Status, r.Reason = update.Skipped, "nothing to change"
			default:
				r.Detail = update.Describe(ed)
				edits = append(edits, ed)
			}
			j.Results = append(j.Results, r)
		}
		changes = append(changes, changeOf(j, s, edits, writeback.Policy, writeback.Subject{})...)
	}
	for _, id := range j.Policy.Workloads {
		if !known[id] {
			j.Results = append(j.Results, update.Result{ID: id, Status: update.Skipped, Reason: update.ReasonNotInRepo})
		}
	}
	slices.SortStableFunc(j.Results, func(a, b update.Result) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Sync, b.Sync)) })
	return changes, nil
}

// changeOf is what a job writes to the files of one sync: nothing without edits.
func changeOf(j *jobs.Stored, s *estate, edits []edit.Edit, kind string, subject writeback.Subject) []writeback.Change {
	if len(edits) == 0 {
		return nil
	}
	return []writeback.Change{{
		ID: j.ID + " " + s.sync.Address, Source: s.sync.Source, Sync: s.sync.Address, Edits: edits,
		Cause:   writeback.Cause{Kind: kind, User: j.User, Message: j.Message, Job: j.ID},
		Subject: subject, At: now(),
	}}
}
