package sdktest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/conformance"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// copier renders each file NAME.in of its paths to NAME.yaml. It breaks one
// rule, if any.
type copier struct {
	fault string
	calls atomic.Int64
}

func copierPlugin(fault string) sdk.Plugin {
	open := func(context.Context, struct{}, sdk.Env) (*copier, error) { return &copier{fault: fault}, nil }
	return sdk.Plugin{Name: "copier", Version: "1.0.0", Kinds: []sdk.Kind{renderer.New("copier", open)}}
}

func (c *copier) Render(_ context.Context, req renderer.Request) (renderer.Result, error) {
	n := c.calls.Add(1)
	res := renderer.Result{Files: []string{}, Origins: map[string]renderer.Origin{}}
	for _, path := range req.Paths {
		if !filepath.IsLocal(path) && c.fault != "takes any path" {
			return res, diag.Diagnostic{Summary: path + " leads out of the tree", Subject: &diag.Range{File: path}}
		}
		inputs, err := filepath.Glob(filepath.Join(req.Dir, path, "*.in"))
		if err != nil {
			return res, err
		}
		if _, err := os.Stat(filepath.Join(req.Dir, path)); err != nil {
			return res, fmt.Errorf("%s: %w", path, err)
		}
		for _, in := range inputs {
			data, err := os.ReadFile(in)
			if err != nil {
				return res, err
			}
			name := strings.TrimSuffix(filepath.Base(in), ".in") + ".yaml"
			if c.fault == "renders differently" {
				data = fmt.Append(data, "\n# ", n)
			}
			if err := os.WriteFile(filepath.Join(req.Out, name), data, 0o600); err != nil {
				return res, err
			}
			rel, err := filepath.Rel(req.Dir, in)
			if err != nil {
				return res, err
			}
			if c.fault == "tells absolute origins" {
				rel = in
			}
			res.Files = append(res.Files, rel)
			res.Origins[name] = renderer.Origin{File: rel, Line: 1}
		}
	}
	if c.fault == "writes into the tree" {
		return res, os.WriteFile(filepath.Join(req.Dir, "rendered.txt"), nil, 0o600)
	}
	return res, nil
}

func (c *copier) Update(_ context.Context, req renderer.UpdateRequest) (renderer.UpdateResult, error) {
	res := renderer.UpdateResult{Errors: make([]string, len(req.Changes))}
	for i, change := range req.Changes {
		name := change.Workload.Name + ".in"
		old, err := os.ReadFile(filepath.Join(req.Dir, name))
		switch {
		case c.fault == "answers too little":
			return renderer.UpdateResult{}, nil
		case err != nil && c.fault != "claims success":
			res.Errors[i] = "there is no " + name
		case err == nil && change.Value == nil && change.Annotation != "":
			res.Edits = append(res.Edits, source.Edit{Path: name, Old: old})
		case err == nil:
			res.Edits = append(res.Edits, source.Edit{Path: name, Old: old, New: []byte(change.Image)})
		}
	}
	return res, nil
}

func copierTree(t *testing.T) string {
	dir := t.TempDir()
	for name, content := range map[string]string{"web.in": "a: 1\n", "db.in": "b: 2\n", "README": "no"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRendererSuite(t *testing.T) {
	sdktest.Renderer(t, copierPlugin(""), "copier", nil, copierTree(t))
}

func TestRendererSuiteFindsFaults(t *testing.T) {
	for fault, check := range map[string]string{
		"renders differently":    "renderer-renders-the-same-twice",
		"writes into the tree":   "renderer-writes-only-where-told",
		"takes any path":         "renderer-refuses-paths-out-of-the-tree",
		"tells absolute origins": "renderer-renders-the-same-twice",
		"claims success":         "renderer-answers-each-change",
	} {
		t.Run(fault, func(t *testing.T) {
			s := &conformance.Subject{Kind: client.KindRenderer, Type: "copier", Tree: copierTree(t)}
			if failed := sdktest.FailedChecks(t, copierPlugin(fault), s, check); !slices.Contains(failed, check) {
				t.Errorf("failed are %v, want %s among them", failed, check)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRendererUpdates(t *testing.T) {
	tree := copierTree(t)
	ref := func(name string) applier.Ref { return applier.Ref{Kind: "Deployment", Name: name} }
	req := renderer.UpdateRequest{Request: renderer.Request{Dir: tree, Paths: []string{"."}, Out: t.TempDir()}, Changes: []renderer.Change{
		{Workload: ref("web"), Container: "web", Image: "app:2"},
		{Workload: ref("gone"), Container: "web", Image: "app:2"},
		{Workload: ref("db"), Annotation: "a"},
		{Workload: ref("db"), Annotation: "a", Value: new(string)},
	}}
	res, err := sdktest.New(t, copierPlugin(""), sdktest.Options{}).Renderer("copier", nil).Update(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	want := renderer.UpdateResult{
		Edits: []source.Edit{
			{Path: "web.in", Old: []byte("a: 1\n"), New: []byte("app:2")},
			{Path: "db.in", Old: []byte("b: 2\n")},
			{Path: "db.in", Old: []byte("b: 2\n"), New: []byte{}},
		},
		Errors: []string{"", "there is no gone.in", "", ""},
	}
	if diff := cmp.Diff(want, res); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	_, err = sdktest.New(t, copierPlugin("answers too little"), sdktest.Options{}).Renderer("copier", nil).Update(t.Context(), req)
	if err == nil || err.Error() != "the plugin answered 0 of 4 changes" {
		t.Errorf("an answer to none of 4 changes: %v", err)
	}
}

func TestRendererReportsPlaces(t *testing.T) {
	r := sdktest.New(t, copierPlugin(""), sdktest.Options{}).Renderer("copier", nil)
	_, err := r.Render(t.Context(), renderer.Request{Dir: t.TempDir(), Paths: []string{"../x"}, Out: t.TempDir()})
	problems, ok := diag.From(err)
	if !ok || len(problems) != 1 || problems[0].Subject == nil || problems[0].Subject.File != "../x" {
		t.Errorf("error %v, diagnostics %+v", err, problems)
	}
	if errors.Is(err, client.ErrTransport) {
		t.Errorf("the plugin's error looks like a broken connection: %v", err)
	}
}
