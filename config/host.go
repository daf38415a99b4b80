package config

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

const (
	systemDataDir = "/var/lib/sluice"

	// maxSocketPath is what a unix socket address holds on every system, less
	// what the daemon appends to it while it takes the socket over.
	maxSocketPath = 90
)

var (
	settingsSchema = schema.Schema{
		Attributes: []schema.Attribute{{Name: "data_dir"}, {Name: "plugin_dir"}, {Name: "log_level"}},
		Blocks: []schema.Block{
			{Name: "api", Nesting: schema.Single, Body: apiSchema},
			{Name: "repository", Nesting: schema.Single, Body: repositorySchema},
		},
	}
	apiSchema        = schema.Schema{Attributes: []schema.Attribute{{Name: "listen"}}}
	repositorySchema = schema.Schema{Attributes: []schema.Attribute{{Name: "source", Required: true}, {Name: "path"}}}
	pluginSchema     = schema.Schema{Attributes: []schema.Attribute{{Name: "path"}, {Name: "env"}, {Name: "idle_stop"}}}
)

// loadHostBlocks decodes the settings and the plugin blocks, and then asks for
// the schemas, which may depend on them.
func (l *loader) loadHostBlocks() {
	l.validateVariables()
	settings := &arguments{l: l}
	for _, b := range l.hostBlocks {
		switch b.Type {
		case "sluice":
			settings = l.arguments(b, settingsSchema, scope{})
		case "plugin":
			l.loadPlugin(b)
		}
	}
	l.loadSettings(settings)
	l.cfg.Repository = settings.configRepository()
	l.loadImageBlocks()
	if l.options.Schemas != nil {
		l.schemas = l.options.Schemas(l.cfg.Settings, l.cfg.Plugins)
	}
}

func (l *loader) loadImageBlocks() {
	images := &arguments{l: l}
	for _, b := range l.hostBlocks {
		switch b.Type {
		case "images":
			images = l.arguments(b, imagesSchema, scope{})
		case "registry":
			l.loadRegistry(b)
		case "mirror":
			l.loadMirror(b)
		}
	}
	l.loadImages(images)
}

func (l *loader) loadSettings(a *arguments) {
	s := &l.cfg.Settings
	s.DataDir = a.path("data_dir")
	if s.DataDir == "" {
		s.DataDir = l.defaultDataDir()
	}
	s.PluginDir = a.path("plugin_dir")
	s.LogLevel = a.oneOf("log_level", "info", "debug", "info", "warn", "error")
	s.API.Listen = "unix://" + filepath.Join(s.DataDir, "api.sock")
	if api := a.block("api", apiSchema); api != nil {
		s.API.Listen = api.listen("listen", s.API.Listen)
	}
}

// defaultDataDir is where a user's programs keep their state, or the system's
// directory for a process without a home.
func (l *loader) defaultDataDir() string {
	if dir, ok := l.options.Env("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "sluice")
	}
	if home, ok := l.options.Env("HOME"); ok && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "sluice")
	}
	return systemDataDir
}

// listen returns the address of a unix socket.
func (a *arguments) listen(name, def string) string {
	s := a.string(name, def)
	path, ok := strings.CutPrefix(s, "unix://")
	switch {
	case !ok:
		a.l.errorf(a.at(name), "Wrong address", "The API listens on a unix socket: write \"unix:///run/sluice/api.sock\".")
		return def
	case !filepath.IsAbs(path):
		a.l.errorf(a.at(name), "Wrong address", "The path of a socket is absolute, with three slashes: \"unix:///run/sluice/api.sock\".")
		return def
	case len(path) > maxSocketPath:
		a.l.errorf(a.at(name), "Wrong address", "The path of a socket has at most %d bytes; this one has %d.", maxSocketPath, len(path))
		return def
	}
	return s
}

func (l *loader) loadPlugin(b *hclsyntax.Block) {
	a := l.arguments(b, pluginSchema, scope{})
	p := Plugin{
		Name:     b.Labels[0],
		Path:     a.path("path"),
		IdleStop: a.duration("idle_stop", 0, time.Second),
		Range:    toRange(b.DefRange()),
	}
	p.Env, p.Secrets = a.environment("env")
	l.cfg.Plugins = append(l.cfg.Plugins, p)
}

// environment returns a map of environment variables, and those of its values
// that are sensitive.
func (a *arguments) environment(name string) (env map[string]secret.Secret, secrets []string) {
	v, at, ok := a.value(name, cty.Map(cty.String))
	if !ok {
		return nil, nil
	}
	v, marks := v.Unmark()
	env = map[string]secret.Secret{}
	for it := v.ElementIterator(); it.Next(); {
		key, elem := it.Element()
		hide := len(marks) > 0 || elem.IsMarked()
		elem, _ = elem.Unmark()
		switch {
		case key.AsString() == "" || strings.ContainsAny(key.AsString(), "=\x00"):
			a.l.errorf(at, "Wrong environment", "%q is no name of an environment variable.", key.AsString())
			continue
		case elem.IsNull() || strings.Contains(elem.AsString(), "\x00"):
			a.l.errorf(at, "Wrong environment", "The value of %s is null or holds a zero byte.", key.AsString())
			continue
		}
		env[key.AsString()] = secret.New(elem.AsString())
		if hide {
			secrets = append(secrets, elem.AsString())
		}
	}
	return env, secrets
}
