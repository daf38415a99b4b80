package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/renderer"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// pluginHost is what the engine needs of a plugin host.
type pluginHost interface {
	Schema(kind, typ string) (*schema.Schema, string, error)
	Open(ctx context.Context, kind, typ, name string, cfg json.RawMessage) (instance, diag.List, error)
	Status() []pluginhost.PluginStatus
	// Protect keeps values that are secret out of all texts of plugins.
	Protect(values ...string)
	Close(ctx context.Context) error
}

// instance is one opened configuration of a plugin.
type instance interface {
	Source() source.Source
	Applier() applier.Applier
	Registry() registryInstance
	Renderer() renderer.Renderer
	Helm() helm.Helm
	Has(capability string) bool
	// Check asks it whether it can do its work, see pluginhost.Instance.
	Check(ctx context.Context) (answered bool, problem error)
	Close(ctx context.Context) error
}

// hostOptions is what newHost starts a host with.
type hostOptions struct {
	dirs     []string
	plugins  []pluginhost.Declaration
	dev      map[string]string
	lockFile string
	dataDir  string
	services pluginhost.Services
	log      *slog.Logger
}

// PluginHost starts a plugin host as the engine would, for commands that only
// look at plugins. A configuration that is not there means the defaults; one
// with mistakes counts as far as it can be read. The caller owes it a Close.
func PluginHost(o Options) (*pluginhost.Host, error) {
	e, err := New(o)
	if err != nil {
		return nil, err
	}
	cfg, _ := config.Load(e.opts.ConfigPaths, config.Options{Variables: o.Variables, Env: e.opts.Env})
	ho, err := e.hostOptions(cfg.Settings, cfg.Plugins)
	if err != nil {
		return nil, err
	}
	ho.services = nil
	return newPluginHost(ho)
}

// subprocesses is the plugin host of production: pluginhost.Host with the
// engine's view of it.
type subprocesses struct{ *pluginhost.Host }

// startHost starts a host for plugins in processes of their own.
func startHost(o hostOptions) (pluginHost, error) {
	h, err := newPluginHost(o)
	if err != nil {
		return nil, err
	}
	return subprocesses{h}, nil
}

func newPluginHost(o hostOptions) (*pluginhost.Host, error) {
	return pluginhost.New(pluginhost.Options{
		Dirs: o.dirs, Plugins: o.plugins, Dev: o.dev, LockFile: o.lockFile,
		RunDir: runDir(), DataDir: o.dataDir, CacheDir: cacheDir(o.dataDir),
		Services: o.services, Logger: o.log,
	})
}

// Schema implements config.SchemaSource.
func (s subprocesses) Schema(kind, typ string) (*schema.Schema, string, error) {
	offer, err := s.Lookup(kind, typ)
	switch {
	case errors.Is(err, pluginhost.ErrNotFound):
		return nil, "", noPlugin{err}
	case err != nil:
		return nil, "", err
	}
	return offer.Schema, fmt.Sprintf("plugin %s %s", offer.Plugin, offer.Version), nil
}

// noPlugin is the plugin host's error as the configuration knows it.
type noPlugin struct{ error }

// Unwrap returns both.
func (e noPlugin) Unwrap() []error { return []error{e.error, config.ErrNoPlugin} }

// Open implements pluginHost.
func (s subprocesses) Open(ctx context.Context, kind, typ, name string, cfg json.RawMessage) (instance, diag.List, error) {
	in, warnings, err := s.Host.Open(ctx, kind, typ, name, cfg)
	if err != nil {
		return nil, warnings, err
	}
	return process{in}, warnings, nil
}

// Protect implements pluginHost.
func (s subprocesses) Protect(values ...string) { s.Scrubber().Add(values...) }

// process is an instance in a plugin process.
type process struct{ *pluginhost.Instance }

func (p process) Source() source.Source       { return p.Instance.Source() }
func (p process) Applier() applier.Applier    { return p.Instance.Applier() }
func (p process) Registry() registryInstance  { return p.Instance.Registry() }
func (p process) Renderer() renderer.Renderer { return p.Instance.Renderer() }
func (p process) Helm() helm.Helm             { return p.Instance.Helm() }

// declarations converts plugin blocks. The values of env leave the protection
// of their type here: they are for the environment of a process.
func declarations(plugins []config.Plugin) []pluginhost.Declaration {
	list := make([]pluginhost.Declaration, len(plugins))
	for i, p := range plugins {
		env := make(map[string]string, len(p.Env))
		for name, value := range p.Env {
			env[name] = value.Reveal()
		}
		list[i] = pluginhost.Declaration{Name: p.Name, Path: p.Path, Env: env, IdleStop: p.IdleStop}
	}
	return list
}

// runDir is a short private directory: the paths of sockets are limited.
func runDir() string {
	const most = 56
	name := fmt.Sprintf("sluice-%d", os.Getuid())
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir()} {
		if dir := filepath.Join(base, name); base != "" && len(dir) <= most {
			return dir
		}
	}
	return filepath.Join("/tmp", name)
}

// cacheDir is where descriptions of plugins are kept: with the user, so that
// validate finds them whatever the data directory is.
func cacheDir(dataDir string) string {
	if dir, err := os.UserCacheDir(); err == nil {
		return filepath.Join(dir, "sluice", "plugins")
	}
	return filepath.Join(dataDir, "cache")
}
