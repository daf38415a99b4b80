package releases

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// rendering is what templates give.
type rendering struct {
	definitions []string // YAML
	manifest    string   // YAML, as Helm records it
	hooks       []*release.Hook
	helm.Rendered
}

// render runs the templates as Helm does for an install, or for the upgrade
// that follows last. It does without Helm's action, which would read every
// object that the release is about to create.
func (o *operation) render(c *chart.Chart, values map[string]any, last *release.Release) (rendering, error) {
	if err := o.capable(); err != nil {
		return rendering{}, o.failure(err)
	}
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		return rendering{}, sdk.Permanent(o.failure(fmt.Errorf("dependencies: %w", err)))
	}
	options := common.ReleaseOptions{Name: o.ref.Name, Namespace: o.ref.Namespace, Revision: 1, IsInstall: last == nil, IsUpgrade: last != nil}
	if last != nil {
		options.Revision = last.Version + 1
	}
	capabilities := o.config.Capabilities
	if want := c.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, capabilities.KubeVersion.String()) {
		return rendering{}, sdk.Permanent(o.failure(fmt.Errorf("chart %s wants Kubernetes %s, and this is %s", c.Name(), want, capabilities.KubeVersion.Version)))
	}
	all, err := util.ToRenderValuesWithSchemaValidation(c, values, options, capabilities, true)
	if err != nil {
		return rendering{}, sdk.Permanent(o.failure(err))
	}
	config, err := o.getter.ToRESTConfig()
	if err != nil {
		return rendering{}, o.failure(err)
	}
	files, err := engine.New(config).RenderWithContext(o.ctx, c, all)
	if err != nil {
		if o.ctx.Err() == nil {
			err = sdk.Permanent(err)
		}
		return rendering{}, o.failure(err)
	}
	made, err := o.sort(c, files)
	if err != nil {
		return rendering{}, err
	}
	return made, o.confineRelease(&release.Release{Manifest: made.manifest, Hooks: made.hooks})
}

// sort takes the rendered files apart.
func (o *operation) sort(c *chart.Chart, files map[string]string) (rendering, error) {
	const notes = "NOTES.txt"
	out := rendering{Rendered: helm.Rendered{Chart: c.Metadata.Name + "-" + c.Metadata.Version}}
	out.Notes = files[path.Join(c.Name(), "templates", notes)]
	for name := range files {
		if strings.HasSuffix(name, notes) {
			delete(files, name)
		}
	}
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return rendering{}, sdk.Permanent(o.failure(err))
	}
	for _, crd := range c.CRDObjects() {
		out.definitions = append(out.definitions, string(crd.File.Data))
	}
	var b strings.Builder
	for _, m := range manifests {
		fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", m.Name, m.Content)
	}
	out.manifest, out.hooks = b.String(), hooks
	out.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(out.manifest)))
	return out, nil
}

// Template implements helm.Helm.
func (m *Manager) Template(ctx context.Context, r helm.Release, out string) (helm.Rendered, error) {
	rendered, err := m.template(ctx, r, out)
	return rendered, redact(err, r.Values)
}

func (m *Manager) template(ctx context.Context, r helm.Release, out string) (helm.Rendered, error) {
	c, values, err := load(r)
	if err != nil {
		return helm.Rendered{}, err
	}
	o, err := m.begin(ctx, r.Ref, nil)
	if err != nil {
		return helm.Rendered{}, err
	}
	o.hidden.hide(values)
	if err := o.confineDefinitions(c, r.CRDs); err != nil {
		return helm.Rendered{}, err
	}
	made, err := o.render(c, values, nil)
	if err != nil {
		return helm.Rendered{}, err
	}
	var all []object
	if r.CRDs != helm.CRDsSkip {
		for _, text := range made.definitions {
			list, err := objects(text, false)
			if err != nil {
				return helm.Rendered{}, sdk.Permanent(o.failure(err))
			}
			all = append(all, list...)
		}
	}
	rest, err := made.objects(r.DisableHooks)
	if err != nil {
		return helm.Rendered{}, sdk.Permanent(o.failure(err))
	}
	return made.Rendered, write(out, append(all, rest...))
}

// objects of the templates and, unless they are off, the hooks.
func (r *rendering) objects(noHooks bool) ([]object, error) {
	all, err := objects(r.manifest, false)
	if err != nil || noHooks {
		return all, err
	}
	for _, h := range r.hooks {
		list, err := objects(h.Manifest, true)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Path, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// withoutTests leaves out the hooks that no install or upgrade runs.
func withoutTests(hooks []*release.Hook) []*release.Hook {
	return slices.DeleteFunc(slices.Clone(hooks), func(h *release.Hook) bool {
		return !slices.ContainsFunc(h.Events, func(e release.HookEvent) bool { return e != release.HookTest })
	})
}

// write writes objects, one a line. They may hold secrets: the file is the
// owner's only.
func write(name string, all []object) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriter(f)
	encoder := json.NewEncoder(buffered)
	for _, object := range all {
		if err := encoder.Encode(object.content); err != nil {
			return fmt.Errorf("%s: %w", object, err)
		}
	}
	return buffered.Flush()
}

// Plan implements helm.Helm.
func (m *Manager) Plan(ctx context.Context, r helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	rendered, err := m.plan(ctx, r, emit)
	return rendered, redact(err, r.Values)
}

func (m *Manager) plan(ctx context.Context, r helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	c, values, err := load(r)
	if err != nil {
		return helm.Rendered{}, err
	}
	o, err := m.begin(ctx, r.Ref, nil)
	if err != nil {
		return helm.Rendered{}, err
	}
	o.hidden.hide(values)
	if err := o.confineDefinitions(c, r.CRDs); err != nil {
		return helm.Rendered{}, err
	}
	p, err := o.past()
	if err != nil {
		return helm.Rendered{}, err
	}
	last := p.last
	var before rendering
	if last != nil && last.Info.Status != releasecommon.StatusUninstalled {
		before = rendering{manifest: last.Manifest, hooks: withoutTests(last.Hooks)}
		if r.ReuseValues {
			values = over(last.Config, values)
		}
	}
	if p.first {
		last = nil
	}
	made, err := o.render(c, values, last)
	if err != nil {
		return helm.Rendered{}, err
	}
	made.hooks = withoutTests(made.hooks)
	var changes []helm.Change
	if err := differences(&before, &made, r, func(c helm.Change) { changes = append(changes, c) }); err != nil {
		return helm.Rendered{}, o.failure(err)
	}
	if !p.first {
		if err := o.rehearse(r, p, made.manifest, changes); err != nil {
			return helm.Rendered{}, err
		}
	}
	for _, c := range changes {
		emit(c)
	}
	return made.Rendered, nil
}

// differences emits what differs between two renderings, by object.
func differences(before, after *rendering, r helm.Release, emit func(helm.Change)) error {
	old, err := before.objects(r.DisableHooks)
	if err != nil {
		return fmt.Errorf("the present revision: %w", err)
	}
	now, err := after.objects(r.DisableHooks)
	if err != nil {
		return sdk.Permanent(err)
	}
	was := map[key]object{}
	for _, o := range old {
		was[o.key(r.Ref.Namespace)] = o
	}
	for _, o := range now {
		k := o.key(r.Ref.Namespace)
		if err := difference(was[k], o, k, emit); err != nil {
			return err
		}
		delete(was, k)
	}
	gone := make([]key, 0, len(was))
	for k := range was {
		gone = append(gone, k)
	}
	slices.SortFunc(gone, func(a, b key) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.namespace, b.namespace), strings.Compare(a.name, b.name))
	})
	for _, k := range gone {
		if err := difference(was[k], object{}, k, emit); err != nil {
			return err
		}
	}
	return nil
}

func difference(was, is object, k key, emit func(helm.Change)) error {
	change := helm.Change{Kind: k.kind, Namespace: k.namespace, Name: k.name, Hook: k.hook, Action: "update"}
	switch {
	case was.content == nil:
		change.Action = "create"
	case is.content == nil && k.hook: // stays where it is, and is not run again
		return nil
	case is.content == nil:
		change.Action = "delete"
	}
	text, err := unified(k, was.content, is.content)
	if err != nil {
		return err
	}
	if change.Diff = text; text != "" {
		emit(change)
	}
	return nil
}
