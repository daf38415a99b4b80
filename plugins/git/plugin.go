// Command sluice-plugin-git offers the source "git": a branch, tag or commit
// of a git repository. See README.md for its configuration and behaviour.
//
// remote talks to servers, mirror keeps what they sent, and this package
// turns both into a source.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// version is set by the linker.
var version = "dev"

// plugin opens sources that share mirrors. The zero value is ready.
type plugin struct {
	mu    sync.Mutex
	pools map[string]*mirror.Pool // by directory; one in practice
}

func (p *plugin) describe() sdk.Plugin {
	return sdk.Plugin{
		Name:    "git",
		Version: version,
		Kinds:   []sdk.Kind{source.New("git", p.open, sdk.Doc("A branch, tag or commit of a git repository."))},
	}
}

// open makes a source. It does not touch the network: a server that is down
// must not keep a configuration from loading.
func (p *plugin) open(_ context.Context, c Config, env sdk.Env) (*gitSource, error) {
	address, err := remote.ParseAddress(c.URL)
	if err != nil {
		return nil, diag.Errorf(diag.Attr("url"), "%s", err)
	}
	transport, err := chooseTransport(c.Transport, address)
	if err != nil {
		return nil, err
	}
	a := &access{config: c, address: address, host: env.Host}
	dir, err := sharedDir(env.Dir)
	if err != nil {
		return nil, err
	}
	m, err := p.pool(dir).Mirror(address, a.identity())
	if err != nil {
		return nil, err
	}
	return &gitSource{
		config: c,
		url:    address.String(),
		mirror: m,
		access: mirror.Access{Transport: transport, Target: a.target, Log: env.Log},
		log:    env.Log,
	}, nil
}

// close stops what runs. The host ends the process when it wants; only tests
// need it.
func (p *plugin) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pool := range p.pools {
		pool.Close()
	}
	p.pools = nil
}

func (p *plugin) pool(dir string) *mirror.Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pools == nil {
		p.pools = map[string]*mirror.Pool{}
	}
	if p.pools[dir] == nil {
		p.pools[dir] = mirror.NewPool(dir)
	}
	return p.pools[dir]
}

// sharedDir is where all instances keep their mirrors: beside the cache
// directories of the instances, which the host puts into one directory.
func sharedDir(instance string) (string, error) {
	if instance == "" {
		return filepath.Join(os.TempDir(), "git-mirrors"), nil
	}
	abs, err := filepath.Abs(instance)
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(abs), "git-mirrors"), nil
}

func chooseTransport(name string, a remote.Address) (remote.Transport, error) {
	cli, found := remote.FindCLI()
	usable := found && cli.CanReach(a)
	switch {
	case name == "go-git" || name == "auto" && !usable:
		return remote.Native{}, nil
	case usable:
		return cli, nil
	}
	missing := "git"
	if found {
		missing = "ssh"
	}
	d := diag.Errorf(diag.Attr("transport"), "there is no program %q on the PATH of the plugin", missing)
	d.Detail = `Install it, or use transport = "auto".`
	return nil, fmt.Errorf("transport: %w", d)
}
