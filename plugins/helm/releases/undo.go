package releases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/kube"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Rollback implements helm.Helm.
func (m *Manager) Rollback(ctx context.Context, r helm.Rollback, emit func(helm.Event)) (helm.Revision, error) {
	defer m.seen.forget(r.Ref)
	done, err := m.turns.take(ctx, r.Ref)
	if err != nil {
		return helm.Revision{}, err
	}
	defer done()
	strategy, err := waiting(r.Wait)
	if err != nil {
		return helm.Revision{}, err
	}
	o, err := m.begin(ctx, r.Ref, emit)
	if err != nil {
		return helm.Revision{}, err
	}
	past, err := o.past()
	if err != nil {
		return helm.Revision{}, err
	}
	to, err := o.target(past, r)
	if err != nil {
		return helm.Revision{}, err
	}
	if err := o.confineRelease(past.last); err != nil {
		return helm.Revision{}, err
	}
	if err := o.capable(); err != nil {
		return helm.Revision{}, o.failure(err)
	}
	back := action.NewRollback(o.config)
	back.Version = to.Version
	back.Timeout = cmp.Or(r.Timeout, defaultTimeout)
	back.WaitStrategy, back.WaitForJobs, back.WaitOptions = strategy, r.WaitForJobs, o.waitOptions()
	back.DisableHooks = r.DisableHooks
	back.ServerSideApply, back.ForceConflicts = applying(to, r.Force)
	back.ForceReplace = r.Force
	back.MaxHistory = r.MaxHistory
	if err := back.Run(r.Ref.Name); err != nil {
		return o.result(nil, err)
	}
	made, err := o.config.Releases.Get(r.Ref.Name, past.last.Version+1)
	return o.result(made, err)
}

// PlanRollback implements helm.RollbackPlanner.
func (m *Manager) PlanRollback(ctx context.Context, r helm.Rollback, emit func(helm.Change)) (helm.Revision, error) {
	o, err := m.begin(ctx, r.Ref, nil)
	if err != nil {
		return helm.Revision{}, err
	}
	past, err := o.past()
	if err != nil {
		return helm.Revision{}, err
	}
	to, err := o.target(past, r)
	if err != nil {
		return helm.Revision{}, err
	}
	last := past.last
	if err := o.confineRelease(last); err != nil {
		return helm.Revision{}, err
	}
	var before rendering
	if last.Info.Status != releasecommon.StatusUninstalled {
		before = rendering{manifest: last.Manifest, hooks: runByRollback(last.Hooks)}
	}
	after := rendering{manifest: to.Manifest, hooks: runByRollback(to.Hooks)}
	if err := differences(&before, &after, helm.Release{Ref: r.Ref, DisableHooks: r.DisableHooks}, emit); err != nil {
		return helm.Revision{}, err
	}
	return revisionOf(to), nil
}

// runByRollback are the hooks that a rollback runs.
func runByRollback(hooks []*release.Hook) []*release.Hook {
	return slices.DeleteFunc(slices.Clone(hooks), func(h *release.Hook) bool {
		return !slices.Contains(h.Events, release.HookPreRollback) && !slices.Contains(h.Events, release.HookPostRollback)
	})
}

// target finds the revision to return to.
func (o *operation) target(p past, r helm.Rollback) (*release.Release, error) {
	missing := fmt.Errorf("release %s/%s has no revision %d: %w", r.Ref.Namespace, r.Ref.Name, r.To, helm.ErrNotFound)
	if p.last == nil {
		return nil, sdk.Permanent(missing)
	}
	if locked(p.last) {
		return nil, fmt.Errorf("release %s/%s is %s: %w", r.Ref.Namespace, r.Ref.Name, p.last.Info.Status, helm.ErrLocked)
	}
	i := slices.IndexFunc(p.heads[1:], func(h head) bool {
		if r.To != 0 {
			return h.Number == r.To
		}
		return h.Status == releasecommon.StatusDeployed.String() || h.Status == releasecommon.StatusSuperseded.String()
	})
	if i < 0 {
		if r.To == 0 {
			missing = fmt.Errorf("release %s/%s has no earlier revision that was deployed: %w", r.Ref.Namespace, r.Ref.Name, helm.ErrNotFound)
		}
		return nil, sdk.Permanent(missing)
	}
	to, err := o.read(p.heads[1+i])
	if err == nil && to == nil {
		err = missing
	}
	return to, err
}

// Uninstall implements helm.Helm.
func (m *Manager) Uninstall(ctx context.Context, u helm.Uninstall, emit func(helm.Event)) error {
	defer m.seen.forget(u.Ref)
	done, err := m.turns.take(ctx, u.Ref)
	if err != nil {
		return err
	}
	defer done()
	o, err := m.begin(ctx, u.Ref, emit)
	if err != nil {
		return err
	}
	past, err := o.past()
	last := past.last
	if err != nil || last == nil { // Helm takes every error for a release that is not there
		return err
	}
	if last.Info.Status == releasecommon.StatusUninstalled && u.KeepHistory {
		return nil
	}
	if u.Owner != "" {
		if err := owned(last, u.Ref, u.Owner); err != nil {
			return err
		}
	}
	if err := o.confineRelease(last); err != nil {
		return err
	}
	if err := o.capable(); err != nil {
		return o.failure(err)
	}
	return o.uninstall(u, past)
}

// uninstall has Helm delete what the newest revision has, and deletes what those
// before it have left behind.
func (o *operation) uninstall(u helm.Uninstall, p past) error {
	remove := action.NewUninstall(o.config)
	remove.KeepHistory = u.KeepHistory
	remove.DisableHooks = u.DisableHooks
	remove.Timeout = cmp.Or(u.Timeout, defaultTimeout)
	remove.WaitStrategy, remove.WaitOptions = kube.HookOnlyStrategy, o.waitOptions()
	if u.Wait {
		remove.WaitStrategy = kube.StatusWatcherStrategy
	}
	o.journal.finish = func(last *release.Release) error {
		gone, err := o.clear(p.behind, last.Manifest)
		if err != nil || len(gone) == 0 {
			return err
		}
		waiter, err := o.kube.GetWaiterWithOptions(remove.WaitStrategy, remove.WaitOptions...)
		if err != nil {
			return err
		}
		return waiter.WaitForDelete(gone, remove.Timeout)
	}
	resp, err := remove.Run(u.Ref.Name)
	if err = cmp.Or(err, o.journal.trouble); err != nil {
		if kept := o.log.kept(); kept != "" && !strings.Contains(err.Error(), kept) {
			err = fmt.Errorf("%w: %s", err, kept)
		}
		return o.settle(err)
	}
	if resp != nil && resp.Info != "" {
		o.log.say("%s", oneLine(resp.Info))
	}
	return nil
}

// Test implements helm.Helm.
func (m *Manager) Test(ctx context.Context, t helm.Test, emit func(helm.Event)) error {
	done, err := m.turns.take(ctx, t.Ref)
	if err != nil {
		return err
	}
	defer done()
	o, err := m.begin(ctx, t.Ref, emit)
	if err != nil {
		return err
	}
	last, err := o.last()
	if err != nil {
		return err
	}
	if last == nil {
		return sdk.Permanent(fmt.Errorf("release %s/%s: %w", t.Ref.Namespace, t.Ref.Name, helm.ErrNotFound))
	}
	test := action.NewReleaseTesting(o.config)
	test.Namespace = t.Ref.Namespace
	test.Timeout = cmp.Or(t.Timeout, defaultTimeout)
	test.WaitOptions = o.waitOptions()
	if len(t.Names) > 0 {
		test.Filters[action.IncludeNameFilter] = t.Names
	}
	made, shutdown, err := test.Run(t.Ref.Name)
	if r, bad := v1(made); bad == nil {
		o.report(r)
	}
	if shutdown != nil { // deletes what the hooks' policies say
		if failed := shutdown(); failed != nil && err == nil {
			err = failed
		}
	}
	if t.Cleanup {
		err = errors.Join(err, o.sweep(last))
	}
	if err != nil {
		return o.failure(fmt.Errorf("test: %w", err))
	}
	return nil
}

// report says what came of each test.
func (o *operation) report(r *release.Release) {
	for _, h := range r.Hooks {
		if slices.Contains(h.Events, release.HookTest) && !h.LastRun.StartedAt.IsZero() {
			o.log.emit(helm.Event{
				Time: h.LastRun.CompletedAt, Object: h.Kind + "/" + h.Name,
				Message: "test " + lower(h.LastRun.Phase), Failed: h.LastRun.Phase == release.HookPhaseFailed,
			})
		}
	}
}

func lower(p release.HookPhase) string {
	switch p {
	case release.HookPhaseSucceeded:
		return "passed"
	case release.HookPhaseFailed:
		return "failed"
	}
	return "did not end"
}

// sweep deletes the pods and jobs of tests.
func (o *operation) sweep(r *release.Release) error {
	var errs []error
	for _, h := range r.Hooks {
		if !slices.Contains(h.Events, release.HookTest) || (h.Kind != "Pod" && h.Kind != "Job") {
			continue
		}
		list, err := o.kube.Build(strings.NewReader(h.Manifest), false)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_, failed := o.kube.Delete(list, metav1.DeletePropagationBackground)
		for _, err := range failed {
			if !apierrors.IsNotFound(err) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
