package engine

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// estate is all that decisions about the images of one sync, or of the files of
// values of one release, are taken from:
// what git declares, and what runs of it. What registries have is asked for
// where it is needed.
type estate struct {
	sync     config.Sync
	revision source.Revision
	tree     *tree.Tree
	found    edit.Found
	deciders *deciders
	running  map[string]Workload // in the sync's target, by id
	setup    *imageSetup
	targets  []images.Target // of what updatable has returned
	inputs   map[string]func() policy.Input
}

// estate collects what is known of a sync, of which running are the workloads
// of its applier. The caller owes it a release.
func (e *Engine) estate(ctx context.Context, id string, running []Workload) (*estate, error) {
	e.mu.Lock()
	n := e.nodes[id]
	cfg, ok := n.files()
	if !ok {
		e.mu.Unlock()
		return nil, refuse(ErrNotFound, "%s is not in the configuration any more", id)
	}
	s := &estate{
		sync: cfg, setup: e.setup(),
		running: make(map[string]Workload, len(running)), inputs: map[string]func() policy.Input{},
	}
	src := e.nodes[s.sync.Source]
	s.revision = src.source.revision
	held, ok := e.trees.Get(treeKey(src.source.cfg, s.revision))
	e.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("%s has no revision yet", src.id)
	}
	s.tree = held
	for _, w := range running {
		s.running[w.ID] = w
	}
	var err error
	if s.found, err = e.declaredIn(ctx, id, held); err != nil {
		held.Release()
		return nil, err
	}
	s.deciders = newDeciders(s.setup.book, id, s.found)
	return s, nil
}

func (s *estate) release() { s.tree.Release() }

// declaredIn tells what images the files of a sync have, or what they render to.
func (e *Engine) declaredIn(ctx context.Context, id string, t *tree.Tree) (edit.Found, error) {
	if v, ok := e.valuesOf(id); ok {
		v.tree = t
		return e.imagesOf(ctx, v)
	}
	cfg, o, err := e.filesOf(id)
	if err != nil {
		return edit.Found{}, err
	}
	options := edit.TreeOptions{Options: o, Paths: cfg.Paths, Cache: e.updating.files, Tree: t.Digest}
	if cfg.Renderer != "" {
		res, release, err := e.render(ctx, cfg, t.Dir, t.Digest, o.Namespace)
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
		linkMarkers(found.Workloads, sources.Found())
		placeImages(found.Workloads, sources.Found())
		return found, nil
	}
	files, err := edit.Open(ctx, t.Dir, options)
	if err != nil {
		return edit.Found{}, err
	}
	return files.Found(), nil
}

// filesOf returns the sync and how its files are read.
func (e *Engine) filesOf(id string) (config.Sync, edit.Options, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	cfg, ok := n.files()
	if !ok {
		return config.Sync{}, edit.Options{}, refuse(ErrNotFound, "%s is not in the configuration any more", id)
	}
	if block := n.block(); block != nil {
		return cfg, edit.Options{Values: workloadID(releaseRef(block))}, nil
	}
	return cfg, e.setup().options(defaultNamespace(e.nodes[cfg.Applier].plugin)), nil
}

// updatableAndLoose is all that automation may change, as it is known now.
func (e *Engine) updatableAndLoose(ctx context.Context, s *estate) []update.Workload {
	s.targets, s.inputs = nil, map[string]func() policy.Input{}
	return append(e.updatable(ctx, s), e.loose(ctx, s)...)
}

// updatable is what a release or an automation may change.
func (e *Engine) updatable(ctx context.Context, s *estate) []update.Workload {
	list := make([]update.Workload, 0, len(s.found.Workloads))
	for _, w := range s.found.Workloads {
		run, runs := s.running[w.ID]
		u := update.Workload{
			ID: w.ID, Sync: s.sync.Address, Source: s.sync.Source, InRepo: true, InCluster: runs,
			Policy: policy.Of(w.Annotations), Ignored: run.policy.Ignored,
		}
		who := run.consumer()
		if !runs {
			who = credentials.Consumer{Applier: s.sync.Applier, Namespace: w.Ref.Namespace}
		}
		if strings.HasPrefix(s.sync.Address, releasePrefix) {
			u.Keeps = "`automated = false` in the image_policy"
		}
		for _, c := range w.Containers {
			u.Containers = append(u.Containers, e.updatableContainer(ctx, s, u, c, who))
		}
		list = append(list, u)
	}
	return list
}

func (e *Engine) updatableContainer(ctx context.Context, s *estate, w update.Workload, c edit.Container, who credentials.Consumer) update.Container {
	u := update.Container{Name: c.Name, Init: c.Init, Fixed: c.Fixed}
	image, err := ref.Parse(c.Image)
	if err != nil {
		u.Invalid = oneLine(err)
		return u
	}
	u.Current = image
	u.Rules, u.Automated = s.setup.book.of(about{sync: s.sync.Address, workload: w.ID, container: c.Name, image: image}, w.Policy)
	if b := s.deciders.ofAny(c.Markers); b != nil {
		u.Rules, u.Automated, u.Decider = w.Policy.Refine(c.Name, b.rules), b.Automated, b.String()
	}
	t := images.Target{Workload: w.ID, Container: c.Name, Image: image, Consumer: who, Rules: &u.Rules}
	s.targets = append(s.targets, t)
	u.Input = s.input(t, func() policy.Input { return e.input(ctx, s.sync.Address, t) })
	return u
}

// input reads what is known for t once for all containers that see the same.
func (s *estate) input(t images.Target, read func() policy.Input) func() policy.Input {
	r := t.Rules
	key := fingerprint(t.Image, t.Consumer, r.String(), r.Platforms, r.MinAge, r.Digest)
	if s.inputs[key] == nil {
		s.inputs[key] = sync.OnceValue(read)
	}
	return s.inputs[key]
}

// input is what the registry is known to have for t. It sends nothing there.
func (e *Engine) input(ctx context.Context, sync string, t images.Target) policy.Input {
	view, err := e.imaging.scanner.Known(ctx, t)
	if err != nil {
		return policy.Input{Current: t.Image, Incomplete: oneLine(err), Now: now()}
	}
	return view.Input(t.Image, func(tag, digest string) string {
		return e.updating.gate.Reason(sync, view.Repository, tag, digest)
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
func (e *Engine) loose(ctx context.Context, s *estate) []update.Workload {
	var list []update.Workload
	for _, b := range s.deciders.blocks {
		if image, ok := b.image(); ok {
			w := e.looseImage(ctx, s, markerPrefix+b.Name, b.imageRules, image)
			w.Policy, w.Problem = b.hold(s.running), b.problem
			list = append(list, w)
		}
	}
	if s.sync.Renderer != "" {
		return list // its workloads have these images
	}
	for _, k := range s.found.Kustomize {
		image, ok := kustomizedImage(k)
		if !ok || s.deciders.ofAny(k.Markers) != nil {
			continue
		}
		if r, ok := s.setup.book.ofRepository(s.sync.Address, image); ok {
			list = append(list, e.looseImage(ctx, s, entryID(k.File, k.Name, k.Nth), r, image))
		}
	}
	return list
}

func (e *Engine) looseImage(ctx context.Context, s *estate, id string, r imageRules, image ref.Ref) update.Workload {
	rules := r.rules
	t := images.Target{Workload: id, Image: image, Rules: &rules}
	s.targets = append(s.targets, t)
	return update.Workload{
		ID: id, Sync: s.sync.Address, Source: s.sync.Source, InRepo: true, InCluster: true,
		Containers: []update.Container{{
			Current: image, Rules: rules, Automated: r.Automated, Input: func() policy.Input { return e.input(ctx, s.sync.Address, t) },
		}},
	}
}

func kustomizedImage(k edit.KustomizeImage) (ref.Ref, bool) {
	name := k.NewName
	if name == "" {
		name = k.Name
	}
	return assemble(name, k.NewTag, k.Digest)
}

func assemble(name, tag, digest string) (ref.Ref, bool) {
	image, err := ref.Parse(name)
	if err != nil {
		return ref.Ref{}, false
	}
	image = image.WithTag(tag)
	image.Digest = digest
	return image, true
}

// editsFor are the edits that make the swaps of a result come true.
func (s *estate) editsFor(id string, swaps []update.Swap) []edit.Edit {
	var edits []edit.Edit
	for _, sw := range swaps {
		switch {
		case strings.HasPrefix(id, kustomizePrefix):
			edits = append(edits, s.entryEdits(id, sw)...)
		case strings.HasPrefix(id, markerPrefix):
			if b := s.deciders.block(strings.TrimPrefix(id, markerPrefix)); b != nil {
				edits = append(edits, b.edits(sw.Target)...)
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
