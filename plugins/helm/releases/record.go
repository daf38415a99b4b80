package releases

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common/util"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Status implements helm.Helm. It costs a list of labels and one read.
func (m *Manager) Status(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	s, err := m.session()
	if err != nil {
		return helm.Revision{}, err
	}
	heads, err := s.revisions(ctx, ref)
	if err != nil || len(heads) == 0 {
		return helm.Revision{}, err
	}
	r, err := s.read(ref, heads[0].record)
	if err != nil || r == nil {
		return helm.Revision{}, err
	}
	return revisionOf(r), nil
}

// History implements helm.Helm. One revision is in memory at a time.
func (m *Manager) History(ctx context.Context, ref helm.ReleaseRef, emit func(helm.Revision)) error {
	s, err := m.session()
	if err != nil {
		return err
	}
	heads, err := s.revisions(ctx, ref)
	if err != nil {
		return err
	}
	for _, h := range heads {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		switch r, err := s.read(ref, h.record); {
		case err != nil:
			return err
		case r != nil:
			emit(revisionOf(r))
		}
	}
	return nil
}

// Content implements helm.Reader.
func (m *Manager) Content(ctx context.Context, ref helm.ReleaseRef, number int) (helm.Content, error) {
	s, err := m.session()
	if err != nil {
		return helm.Content{}, err
	}
	heads, err := s.revisions(ctx, ref)
	if err != nil {
		return helm.Content{}, err
	}
	i := slices.IndexFunc(heads, func(h head) bool { return number == 0 || h.Number == number })
	if i < 0 {
		return helm.Content{}, fmt.Errorf("release %s/%s has no revision %d: %w", ref.Namespace, ref.Name, number, helm.ErrNotFound)
	}
	r, err := s.read(ref, heads[i].record)
	if err != nil {
		return helm.Content{}, err
	}
	if r == nil {
		return helm.Content{}, fmt.Errorf("revision %d of release %s/%s: %w", heads[i].Number, ref.Namespace, ref.Name, helm.ErrNotFound)
	}
	return contentOf(r)
}

func contentOf(r *release.Release) (helm.Content, error) {
	values, err := json.Marshal(r.Config)
	if err != nil {
		return helm.Content{}, fmt.Errorf("values of release %s/%s cannot be written as JSON", r.Namespace, r.Name)
	}
	all, err := util.CoalesceValues(r.Chart, r.Config)
	if err != nil {
		return helm.Content{}, fmt.Errorf("values of release %s/%s do not fit its chart", r.Namespace, r.Name)
	}
	computed, err := json.Marshal(all)
	if err != nil {
		return helm.Content{}, fmt.Errorf("values of release %s/%s cannot be written as JSON", r.Namespace, r.Name)
	}
	var hooks strings.Builder
	for _, h := range r.Hooks {
		fmt.Fprintf(&hooks, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
	}
	return helm.Content{
		Revision: revisionOf(r), Values: secret.New(string(values)), Computed: secret.New(string(computed)),
		Manifest: secret.New(r.Manifest), Hooks: secret.New(hooks.String()), Notes: hiding(r).clean(r.Info.Notes),
	}, nil
}

// hiding is what the values of a revision hide. Who recorded its words may have
// left it in.
func hiding(r *release.Release) *hidden {
	var h hidden
	h.hide(r.Config)
	return &h
}

func revisionOf(r *release.Release) helm.Revision {
	rev := helm.Revision{
		Number: r.Version, Status: r.Info.Status.String(), Updated: r.Info.LastDeployed.UTC(), Message: hiding(r).clean(r.Info.Description),
		Tests: testsOf(r), Owner: r.Labels[ownerLabel], Digest: digestOf(r.Labels, r.Version),
	}
	if r.Chart != nil && r.Chart.Metadata != nil {
		rev.Chart = r.Chart.Metadata.Name + "-" + r.Chart.Metadata.Version
		rev.AppVersion = r.Chart.Metadata.AppVersion
	}
	return rev
}

// testsOf tells what came of the tests: passed if all that there are did.
func testsOf(r *release.Release) string {
	ran, all := false, true
	for _, h := range r.Hooks {
		if !slices.Contains(h.Events, release.HookTest) {
			continue
		}
		switch h.LastRun.Phase {
		case release.HookPhaseFailed:
			return "failed"
		case release.HookPhaseSucceeded:
			ran = true
		default:
			all = false
		}
	}
	if ran && all {
		return "passed"
	}
	return ""
}

// Unlock implements helm.Helm.
func (m *Manager) Unlock(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	defer m.seen.forget(ref)
	done, err := m.turns.take(ctx, ref)
	if err != nil {
		return helm.Revision{}, err
	}
	defer done()
	o, err := m.begin(ctx, ref, nil)
	if err != nil {
		return helm.Revision{}, err
	}
	last, err := o.last()
	if err != nil || last == nil {
		return helm.Revision{}, err
	}
	if locked(last) {
		if err := o.fail(last, fmt.Sprintf("interrupted while %s: %s", last.Info.Status, last.Info.Description)); err != nil {
			return helm.Revision{}, err
		}
	}
	return revisionOf(last), nil
}

// locked tells whether an operation is under way, or was interrupted.
func locked(r *release.Release) bool {
	return r.Info.Status.IsPending() || r.Info.Status == releasecommon.StatusUninstalling
}

// fail records a revision as failed.
func (o *operation) fail(r *release.Release, why string) error {
	r.SetStatus(releasecommon.StatusFailed, oneLine(why))
	if err := o.config.Releases.Update(r); err != nil {
		return o.failure(err)
	}
	return nil
}
