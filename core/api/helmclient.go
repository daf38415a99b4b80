package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// HelmReleases lists releases.
func (c *Client) HelmReleases(ctx context.Context, req engine.HelmListRequest) (engine.HelmListAnswer, error) {
	q := url.Values{"namespace": {req.Namespace}, "applier": {req.Applier}, "all": {strconv.FormatBool(req.All)}}
	return get[engine.HelmListAnswer](ctx, c, "/v1/helm/releases?"+q.Encode())
}

// HelmStatus tells about one release.
func (c *Client) HelmStatus(ctx context.Context, name string) (engine.HelmDetail, error) {
	return get[engine.HelmDetail](ctx, c, "/v1/helm/status?"+named(name))
}

// HelmHistory returns the revisions of a release, newest first.
func (c *Client) HelmHistory(ctx context.Context, name string) ([]helm.Revision, error) {
	a, err := get[historyAnswer](ctx, c, "/v1/helm/history?"+named(name))
	return a.Revisions, err
}

// HelmDiff tells what a run of a release would change.
func (c *Client) HelmDiff(ctx context.Context, name string) (release.Plan, error) {
	return get[release.Plan](ctx, c, "/v1/helm/diff?"+named(name))
}

// HelmValues returns the values of a release, without its secrets unless req asks
// for them.
func (c *Client) HelmValues(ctx context.Context, req HelmValuesRequest) (HelmValues, error) {
	q := url.Values{
		"name": {req.Name}, "revision": {strconv.Itoa(req.Revision)}, "all": {strconv.FormatBool(req.All)},
		"declared": {strconv.FormatBool(req.Declared)}, "show_secrets": {strconv.FormatBool(req.ShowSecrets)},
	}
	return get[HelmValues](ctx, c, "/v1/helm/values?"+q.Encode())
}

// HelmTemplate writes the objects of a release to w as YAML. Unless showSecrets
// is set, what is in Secrets is masked; masked counts them.
func (c *Client) HelmTemplate(ctx context.Context, name string, showSecrets bool, w io.Writer) (masked int, err error) {
	body, err := c.do(ctx, http.MethodGet, "/v1/helm/template?"+named(name)+"&show_secrets="+strconv.FormatBool(showSecrets), nil)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var line manifestLine
		if err := dec.Decode(&line); err != nil {
			return 0, c.broken(ctx, err)
		}
		switch {
		case line.Text != "":
			return 0, (*remoteError)(&line.problem)
		case line.Done:
			return line.Masked, nil
		}
		if _, err := io.WriteString(w, line.YAML); err != nil {
			return 0, err
		}
	}
}

// HelmOperate does op to a release, and returns when it has ended. If ctx ends
// before, the operation goes on. progress may be nil.
func (c *Client) HelmOperate(ctx context.Context, op byhand.Operation, progress func(release.Progress)) (engine.HelmOutcome, error) {
	body, err := c.do(ctx, http.MethodPost, "/v1/helm/operate", op)
	if err != nil {
		return engine.HelmOutcome{}, err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var line helmLine
		if err := dec.Decode(&line); err != nil {
			return engine.HelmOutcome{}, c.broken(ctx, err)
		}
		switch {
		case line.Text != "":
			return engine.HelmOutcome{}, (*remoteError)(&line.problem)
		case line.Outcome != nil:
			return *line.Outcome, nil
		case line.Progress != nil && progress != nil:
			progress(*line.Progress)
		}
	}
}

func named(name string) string { return url.Values{"name": {name}}.Encode() }
