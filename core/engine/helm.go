package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// inspect resolves the name of a declared release and collects what a look at
// it needs. A helm that is not open is opened.
func (e *Engine) inspect(ctx context.Context, name string) (*releaseJob, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	named, err := e.resolveRelease(name)
	if err != nil {
		return nil, err
	}
	return e.inspectRelease(ctx, named)
}

// inspectRelease is inspect, for a name that has been resolved.
func (e *Engine) inspectRelease(ctx context.Context, named namedRelease) (*releaseJob, error) {
	id := named.id
	if err := e.awaitHelm(ctx, id); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.release == nil {
		return nil, refusal.NotFound("%s is not there any more", id)
	}
	h := e.nodes[n.release.declared.Helm]
	if h == nil || h.handle == nil {
		return nil, refusal.Conflict("%s is not open", n.release.declared.Helm)
	}
	return &releaseJob{
		id: id, declared: n.release.declared, record: n.release.record, host: e.releaseHost(n, h), leaving: n.release.leaving,
		former: named.former, inherits: n.release.inherits,
	}, nil
}

// awaitHelm waits until the helm of a release is open.
func (e *Engine) awaitHelm(ctx context.Context, id string) error {
	for asked := false; ; asked = true {
		e.mu.Lock()
		n := e.nodes[id]
		if n == nil || n.release == nil {
			e.mu.Unlock()
			return nil
		}
		if by := e.awayFor(n); by != nil {
			defer e.mu.Unlock()
			return refusal.Conflict("%s %s: %s", by.id, lacksTarget, by.away.text)
		}
		h := e.nodes[n.release.declared.Helm]
		if h == nil || h.handle != nil {
			e.mu.Unlock()
			return nil
		}
		if !h.busy() {
			if asked {
				defer e.mu.Unlock()
				return refusal.Conflict("%s is not open: %s", h.id, h.view.Reason)
			}
			e.triggerLocked(h.id, interactive)
		}
		changed := e.changed
		e.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// HelmStatus tells about one declared release, with the notes of its chart.
func (e *Engine) HelmStatus(ctx context.Context, name string) (HelmDetail, error) {
	ctx, cancel := deadline.Within(ctx, operationTimeout)
	defer cancel()
	if err := e.checkAlive(); err != nil {
		return HelmDetail{}, err
	}
	named, err := e.resolveRelease(name)
	if err != nil {
		return HelmDetail{}, err
	}
	return e.statusOfRelease(ctx, named)
}

func (e *Engine) statusOfRelease(ctx context.Context, named namedRelease) (HelmDetail, error) {
	detail := e.helmDetail(named.id)
	job, err := e.inspectRelease(ctx, named)
	switch {
	case errors.Is(err, refusal.ErrConflict): // what the daemon knows is better than nothing
		return detail, nil
	case err != nil:
		return HelmDetail{}, err
	}
	rev, err := job.host.Helm.Status(ctx, job.ref())
	if err != nil {
		return detail, deadline.Because(ctx, err)
	}
	if named.former.Name == "" {
		e.showLive(&detail.HelmRelease, rev)
	} else {
		detail.showFormer(named.former, rev)
	}
	if reader, ok := job.host.Helm.(helm.Reader); ok && rev.Number > 0 && job.can(helm.CanRead) {
		if c, err := reader.Content(ctx, job.ref(), rev.Number); err == nil && c.Notes != "" {
			detail.Notes = e.censor(ctx, job, []helm.Revision{rev})(c.Notes)
		}
	}
	return detail, nil
}

// HelmHistory returns the revisions of a release, newest first.
func (e *Engine) HelmHistory(ctx context.Context, name string) ([]helm.Revision, error) {
	ctx, cancel := deadline.Within(ctx, operationTimeout)
	defer cancel()
	job, err := e.inspect(ctx, name)
	if err != nil {
		return nil, err
	}
	revisions := []helm.Revision{}
	err = job.host.Helm.History(ctx, job.ref(), func(rev helm.Revision) { revisions = append(revisions, rev) })
	clean := e.censor(ctx, job, revisions)
	for i := range revisions {
		revisions[i].Message = clean(revisions[i].Message)
	}
	return revisions, deadline.Because(ctx, err)
}

// censor returns what takes secret values out of what Helm has recorded of the
// revisions of a job's release, newest first.
func (e *Engine) censor(ctx context.Context, job *releaseJob, revisions []helm.Revision) func(string) string {
	spec := job.declared.Spec
	spec.Ref = job.ref()
	return e.releases.runner.Censor(ctx, spec, job.host, job.record, revisions)
}

// HelmDiff tells what a run of the release would change now: an upgrade, or the
// correction of live objects.
func (e *Engine) HelmDiff(ctx context.Context, name string) (release.Plan, error) {
	job, err := e.inspect(ctx, name)
	if err != nil {
		return release.Plan{}, err
	}
	return e.planJobOfRelease(ctx, job)
}

func (e *Engine) planJobOfRelease(ctx context.Context, job *releaseJob) (release.Plan, error) {
	if err := job.runnable(); err != nil {
		return release.Plan{}, err
	}
	plan, err := e.releases.runner.Plan(ctx, job.declared.Spec, job.host, job.record)
	return plan, deadline.Because(ctx, releaseError(err))
}

// runnable returns why nothing can be made of what the job's release declares.
func (j *releaseJob) runnable() error {
	switch {
	case j.leaving != nil:
		return refusal.Conflict("%s is about to be uninstalled: %s", j.id, j.leaving.Why)
	case j.declared.Err != nil:
		return releaseError(j.declared.Err)
	}
	return nil
}

// HelmValues returns the values of a release.
func (e *Engine) HelmValues(ctx context.Context, req HelmValuesRequest) (HelmValues, error) {
	ctx, cancel := deadline.Within(ctx, operationTimeout)
	defer cancel()
	job, err := e.inspect(ctx, req.Name)
	if err != nil {
		return HelmValues{}, err
	}
	var composed release.Composed
	unknown := job.runnable()
	if unknown == nil {
		composed, unknown = e.releases.runner.Values(ctx, job.declared.Spec, job.host)
	}
	if req.Declared {
		return HelmValues{Values: composed.Values, Secrets: composed.Secrets}, deadline.Because(ctx, releaseError(unknown))
	}
	values, err := job.installedValues(ctx, req)
	values.Secrets = job.record.SecretsIn(values.Revision, composed.Secrets)
	if unknown != nil {
		values.Secrets = []string{""}
	}
	return values, err
}

// installedValues are those of a revision.
func (j *releaseJob) installedValues(ctx context.Context, req HelmValuesRequest) (HelmValues, error) {
	reader, ok := j.host.Helm.(helm.Reader)
	if !ok || !j.can(helm.CanRead) {
		return HelmValues{}, refusal.Invalid("%s cannot read the values of what is installed: this plugin is too old for that", j.declared.Helm)
	}
	c, err := reader.Content(ctx, j.ref(), req.Revision)
	if errors.Is(err, helm.ErrNotFound) {
		return HelmValues{}, refusal.NotFound("%s: %v", j.id, err)
	}
	if err != nil {
		return HelmValues{}, deadline.Because(ctx, err)
	}
	values := c.Values
	if req.All {
		values = c.Computed
	}
	return HelmValues{Values: values, Revision: c.Revision.Number}, nil
}

// HelmTemplate writes the objects of a release, as its declaration says now, as
// documents of YAML.
func (e *Engine) HelmTemplate(ctx context.Context, name string, w io.Writer) error {
	job, err := e.inspect(ctx, name)
	if err != nil {
		return err
	}
	if err := job.runnable(); err != nil {
		return err
	}
	return deadline.Because(ctx, releaseError(e.releases.runner.Template(ctx, job.declared.Spec, job.host, w)))
}

// tellSteps publishes what a run has done. e.mu is held.
func (e *Engine) tellSteps(n *node, report release.Report) {
	for _, s := range report.Steps {
		reason, ok := stepEvents[s.Action]
		if !ok || s.Error != "" {
			continue
		}
		e.publish(n, reason, strings.TrimSpace(fmt.Sprintf("%s %s: %s", pastOf[s.Action], releaseRevision(report), s.Reason)))
	}
}

// stepEvents are the events of what a run did.
var stepEvents = map[release.Action]string{
	release.ActInstall: eventInstalled, release.ActUpgrade: eventUpgraded, release.ActAdopt: eventUpgraded, release.ActRollback: eventRolledBack,
	release.ActUninstall: eventUninstalled, release.ActMove: eventUninstalled, release.ActUnlock: eventUnlocked, release.ActCorrect: eventCorrected,
	release.ActTest: eventTested,
}

// pastOf says what was done.
var pastOf = map[release.Action]string{
	release.ActInstall: "installed", release.ActUpgrade: "upgraded to", release.ActAdopt: "took over, as", release.ActRollback: "rolled back from",
	release.ActUninstall: "uninstalled", release.ActMove: "uninstalled under its old name", release.ActUnlock: "unlocked", release.ActCorrect: "corrected objects of",
	release.ActTest: "tested",
}
