package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/generator/internal/patch"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// Update implements renderer.Updater.
func (g *generator) Update(ctx context.Context, req renderer.UpdateRequest) (res renderer.UpdateResult, err error) {
	all, _, err := units(req.Dir, req.Paths)
	if err != nil {
		return renderer.UpdateResult{}, err
	}
	w, err := newWorkspace(ctx, req.Dir)
	if err != nil {
		return renderer.UpdateResult{}, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	clean, err := newSnapshot(ctx, req.Dir, w.tree())
	if err != nil {
		return renderer.UpdateResult{}, err
	}
	var targets []*target
	for _, u := range all {
		t, err := g.target(ctx, w, u, req.Namespace)
		if err != nil {
			return renderer.UpdateResult{}, err
		}
		targets = append(targets, t)
	}
	if err := clean.restore(ctx); err != nil { // generators may have written, too
		return renderer.UpdateResult{}, err
	}
	res.Errors = make([]string, len(req.Changes))
	for i, c := range req.Changes {
		if err := g.change(ctx, w, clean, targets, c); err != nil {
			if ctx.Err() != nil {
				return renderer.UpdateResult{}, context.Cause(ctx)
			}
			res.Errors[i] = err.Error()
		}
	}
	res.Edits = clean.edits()
	return res, nil
}

// target is what one path renders to, for changes to find their workloads.
type target struct {
	unit
	namespace string
	objects   *patched
}

// target renders u. Plain files are not for this plugin to change.
func (g *generator) target(ctx context.Context, w *workspace, u unit, namespace string) (*target, error) {
	t := &target{unit: u, namespace: namespace, objects: &patched{}}
	if u.plain() {
		return t, nil
	}
	if u.file.PatchFile != "" {
		p, err := g.patched(ctx, w, u)
		if err != nil {
			return nil, err
		}
		t.objects = p
		return t, nil
	}
	outputs, err := g.outputs(ctx, w, u)
	if err != nil {
		return nil, err
	}
	for i, data := range outputs {
		objects, err := patch.Decode(data)
		if err != nil {
			return nil, problem(u.file.Path, u.file.Generators[i].Line, "what is generated in "+u.dir+" cannot be read: "+err.Error(), "")
		}
		t.objects.after = append(t.objects.after, objects...)
	}
	return t, nil
}

// find returns the index of the workload among the objects, -1 if it is not
// one of them.
func (t *target) find(ref applier.Ref) int {
	want := ref.Identity()
	return slices.IndexFunc(t.objects.after, func(o patch.Object) bool {
		have := o.Ref.Identity()
		if have.Namespace == "" {
			have.Namespace = t.namespace
		}
		return have == want || o.Ref.Identity() == want
	})
}

// change makes one change in the workspace, or leaves it as it is.
func (g *generator) change(ctx context.Context, w *workspace, clean *snapshot, targets []*target, c renderer.Change) error {
	for _, t := range targets {
		i := t.find(c.Workload)
		if i < 0 {
			continue
		}
		if t.file.PatchFile != "" {
			return g.changePatch(clean, t, i, c)
		}
		if err := g.runUpdaters(ctx, w, t.unit, c); err != nil {
			return errors.Join(err, clean.restore(ctx))
		}
		return clean.take(ctx)
	}
	return fmt.Errorf("%s is not generated from %s", c.Workload, strings.Join(dirs(targets), ", "))
}

func dirs(targets []*target) []string {
	var list []string
	for _, t := range targets {
		list = append(list, t.dir)
	}
	return list
}

// changePatch makes the change in the object and works out its patch.
func (g *generator) changePatch(clean *snapshot, t *target, i int, c renderer.Change) error {
	wanted, err := apply(t.objects.after[i], c)
	if err != nil {
		return err
	}
	file, err := g.patcher.Rewrite(t.objects.file, t.objects.before[i], wanted)
	if err != nil {
		return fmt.Errorf("%s: %w", t.patchFile(), err)
	}
	if string(file) != string(t.objects.file) {
		if err := clean.put(t.patchFile(), file); err != nil {
			return err
		}
	}
	t.objects.file, t.objects.after[i] = file, wanted
	return nil
}

func apply(o patch.Object, c renderer.Change) (patch.Object, error) {
	if c.Annotation != "" {
		return patch.SetAnnotation(o, c.Annotation, c.Value)
	}
	return patch.SetImage(o, c.Container, c.Image)
}

// runUpdaters runs all updaters of u for one change. The first that fails
// ends it.
func (g *generator) runUpdaters(ctx context.Context, w *workspace, u unit, c renderer.Change) error {
	env, err := variables(c)
	if err != nil {
		return err
	}
	ran := 0
	for _, up := range u.file.Updaters {
		cmd, what := up.Image, "image updater"
		if c.Annotation != "" {
			cmd, what = up.Policy, "policy updater"
		}
		if cmd == nil {
			continue
		}
		ran++
		if _, err := g.run(ctx, w, u, *cmd, env); err != nil {
			return g.failed(ctx, u, *cmd, fmt.Sprintf("%s %s failed in %s", what, cmd, u.dir), err)
		}
	}
	if ran == 0 {
		kind := "containerImage"
		if c.Annotation != "" {
			kind = "policy"
		}
		return fmt.Errorf("%s has no updaters with %s, so that nobody knows where to change %s: add one, or use patchUpdated", u.file.Path, kind, c.Workload)
	}
	return nil
}

// variables tells an updater what to do.
func variables(c renderer.Change) ([]string, error) {
	kind := strings.ToLower(c.Workload.Kind)
	env := []string{
		"FLUX_WORKLOAD=" + c.Workload.Namespace + ":" + kind + "/" + c.Workload.Name,
		"FLUX_WL_NS=" + c.Workload.Namespace, "FLUX_WL_KIND=" + kind, "FLUX_WL_NAME=" + c.Workload.Name,
	}
	if c.Annotation != "" {
		env = append(env, "FLUX_POLICY="+policyName(c.Annotation))
		if c.Value != nil {
			env = append(env, "FLUX_POLICY_VALUE="+*c.Value)
		}
		return env, nil
	}
	name, tag, ok := cutTag(c.Image)
	if !ok {
		return nil, fmt.Errorf("%s has no tag, which is all that updaters can set", c.Image)
	}
	return append(env, "FLUX_CONTAINER="+c.Container, "FLUX_IMG="+name, "FLUX_TAG="+tag), nil
}

// policyName is an annotation's key without the prefixes of policies, as
// updaters know it.
func policyName(key string) string {
	for _, prefix := range []string{"sluice.dev/", "fluxcd.io/", "flux.weave.works/"} {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			return name
		}
	}
	return key
}

// cutTag splits a reference. A digest stays with the tag.
func cutTag(image string) (name, tag string, ok bool) {
	bare, _, _ := strings.Cut(image, "@")
	i := strings.LastIndexByte(bare, ':')
	if i < 0 || strings.Contains(bare[i:], "/") {
		return "", "", false
	}
	return image[:i], image[i+1:], true
}

// put writes content where an edit wants it.
func (s *snapshot) put(file string, content []byte) error {
	at := filepath.Join(s.tree, filepath.FromSlash(file))
	if err := os.WriteFile(at, content, 0o600); err != nil {
		return err
	}
	return s.note(file, content)
}

var _ interface {
	renderer.Renderer
	renderer.Updater
} = (*generator)(nil)
