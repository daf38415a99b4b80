package engine

import (
	"context"
	"errors"
	"io"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

var errNoReleases = errors.New("releases are not run yet")

// HelmReleases lists releases.
func (e *Engine) HelmReleases(ctx context.Context, req HelmListRequest) (HelmListAnswer, error) {
	return HelmListAnswer{}, errNoReleases
}

// HelmStatus tells about one declared release, with the notes of its chart.
func (e *Engine) HelmStatus(ctx context.Context, name string) (HelmDetail, error) {
	return HelmDetail{}, errNoReleases
}

// HelmHistory returns the revisions of a release, newest first.
func (e *Engine) HelmHistory(ctx context.Context, name string) ([]helm.Revision, error) {
	return nil, errNoReleases
}

// HelmDiff tells what a run of the release would change now: an upgrade, or the
// correction of live objects.
func (e *Engine) HelmDiff(ctx context.Context, name string) (release.Plan, error) {
	return release.Plan{}, errNoReleases
}

// HelmValues returns the values of a release.
func (e *Engine) HelmValues(ctx context.Context, req HelmValuesRequest) (HelmValues, error) {
	return HelmValues{}, errNoReleases
}

// HelmTemplate writes the objects of a release, as its declaration says now, as
// documents of YAML.
func (e *Engine) HelmTemplate(ctx context.Context, name string, w io.Writer) error {
	return errNoReleases
}

// HelmOperate does op to a release, as a job of its node, so never beside a run,
// and suspends the release where the next run would undo it. progress may be
// nil.
func (e *Engine) HelmOperate(ctx context.Context, op HelmOperation, progress func(release.Progress)) (HelmOutcome, error) {
	return HelmOutcome{}, errNoReleases
}

// HelmMetrics returns figures about the declared releases. It asks nobody.
func (e *Engine) HelmMetrics() HelmMetrics { return HelmMetrics{} }
