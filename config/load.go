package config

import (
	"crypto/sha256"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Load reads the files and directories in paths, in order, as one
// configuration. Of a directory it reads the *.hcl files, sorted by name, and
// not those of directories inside it.
//
// It returns everything that could be decoded together with every problem
// found; the Config is never nil, and incomplete if the list has errors.
func Load(paths []string, o Options) (*Config, diag.List) {
	l := newLoader(o)
	inputs, ok := readInputs(paths, &l.report, l.cfg.read)
	for _, in := range inputs {
		l.cfg.Files[in.name], l.cfg.sums[in.name] = in.src, sha256.Sum256(in.src)
	}
	if !ok {
		// What a broken file declares is not known, so that every reference
		// into it would look wrong.
		l.cfg.Settings = salvageSettings(inputs, o)
		return l.cfg, l.finish()
	}
	l.declare(inputs)
	l.markUses(inputs)
	l.loadVariables()
	l.loadHostBlocks()
	l.loadLocals()
	l.loadDecls()
	l.askPlugins()
	l.checkDependencies()
	l.checkAutomations()
	if !l.list.HasErrors() {
		// With errors, much looks unused that is not.
		l.checkUnused()
	}
	l.maskSecrets(inputs)
	return l.cfg, l.finish()
}

// salvageSettings returns the settings as far as broken files tell them, with
// the defaults for the rest: they lead to the daemon, which runs on with its
// last good configuration and is the one to ask.
func salvageSettings(inputs []input, o Options) Settings {
	o.Schemas = nil
	l := newLoader(o)
	l.declare(slices.DeleteFunc(slices.Clone(inputs), func(in input) bool { return in.body == nil }))
	l.loadVariables()
	l.loadHostBlocks()
	return l.cfg.Settings
}

// loader is the state of one Load.
type loader struct {
	report
	options Options
	cfg     *Config
	schemas SchemaSource

	declared   map[string]hcl.Range // where each name was declared first
	hostBlocks []*hclsyntax.Block   // sluice, plugin, variable, images, registry and mirror blocks
	decls      []*decl
	claims     map[string]claim // of what only one block may have
	byAddress  map[string]*decl
	instances  map[string]*instance // of those that are expanded, by address
	variables  map[string]*variable
	locals     map[string]*local

	used       map[string]bool                         // addresses that something mentions; "var" and "local" mean all
	evaluating []string                                // what waits for the value being evaluated, outermost first
	functions  map[string]map[string]function.Function // by directory
	masked     []hcl.Range                             // literal secrets in the files
	noSchema   map[string]bool                         // kind/type pairs without a schema, reported already
	plugged    []PluginConfig                          // that fit their schemas
}

func newLoader(o Options) *loader {
	if o.Env == nil {
		o.Env = func(string) (string, bool) { return "", false }
	}
	return &loader{
		options:   o,
		cfg:       &Config{Files: map[string][]byte{}, read: map[string]struct{}{}, sums: map[string][sha256.Size]byte{}},
		declared:  map[string]hcl.Range{},
		claims:    map[string]claim{},
		byAddress: map[string]*decl{},
		instances: map[string]*instance{},
		variables: map[string]*variable{},
		locals:    map[string]*local{},
		functions: map[string]map[string]function.Function{},
		noSchema:  map[string]bool{},
		used:      map[string]bool{},
	}
}

// absolute makes path, as written in the file of at, absolute. A leading ~/ is
// the home directory.
func (l *loader) absolute(path string, at hcl.Range) (string, error) {
	if rest, ok := cutHome(path); ok {
		if home, set := l.options.Env("HOME"); set && home != "" {
			return filepath.Join(home, rest), nil
		}
	}
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	return filepath.Abs(filepath.Join(filepath.Dir(at.Filename), path))
}

func cutHome(path string) (string, bool) {
	if len(path) >= 2 && path[0] == '~' && path[1] == '/' {
		return path[2:], true
	}
	return "", false
}
