// Package config is the language: HCL text in, typed declarations and
// diagnostics out.
//
// Load reads one file, several, or a directory, and reports every mistake that
// can be found without running anything, each with its place. What the host
// owns (intervals, references, paths) is decoded into the structs of this
// package; what a plugin owns is decoded against the plugin's schema and kept
// as JSON, with the ranges that turn a problem the plugin reports by attribute
// path into a place in the user's file.
//
// The package starts no goroutines and no plugins, and opens no connections; what
// it must know of plugins it asks Options.Schemas.
// A Config is immutable after Load and may be shared.
package config

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Options are the inputs of Load besides the files.
type Options struct {
	// Variables holds values for declared variables, by name. They win over
	// the environment (SLUICE_VAR_name), which wins over defaults.
	Variables map[string]string

	// Env looks up an environment variable; usually os.LookupEnv. Nil means
	// an empty environment.
	Env func(name string) (string, bool)

	// Schemas is called once, after the settings and plugin blocks are known
	// and before any block of a plugin is decoded. If Schemas or what it
	// returns is nil, plugin-owned arguments are not checked, and each
	// PluginConfig has no JSON.
	Schemas func(Settings, []Plugin) SchemaSource
}

// ErrNoPlugin is what a SchemaSource says if nobody has the schema.
var ErrNoPlugin = errors.New("no such plugin")

// SchemaSource finds the schema of a kind and type, such as "source" and
// "git". The string names who declares it, such as "plugin git 1.4.2", for
// diagnostics. The text of an error becomes a diagnostic on the block's type
// label; it should say what was looked for and where. It is ErrNoPlugin if there
// is no such plugin, rather than one that cannot be used.
type SchemaSource interface {
	Schema(kind, typ string) (*schema.Schema, string, error)
}

// Validator is a SchemaSource that can ask the plugins to check what their
// schemas cannot say. configs are of one kind and type; the lists are in their
// order, and each problem is at its attribute path. If it fails, Load warns
// that those configurations were not checked.
type Validator interface {
	Validate(kind, typ string, configs []json.RawMessage) ([]diag.List, error)
}

// Config is a whole configuration. Each slice is in the order of the files and
// of the blocks in them; instances of a for_each are in the order of their keys.
type Config struct {
	Settings    Settings
	Repository  *Repository // nil: nobody says where the files come from
	Plugins     []Plugin
	Sources     []Source
	Appliers    []Applier
	Syncs       []Sync
	Credentials []Credential
	Images      Images
	Registries  []Registry
	Renderers   []Renderer
	Helms       []Helm // those without a block come last
	Releases    []Release
	Mirrors     []Mirror

	ImagePolicies    []ImagePolicy
	ImageAutomations []ImageAutomation
	ImageKinds       []ImageKind

	// Files holds the text of each configuration file, by the name that
	// diagnostics use, for Render. Literal secrets in it are masked.
	Files map[string][]byte

	read map[string]struct{}          // files and directories that went into this Config
	sums map[string][sha256.Size]byte // of the files as they were read, by name
}

// Paths returns every file and directory that went into c, those read with
// file() included, sorted. A change in one of them calls for another Load.
func (c *Config) Paths() []string { return slices.Sorted(maps.Keys(c.read)) }

// Settings is the sluice block, with its defaults. Of files that cannot be read
// or parsed it tells what they do tell, and the defaults for the rest.
type Settings struct {
	DataDir   string // absolute
	PluginDir string // absolute; "" if not set
	LogLevel  string // "debug", "info", "warn" or "error"
	API       API
}

// API says where the daemon listens.
type API struct {
	Listen string // "unix:///absolute/path"
}

// Plugin is a plugin block: how one plugin binary is run.
type Plugin struct {
	Name     string
	Path     string                   // absolute path of the binary; "" to search for it
	Env      map[string]secret.Secret // added to the plugin's environment
	Secrets  []string                 `json:"-"` // the sensitive ones of Env, for scrubbing
	IdleStop time.Duration            // 0: not set
	Range    diag.Range
}

// Block is what every named declaration has.
type Block struct {
	Address string     // source.git.shop, sync.shop, sync.app["a"]
	Type    string     // plugin type, such as "git"; "" without a plugin
	Name    string     // shop, or app["a"] for an instance of a for_each
	Range   diag.Range // of the block's header
}

// Source is one source block, or one instance of it.
type Source struct {
	Block
	Interval time.Duration // between two polls
	Timeout  time.Duration // of one resolve or fetch
	Suspend  bool
	Plugin   PluginConfig
}

// Applier is one applier block, or one instance of it.
type Applier struct {
	Block
	Plugin PluginConfig
}

// Renderer is one renderer block, or one instance of it: what makes manifests
// out of a source's files.
type Renderer struct {
	Block
	Timeout time.Duration // of rendering, or of editing, a sync's files once
	Plugin  PluginConfig
}

// Credential is one registry_credential block, or one instance of it.
type Credential struct {
	Block
	Match  []Pattern // nil: the default of the type
	Plugin PluginConfig
}

// Pattern is a pattern of images or tags, and where it stands.
type Pattern struct {
	Text  string
	Range diag.Range
}

// Sync is one sync block, or one instance of it.
type Sync struct {
	Block
	Source    string   // address of a source
	Applier   string   // address of an applier
	Renderer  string   // address of a renderer; "" for plain manifests
	Paths     []string // slash-separated, relative to the tree's root, clean; at least "."
	DependsOn []string // addresses of syncs and releases, each once
	Interval  time.Duration
	Timeout   time.Duration
	Suspend   bool
	Adopt     bool // take over objects that another tool or sync owns
	Recreate  bool // delete and create where an immutable field changed
	Prune     Prune
	Wait      *Wait   // nil: do not wait
	Marker    *Marker // nil: none
}

// Prune says whether and how much a sync may delete.
type Prune struct {
	Enabled bool
	Max     Budget
	Kinds   []string // protected kinds that may be pruned all the same, such as "Namespace"
}

// Budget bounds what one prune deletes without an approval.
type Budget struct {
	Count   int     // objects
	Percent float64 // of the objects that the sync owns, 0 to 100
}

// DefaultBudget stops a prune of more than 20 % and more than 10 objects.
var DefaultBudget = Budget{Count: 10, Percent: 20}

// Exceeded reports whether deleting n of total objects is over the budget:
// over its count and over its percentage.
func (b Budget) Exceeded(n, total int) bool {
	return n > b.Count && float64(n)*100 > b.Percent*float64(total)
}

// String formats the budget for people: "10 objects", "20%".
func (b Budget) String() string {
	switch {
	case b.Percent == 0:
		return fmt.Sprintf("%d objects", b.Count)
	case b.Count == 0:
		return fmt.Sprintf("%g%%", b.Percent)
	}
	return fmt.Sprintf("%g%% and %d objects", b.Percent, b.Count)
}

// Wait says how long to wait until the applied objects are ready.
type Wait struct {
	Timeout time.Duration
}
