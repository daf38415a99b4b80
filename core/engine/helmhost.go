package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

const (
	helmSlots    = 8                // operations of one helm that are busy at once
	helmPatience = 30 * time.Second // after which one counts as waiting
)

// releases is what all releases share. Engine.mu guards all but runner.
type releases struct {
	runner *release.Runner
	tally  release.Tally
	book   releaseBook
}

// openReleases opens what releases need: no plugin before one is there.
func (e *Engine) openReleases() error {
	runner, err := release.New(release.Options{Dir: filepath.Join(e.dataDir, "releases"), Logger: e.log})
	if err != nil {
		return err
	}
	e.onClose(func(context.Context) error { return runner.Close() })
	e.releases = &releases{runner: runner}
	return nil
}

// observerOf returns the observer of the open helm h. e.mu is held.
func (e *Engine) observerOf(h *node) *release.Observer {
	if h.helm.observer == nil {
		h.helm.observer = release.NewObserver(h.handle.Helm(), release.ObserverOptions{Can: h.handle.Has})
	}
	return h.helm.observer
}

// releaseHost is what a run of n with the open helm h needs of the outside. e.mu
// is held.
func (e *Engine) releaseHost(n, h *node) release.Host {
	at := e.nodes[n.release.declared.Applier]
	return release.Host{
		Name: h.id, Helm: h.handle.Helm(), Observer: e.observerOf(h), Can: h.handle.Has, Remotes: e.running.mirrors.Remotes(),
		Tree: e.treeOf, Declared: func(owner string) string { return e.declaredBy(h.id, owner) },
		Secret: func(ctx context.Context, namespace, name, key string) (secret.Secret, error) {
			return e.readSecretFor(ctx, at, applier.SecretRef{Namespace: namespace, Name: name, Key: key})
		},
		Config: func(ctx context.Context, namespace, name, key string) (string, error) {
			return e.readConfigFor(ctx, at, applier.ConfigRef{Namespace: namespace, Name: name, Key: key})
		},
	}
}

// declaredBy names the living declaration of the cluster of a helm that is the
// owner of releases, "" if there is none.
func (e *Engine) declaredBy(helm, owner string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rivals().DeclaredBy(e.clusterOf(helm), owner)
}

// treeOf implements release.Host.Tree.
func (e *Engine) treeOf(_ context.Context, id string) (release.Tree, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	switch {
	case n == nil || n.source == nil:
		return release.Tree{}, fmt.Errorf("%s is not in the configuration any more", id)
	case n.source.tree == nil:
		return release.Tree{}, fmt.Errorf("%s has no revision yet (%s: %s)", id, n.view.State, n.view.Reason)
	}
	held, ok := e.trees.Get(treeKey(n.source.cfg, n.source.revision))
	if !ok {
		e.triggerLocked(id, sched.Webhook)
		return release.Tree{}, fmt.Errorf("the files of %s are gone from data_dir and are fetched again", words.Revision(n.source.revision))
	}
	return release.Tree{Dir: held.Dir, Digest: held.Digest, Revision: n.source.revision.ID, Release: held.Release}, nil
}

// handleOf returns the open instance of at.
func (e *Engine) handleOf(at *node) (instance, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case at == nil:
		return nil, errors.New("there is no applier to read it with")
	case at.handle == nil:
		return nil, fmt.Errorf("%s is not open (%s): %w", at.id, at.view.Reason, host.ErrUnavailable)
	}
	return at.handle, nil
}

// readSecretFor reads a key of a Secret in a release's cluster.
func (e *Engine) readSecretFor(ctx context.Context, at *node, ref applier.SecretRef) (secret.Secret, error) {
	in, err := e.handleOf(at)
	if err != nil {
		return secret.Secret{}, err
	}
	store, ok := in.Applier().(applier.SecretStore)
	if !ok || !in.Has(applier.CanKeepSecrets) {
		return secret.Secret{}, fmt.Errorf("%s reads no secrets", at.id)
	}
	value, err := store.ReadSecret(ctx, ref)
	if errors.Is(err, applier.ErrNoSecret) {
		return value, fmt.Errorf("%w: %w", err, release.ErrNoValues)
	}
	return value, err
}

// readConfigFor reads a key of a ConfigMap in a release's cluster.
func (e *Engine) readConfigFor(ctx context.Context, at *node, ref applier.ConfigRef) (string, error) {
	in, err := e.handleOf(at)
	if err != nil {
		return "", err
	}
	keeper, ok := in.Applier().(applier.ResourceKeeper)
	if !ok || !in.Has(applier.CanKeepResources) {
		return "", fmt.Errorf("%s reads no config maps: this plugin is too old for that", at.id)
	}
	value, err := keeper.ReadConfig(ctx, ref)
	if errors.Is(err, applier.ErrNoConfig) {
		return value, fmt.Errorf("%w: %w", err, release.ErrNoValues)
	}
	return value, err
}
