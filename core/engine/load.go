package engine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/engine/mirror"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/updates/rules"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// candidate is a configuration that was read, with the plugin host that knows
// its schemas.
type candidate struct {
	cfg  *config.Config
	host pluginHost
	key  string // of the host: settings and plugin blocks

	readOnly map[string]bool // sources that say that they only read, by address
	mirrors  mirror.Table
}

func (c *candidate) hostOrNil() pluginHost {
	if c == nil {
		return nil
	}
	return c.host
}

// Load reads the configuration and checks it against the schemas of its
// plugins. It needs no daemon and changes nothing. If the list has errors, the
// configuration cannot run.
func (e *Engine) Load(ctx context.Context) diag.List {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	c, diags := e.readConfig(ctx)
	e.mu.Lock()
	old := e.read
	e.read = c
	e.noteLoad(diags)
	unused := old != nil && old != e.running && old.host != c.host
	e.mu.Unlock()
	if unused {
		diags = append(diags, closeHost(ctx, old.host)...)
	}
	return diags
}

// readConfig reads the files. The host of the running or last read
// configuration is taken over if nothing about it has changed.
func (e *Engine) readConfig(ctx context.Context) (*candidate, diag.List) {
	c := &candidate{}
	cfg, diags := config.Load(e.opts.ConfigPaths, config.Options{
		Variables: e.opts.Variables,
		Env:       e.opts.Env,
		Schemas: func(s config.Settings, plugins []config.Plugin) config.SchemaSource {
			host, key, err := e.hostFor(s, plugins)
			if err != nil {
				return brokenHost{err}
			}
			c.host, c.key = host, key
			return host
		},
	})
	c.cfg, c.mirrors = cfg, mirror.New(cfg.Mirrors)
	diags = append(diags, checkCredentials(cfg)...)
	diags = append(diags, rules.Check(cfg)...)
	diags = append(diags, c.checkWritable()...)
	if c.host == nil && !diags.HasErrors() { // nothing in it asked for a schema
		var err error
		if c.host, c.key, err = e.hostFor(cfg.Settings, cfg.Plugins); err != nil {
			diags = append(diags, diag.Errorf(nil, "%v", err))
		}
	}
	return c, diags
}

// noteLoad records what came of reading the configuration. e.mu is held.
func (e *Engine) noteLoad(diags diag.List) {
	e.status.Tried = now()
	e.status.OK = !diags.HasErrors()
	e.status.Problems = rollout.Problems(diags)
	e.problems = diags
}

// hostFor returns a plugin host for the settings: the one there is, if nothing
// that matters to it has changed.
func (e *Engine) hostFor(s config.Settings, plugins []config.Plugin) (pluginHost, string, error) {
	o, err := e.hostOptions(s, plugins)
	if err != nil {
		return nil, "", err
	}
	key := digest.Of(o.dataDir, o.dirs, o.plugins)
	e.mu.Lock()
	for _, c := range []*candidate{e.running, e.read} {
		if c != nil && c.host != nil && c.key == key {
			e.mu.Unlock()
			return c.host, key, nil
		}
	}
	e.mu.Unlock()
	opened, err := e.opts.newHost(o)
	if err != nil {
		return nil, "", fmt.Errorf("plugins: %w", err)
	}
	return opened, key, nil
}

// hostOptions says where plugins are looked for: in the directories of the
// command line, of the configuration, and beside this program.
func (e *Engine) hostOptions(s config.Settings, plugins []config.Plugin) (hostOptions, error) {
	dirs := slices.Clone(e.opts.PluginDirs)
	if s.PluginDir != "" {
		dirs = append(dirs, s.PluginDir)
	}
	beside, err := programDir()
	if err != nil {
		return hostOptions{}, err
	}
	return hostOptions{
		dirs: append(dirs, beside), plugins: declarations(plugins),
		dev: maps.Clone(e.opts.DevPlugins), lockFile: e.opts.LockFile, dataDir: e.dataDirOf(s),
		services: func(c pluginhost.Caller) host.Services { return &services{engine: e, caller: c} },
		log:      e.log,
	}, nil
}

func (e *Engine) dataDirOf(s config.Settings) string {
	if e.opts.DataDir == "" {
		return s.DataDir
	}
	dir, err := filepath.Abs(e.opts.DataDir)
	if err != nil {
		return e.opts.DataDir // no working directory: opening it will tell
	}
	return dir
}

func closeHost(ctx context.Context, h pluginHost) diag.List {
	if h == nil {
		return nil
	}
	if err := h.Close(ctx); err != nil {
		return diag.List{diag.Warningf(nil, "stopping the plugins of the previous configuration: %v", err)}
	}
	return nil
}

// brokenHost reports at each block why there is no plugin host.
type brokenHost struct{ err error }

func (b brokenHost) Schema(string, string) (*schema.Schema, string, error) { return nil, "", b.err }

// programDir is the directory of the running program: its plugins are found
// beside it.
func programDir() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("where this program is: %w", err)
	}
	if exe, err = filepath.EvalSymlinks(exe); err != nil {
		return "", fmt.Errorf("where this program is: %w", err)
	}
	return filepath.Dir(exe), nil
}
