package updates

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/updates/rules"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/workload"
)

// estate is all that decisions about the images of one sync, or of the files of
// values of one release, are taken from:
// what git declares, and what runs of it. What registries have is asked for
// where it is needed.
type estate struct {
	sync     config.Sync
	block    bool // it is of a release block
	tree     *tree.Tree
	found    edit.Found
	deciders *rules.Deciders
	running  map[string]workload.Workload // in the sync's target, by id
	setup    *rules.Setup
	targets  []images.Target // of what updatable has returned
	inputs   map[string]func() policy.Input
}

// estate collects what is known of a sync, of which running are the workloads
// of its applier. The caller owes it a release.
func (u *Updater) estate(ctx context.Context, id string, running []workload.Workload) (*estate, error) {
	f, ok := u.site.Files(id)
	if !ok {
		return nil, gone(id)
	}
	s := &estate{
		sync: f.Sync, block: f.Block != nil, setup: u.Setup(),
		running: make(map[string]workload.Workload, len(running)), inputs: map[string]func() policy.Input{},
	}
	held, err := u.site.Hold(s.sync.Source)
	if err != nil {
		return nil, err
	}
	s.tree = held
	for _, w := range running {
		s.running[w.ID] = w
	}
	if s.found, err = u.declaredIn(ctx, f, held); err != nil {
		held.Release()
		return nil, err
	}
	s.deciders = rules.NewDeciders(s.setup.Book, id, s.found)
	return s, nil
}

func (s *estate) release() { s.tree.Release() }

// declaredIn tells what images files have, or what they render to.
func (u *Updater) declaredIn(ctx context.Context, f Files, t *tree.Tree) (edit.Found, error) {
	if v := f.Block; v != nil {
		v.Tree = t
		return v.Images(ctx, u.files)
	}
	options := edit.TreeOptions{Options: u.options(f), Paths: f.Sync.Paths, Cache: u.files, Tree: t.Digest}
	if f.Sync.Renderer != "" {
		return u.renderedFrom(ctx, f, t, options)
	}
	files, err := edit.Open(ctx, t.Dir, options)
	if err != nil {
		return edit.Found{}, err
	}
	return files.Found(), nil
}

// renderedFrom tells what images are in what files render to, and where in the
// files they stand.
func (u *Updater) renderedFrom(ctx context.Context, f Files, t *tree.Tree, options edit.TreeOptions) (edit.Found, error) {
	r, err := u.site.Renderer(f.Sync.Renderer)
	if err != nil {
		return edit.Found{}, err
	}
	res, release, err := r.Render(ctx, u.renders, t.Dir, t.Digest, f.Sync.Paths, options.Namespace)
	if err != nil {
		return edit.Found{}, err
	}
	defer release()
	found, err := res.Declared(ctx, options)
	if err != nil {
		return edit.Found{}, err
	}
	sources, err := edit.Open(ctx, t.Dir, options)
	if err != nil {
		return edit.Found{}, err
	}
	// Comments are not rendered. What else is in the files is the renderer's
	// to judge.
	found.Markers = sources.Found().Markers
	rules.LinkMarkers(found.Workloads, sources.Found())
	rules.PlaceImages(found.Workloads, sources.Found())
	return found, nil
}

// options say how the files of a sync are read for their images.
func (u *Updater) options(f Files) edit.Options {
	if f.Block != nil {
		return f.Block.Options()
	}
	return u.Setup().Options(f.Namespace)
}

// updatableAndLoose is all that automation may change, as it is known now.
func (u *Updater) updatableAndLoose(ctx context.Context, s *estate) []update.Workload {
	s.targets, s.inputs = nil, map[string]func() policy.Input{}
	return append(u.updatable(ctx, s), u.loose(ctx, s)...)
}

// updatable is what a release or an automation may change.
func (u *Updater) updatable(ctx context.Context, s *estate) []update.Workload {
	list := make([]update.Workload, 0, len(s.found.Workloads))
	for _, w := range s.found.Workloads {
		run, runs := s.running[w.ID]
		out := update.Workload{
			ID: w.ID, Sync: s.sync.Address, Source: s.sync.Source, InRepo: true, InCluster: runs,
			Policy: policy.Of(w.Annotations), Ignored: run.Policy().Ignored,
		}
		who := run.Consumer()
		if !runs {
			who = credentials.Consumer{Applier: s.sync.Applier, Namespace: w.Ref.Namespace}
		}
		if s.block {
			out.Keeps = "`automated = false` in the image_policy"
		}
		for _, c := range w.Containers {
			out.Containers = append(out.Containers, u.updatableContainer(ctx, s, out, c, who))
		}
		list = append(list, out)
	}
	return list
}

func (u *Updater) updatableContainer(ctx context.Context, s *estate, w update.Workload, c edit.Container, who credentials.Consumer) update.Container {
	out := update.Container{Name: c.Name, Init: c.Init, Fixed: c.Fixed}
	image, err := ref.Parse(c.Image)
	if err != nil {
		out.Invalid = words.OneLine(err)
		return out
	}
	out.Current = image
	out.Rules, out.Automated = s.setup.Book.Of(rules.About{Sync: s.sync.Address, Workload: w.ID, Container: c.Name, Image: image}, w.Policy)
	if b := s.deciders.OfAny(c.Markers); b != nil {
		out.Rules, out.Automated, out.Decider = w.Policy.Refine(c.Name, b.Rules), b.Automated, b.String()
	}
	t := images.Target{Workload: w.ID, Container: c.Name, Image: image, Consumer: who, Rules: &out.Rules}
	s.targets = append(s.targets, t)
	out.Input = s.input(t, func() policy.Input { return u.input(ctx, s.sync.Address, t) })
	return out
}

// input reads what is known for t once for all containers that see the same.
func (s *estate) input(t images.Target, read func() policy.Input) func() policy.Input {
	r := t.Rules
	key := digest.Of(t.Image, t.Consumer, r.String(), r.Platforms, r.MinAge, r.Digest)
	if s.inputs[key] == nil {
		s.inputs[key] = sync.OnceValue(read)
	}
	return s.inputs[key]
}

// input is what the registry is known to have for t. It sends nothing there.
func (u *Updater) input(ctx context.Context, sync string, t images.Target) policy.Input {
	view, err := u.scanner.Known(ctx, t)
	if err != nil {
		return policy.Input{Current: t.Image, Incomplete: words.OneLine(err), Now: now()}
	}
	return view.Input(t.Image, func(tag, digest string) string {
		return u.gate.Reason(sync, view.Repository, tag, digest)
	}, now())
}

// Markers and entries of kustomizations stand in no workload. They are decided
// on as if each policy and each entry were one, under these ids.
const (
	markerPrefix    = "marker:"
	kustomizePrefix = "kustomize:"
)

// entryID names an entry of a kustomization.
func entryID(file, name string, nth int) string {
	id := kustomizePrefix + file + "#" + name
	if nth > 1 {
		id += fmt.Sprintf("#%d", nth)
	}
	return id
}

// loose are the images that stand in no workload: of markers, and of
// kustomizations that are not rendered here.
func (u *Updater) loose(ctx context.Context, s *estate) []update.Workload {
	var list []update.Workload
	for _, b := range s.deciders.Blocks {
		if image, ok := b.Image(); ok {
			w := u.looseImage(ctx, s, markerPrefix+b.Name, b.Block, image)
			w.Policy, w.Problem = b.Hold(s.running), b.Problem
			list = append(list, w)
		}
	}
	if s.sync.Renderer != "" {
		return list // its workloads have these images
	}
	for _, k := range s.found.Kustomize {
		image, ok := rules.EntryImage(k)
		if !ok || s.deciders.OfAny(k.Markers) != nil {
			continue
		}
		if r, ok := s.setup.Book.OfRepository(s.sync.Address, image); ok {
			list = append(list, u.looseImage(ctx, s, entryID(k.File, k.Name, k.Nth), r, image))
		}
	}
	return list
}

func (u *Updater) looseImage(ctx context.Context, s *estate, id string, r rules.Block, image ref.Ref) update.Workload {
	own := r.Rules
	t := images.Target{Workload: id, Image: image, Rules: &own}
	s.targets = append(s.targets, t)
	return update.Workload{
		ID: id, Sync: s.sync.Address, Source: s.sync.Source, InRepo: true, InCluster: true,
		Containers: []update.Container{{
			Current: image, Rules: own, Automated: r.Automated, Input: func() policy.Input { return u.input(ctx, s.sync.Address, t) },
		}},
	}
}

// editsFor are the edits that make the swaps of a result come true.
func (s *estate) editsFor(id string, swaps []update.Swap) []edit.Edit {
	var edits []edit.Edit
	for _, sw := range swaps {
		switch {
		case strings.HasPrefix(id, kustomizePrefix):
			edits = append(edits, s.entryEdits(id, sw)...)
		case strings.HasPrefix(id, markerPrefix):
			if b := s.deciders.Block(strings.TrimPrefix(id, markerPrefix)); b != nil {
				edits = append(edits, b.Edits(sw.Target)...)
			}
		default:
			edits = append(edits, edit.Edit{Workload: id, Container: sw.Container, Image: sw.Target, From: sw.Current})
		}
	}
	return edits
}

// entryEdits is the edit of the entry that is called so.
func (s *estate) entryEdits(id string, sw update.Swap) []edit.Edit {
	for _, k := range s.found.Kustomize {
		if entryID(k.File, k.Name, k.Nth) == id {
			return []edit.Edit{{Kustomize: k.Name, File: k.File, Nth: k.Nth, Image: sw.Target, From: k.Reference()}}
		}
	}
	return nil
}
