// Command sluice-plugin-git offers the source "git": a branch, tag or commit
// of a git repository. See README.md for its configuration and behaviour.
//
// remote talks to servers, mirror keeps what they sent, and this package
// turns both into a source.
package main

import (
	"context"
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
var version = "0.0.0-dev"

// plugin opens sources that share mirrors. The zero value is ready.
type plugin struct {
	findCLI sync.Once
	cli     remote.CLI
	cliErr  error

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
	transport, err := p.chooseTransport(c.Transport, address)
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
		access: mirror.Access{URL: address.String(), Transport: transport, Racer: racer(c.Transport, address), Target: a.target, Log: env.Log},
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

func (p *plugin) chooseTransport(name string, a remote.Address) (remote.Transport, error) {
	if name == "go-git" {
		return remote.Native{}, nil
	}
	p.findCLI.Do(func() {
		remote.Sweep()
		p.cli, p.cliErr = remote.FindCLI()
	})
	err := p.cliErr
	if err == nil {
		err = p.cli.CanReach(a)
	}
	if err == nil {
		return p.cli, nil
	}
	if name == "auto" {
		return remote.Native{}, nil
	}
	d := diag.Errorf(diag.Attr("transport"), "the git program cannot be used: %s", err)
	d.Detail = `Install it where the plugin's PATH leads, or use transport = "auto".`
	return nil, d
}

// racer is what commits take instead of the transport once they have lost a
// race, nil being that: over http the built-in implementation, which has no
// processes to start while somebody else may push again.
func racer(transport string, a remote.Address) remote.Transport {
	if transport == "auto" && a.IsHTTP() {
		return remote.Native{}
	}
	return nil
}
