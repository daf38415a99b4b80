package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// helming is an engine with one release, demo/ghost.
type helming struct {
	Engine
	asked any           // the last request
	stuck chan struct{} // closed when an operation hangs until its caller leaves
	left  chan struct{} // closed when it has

	progress func(release.Progress) // of the operation that hung
}

var ghost = engine.HelmRelease{
	ID: "release.ghost", Namespace: "demo", Name: "ghost", Applier: "applier.kubernetes.prod", State: engine.Ready, Release: release.InSync,
	Chart: "ghost", ChartVersion: "1.2.3", Revision: 3, Status: "deployed", Updated: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
}

const ghostManifest = `apiVersion: v1
kind: Secret
data:
  key: c2Vj
---
kind: Deployment
`

func (e *helming) find(name string) error {
	if name != "demo/ghost" {
		return fmt.Errorf("there is no release %q: %w", name, refusal.ErrNotFound)
	}
	return nil
}

func (e *helming) HelmReleases(_ context.Context, req engine.HelmListRequest) (engine.HelmListAnswer, error) {
	e.asked = req
	return engine.HelmListAnswer{Releases: []engine.HelmRelease{ghost}, Problems: []string{"prod is away"}}, nil
}

func (e *helming) HelmStatus(_ context.Context, name string) (engine.HelmDetail, error) {
	return engine.HelmDetail{HelmRelease: ghost, Node: engine.Node{ID: ghost.ID}, Report: &release.Report{State: release.InSync}}, e.find(name)
}

func (e *helming) HelmHistory(_ context.Context, name string) ([]helm.Revision, error) {
	return []helm.Revision{{Number: 3, Status: "deployed"}, {Number: 2, Status: "superseded"}}, e.find(name)
}

func (e *helming) HelmDiff(_ context.Context, name string) (release.Plan, error) {
	return release.Plan{State: release.OutOfSync, Changes: []helm.Change{{Kind: "Deployment", Name: "ghost", Action: "update", Diff: "@@ -1 +1 @@\n"}}}, e.find(name)
}

func (e *helming) HelmValues(_ context.Context, req engine.HelmValuesRequest) (engine.HelmValues, error) {
	e.asked = req
	values := secret.New(`{"replicas":2,"password":"hunter2","from":{"secret":"hunter3"}}`)
	if req.Declared {
		values = secret.Secret{}
	}
	return engine.HelmValues{Values: values, Secrets: []string{"/from"}, Revision: 3}, e.find(req.Name)
}

func (e *helming) HelmTemplate(_ context.Context, name string, w io.Writer) error {
	if err := e.find(name); err != nil {
		return err
	}
	_, err := io.WriteString(w, ghostManifest)
	return err
}

func (e *helming) HelmOperate(ctx context.Context, op byhand.Operation, progress func(release.Progress)) (engine.HelmOutcome, error) {
	e.asked = op
	if err := e.find(op.Name); err != nil {
		return engine.HelmOutcome{}, err
	}
	progress(release.Progress{Phase: release.PhaseRollingBack, Text: "to revision 2"})
	progress(release.Progress{Phase: release.PhaseRollingBack, Event: helm.Event{Message: "waits", Object: "deployment/ghost"}})
	if op.Kind == byhand.Test {
		return engine.HelmOutcome{}, errors.New("the test failed")
	}
	if e.stuck != nil {
		e.progress = progress
		close(e.stuck)
		<-ctx.Done()
		close(e.left)
		return engine.HelmOutcome{}, ctx.Err()
	}
	return engine.HelmOutcome{Done: "rolled back to revision 2", HelmDetail: engine.HelmDetail{HelmRelease: ghost}}, nil
}

func (s *shopEngine) HelmMetrics() engine.HelmMetrics {
	return engine.HelmMetrics{
		Releases:   []engine.HelmRelease{ghost, {ID: "release.new", Namespace: "demo", Name: "new"}},
		Operations: map[release.Count]uint64{{Kind: "upgrade", Result: "ok"}: 4, {Kind: "install", Result: "failed"}: 1},
	}
}

func TestHelmRoundTrips(t *testing.T) {
	e := &helming{}
	_, c := serve(t, e)
	ctx := t.Context()

	list := engine.HelmListRequest{Namespace: "demo & co", Applier: "applier.kubernetes.prod", All: true}
	answer, err := c.HelmReleases(ctx, list)
	if err != nil || !cmp.Equal(e.asked, list) {
		t.Errorf("list: asked %+v, %v", e.asked, err)
	}
	if diff := cmp.Diff(engine.HelmListAnswer{Releases: []engine.HelmRelease{ghost}, Problems: []string{"prod is away"}}, answer); diff != "" {
		t.Error(diff)
	}
	d, err := c.HelmStatus(ctx, "demo/ghost")
	if err != nil || d.Name != "ghost" || d.Node.ID != "release.ghost" || d.Report.State != release.InSync {
		t.Errorf("status: %+v, %v", d, err)
	}
	if _, err := c.HelmStatus(ctx, "demo/none"); !errors.Is(err, refusal.ErrNotFound) {
		t.Errorf("status of what there is not: %v", err)
	}
	if h, err := c.HelmHistory(ctx, "demo/ghost"); err != nil || len(h) != 2 || h[1].Status != "superseded" {
		t.Errorf("history: %+v, %v", h, err)
	}
	if p, err := c.HelmDiff(ctx, "demo/ghost"); err != nil || p.State != release.OutOfSync || p.Changes[0].Diff == "" {
		t.Errorf("diff: %+v, %v", p, err)
	}
}

func TestHelmValuesAreMasked(t *testing.T) {
	e := &helming{}
	_, c := serve(t, e)
	req := HelmValuesRequest{HelmValuesRequest: engine.HelmValuesRequest{Name: "demo/ghost", Revision: 2, All: true}}
	v, err := c.HelmValues(t.Context(), req)
	if err != nil || !cmp.Equal(e.asked, req.HelmValuesRequest) {
		t.Errorf("asked %+v, %v", e.asked, err)
	}
	want := HelmValues{Values: json.RawMessage(`{"from":{"secret":"(redacted)"},"password":"(redacted)","replicas":2}`), Revision: 3, Masked: 2}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
	req.ShowSecrets = true
	if v, err = c.HelmValues(t.Context(), req); err != nil || !strings.Contains(string(v.Values), "hunter3") || v.Masked != 0 {
		t.Errorf("with secrets: %+v, %v", v, err)
	}
	req = HelmValuesRequest{HelmValuesRequest: engine.HelmValuesRequest{Name: "demo/ghost", Declared: true}}
	if v, err = c.HelmValues(t.Context(), req); err != nil || string(v.Values) != "{}" {
		t.Errorf("of none: %+v, %v", v, err)
	}
	req = HelmValuesRequest{HelmValuesRequest: engine.HelmValuesRequest{Name: "demo/ghost", Revision: -1}}
	if _, err = c.HelmValues(t.Context(), req); !errors.Is(err, refusal.ErrInvalid) {
		t.Errorf("of revision -1: %v", err)
	}
}

func TestHelmTemplate(t *testing.T) {
	_, c := serve(t, &helming{})
	var out strings.Builder
	if _, err := c.HelmTemplate(t.Context(), "demo/none", false, &out); !errors.Is(err, refusal.ErrNotFound) {
		t.Errorf("of what there is not: %v", err)
	}
	masked, err := c.HelmTemplate(t.Context(), "demo/ghost", false, &out)
	if err != nil || masked != 1 || out.String() != strings.Replace(ghostManifest, "c2Vj", "(redacted)", 1) {
		t.Errorf("%d masked, %v:\n%s", masked, err, out.String())
	}
	out.Reset()
	if masked, err = c.HelmTemplate(t.Context(), "demo/ghost", true, &out); err != nil || masked != 0 || out.String() != ghostManifest {
		t.Errorf("with secrets: %d, %v:\n%s", masked, err, out.String())
	}
}

func TestHelmOperate(t *testing.T) {
	e := &helming{}
	_, c := serve(t, e)
	op := byhand.Operation{Name: "demo/ghost", Kind: byhand.Rollback, Revision: 2, By: "ann", Reason: "broken", Timeout: time.Minute}
	var steps []string
	tell := func(p release.Progress) { steps = append(steps, p.Text+p.Event.Object) }
	o, err := c.HelmOperate(t.Context(), op, tell)
	if err != nil || o.Done != "rolled back to revision 2" || o.Name != "ghost" || !cmp.Equal(e.asked, op) {
		t.Errorf("%+v, %v", o, err)
	}
	if want := []string{"to revision 2", "deployment/ghost"}; !cmp.Equal(steps, want) {
		t.Errorf("progress %v, want %v", steps, want)
	}
	op.Kind = byhand.Test
	if _, err = c.HelmOperate(t.Context(), op, nil); err == nil || err.Error() != "the test failed" {
		t.Errorf("a failure in the middle: %v", err)
	}
	op.Name = "none"
	if _, err = c.HelmOperate(t.Context(), op, tell); !errors.Is(err, refusal.ErrNotFound) {
		t.Errorf("of what there is not: %v", err)
	}
}

// TestHelmOperateWithoutCaller: the engine learns that nobody waits any more.
func TestHelmOperateWithoutCaller(t *testing.T) {
	e := &helming{stuck: make(chan struct{}), left: make(chan struct{})}
	handled := make(chan struct{})
	h := NewHandler(e, "1.2.3", slog.New(slog.DiscardHandler))
	_, c := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(handled)
		h.ServeHTTP(w, r)
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.HelmOperate(ctx, byhand.Operation{Name: "demo/ghost", Kind: byhand.Rollback}, nil)
		ended <- err
	}()
	<-e.stuck
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	<-e.left
	<-handled
	e.progress(release.Progress{Text: "the operation goes on"}) // once crashed the daemon
}

func TestHelmNamesAreQuoted(t *testing.T) {
	_, c := serve(t, &helming{})
	name := "a b/c?d=e&f#"
	_, err := c.HelmStatus(t.Context(), name)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) {
		t.Errorf("err = %v", err)
	}
	if got := named(name); got != "name="+url.QueryEscape(name) {
		t.Error(got)
	}
}
