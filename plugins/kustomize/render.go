package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// Config is the plugin's part of a `renderer "kustomize"` block: nothing. All
// that can be said is said in kustomizations.
type Config struct{}

// kustomize builds kustomizations.
type kustomize struct {
	log    hclog.Logger
	builds sync.WaitGroup // that go on after their calls were cancelled
}

func open(_ context.Context, _ Config, env sdk.Env) (*kustomize, error) {
	return &kustomize{log: env.Log}, nil
}

// Close waits for builds whose calls were cancelled.
func (k *kustomize) Close() error {
	k.builds.Wait()
	return nil
}

// building is held during a build: kustomize keeps the schema that it works
// with in a variable of the process, and sets it anew for each build.
var building = make(chan struct{}, 1)

// Render implements renderer.Renderer.
func (k *kustomize) Render(ctx context.Context, req renderer.Request) (renderer.Result, error) {
	out := output{dir: req.Out, origins: map[string]renderer.Origin{}}
	view, err := newView(ctx, req.Dir)
	if err != nil {
		return renderer.Result{}, err
	}
	for _, p := range req.Paths {
		err := k.render(ctx, view, p, &out)
		if ctx.Err() != nil { // whatever it made of that
			err = context.Cause(ctx)
		}
		if err != nil {
			return renderer.Result{}, fmt.Errorf("render %s: %w", p, err)
		}
	}
	return renderer.Result{Files: view.files(), Origins: out.origins, Diagnostics: view.warnings}, nil
}

// render builds the kustomization of one path and writes what comes of it.
func (k *kustomize) render(ctx context.Context, view *view, p string, out *output) error {
	dir, err := kustomizationDir(view, p)
	if err != nil {
		return err
	}
	view.root = dir
	built, err := k.build(ctx, view, dir)
	switch {
	case view.refused != nil:
		return view.refused
	case err != nil:
		return view.explain(dir, err)
	}
	return out.write(view, dir, built)
}

// kustomizationDir returns the directory that p means, which must hold a
// kustomization. p may also name the kustomization itself.
func kustomizationDir(view *view, p string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(p)) {
		return "", problem(p, "the path leads out of the tree", "Paths are relative to the root of the source.")
	}
	dir := path.Clean(p)
	if !view.Exists(virtual(dir)) {
		return "", problem(p, "there is no such path", "The sync names it in paths; this revision of the source does not hold it.")
	}
	if slices.Contains(konfig.RecognizedKustomizationFileNames(), path.Base(dir)) && !view.IsDir(virtual(dir)) {
		dir = path.Dir(dir)
	}
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if view.Exists(virtual(path.Join(dir, name))) {
			return dir, nil
		}
	}
	return "", problem(p, "there is no kustomization here",
		"Add a kustomization.yaml, name directories that have one in the paths of the sync, or take the renderer off the sync if its manifests are plain.")
}

// build runs kustomize, which cannot be cancelled: when ctx ends it is left
// behind, and ends by itself when it next looks at a file.
func (k *kustomize) build(ctx context.Context, view *view, dir string) (resmap.ResMap, error) {
	select {
	case building <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	type result struct {
		built resmap.ResMap
		err   error
	}
	done := make(chan result, 1)
	k.builds.Go(func() {
		defer func() { <-building }()
		built, err := k.run(view, dir)
		done <- result{built, err}
	})
	select {
	case r := <-done:
		return r.built, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run is kustomize itself, whose panics are errors about one kustomization.
func (k *kustomize) run(view *view, dir string) (built resmap.ResMap, err error) {
	defer func() {
		if r := recover(); r != nil {
			k.log.Error("kustomize panicked", "path", dir, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = fmt.Errorf("kustomize panicked: %v", r)
		}
	}()
	return krusty.MakeKustomizer(&krusty.Options{
		Reorder:          krusty.ReorderOptionNone,
		LoadRestrictions: types.LoadRestrictionsNone, // the view restricts it to the tree
		PluginConfig:     types.DisabledPluginConfig(),
	}).Run(view, virtual(dir))
}

// problem is an error that the user can fix in a file of the tree.
func problem(file, summary, detail string) error {
	return diag.Diagnostic{Summary: summary, Detail: detail, Subject: &diag.Range{File: file}}
}

// explain names in err the kustomization that it is about, and files as the
// source knows them.
func (v *view) explain(dir string, err error) error {
	text := strings.TrimSpace(strings.NewReplacer(virtualRoot+"/", "", virtualRoot, "the root").Replace(err.Error()))
	detail := ""
	if errors.Is(err, errOffline) || strings.Contains(text, "no 'git' program") {
		detail = sentence(errOffline.Error())
	}
	return problem(path.Join(dir, v.kustomizationOf(dir)), text, detail)
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
