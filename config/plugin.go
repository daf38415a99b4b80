package config

import (
	"encoding/json"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// PluginConfig is the plugin-owned part of a block, decoded against the
// plugin's schema.
type PluginConfig struct {
	Kind string // "source", "applier", "registry_credential", "renderer"
	Type string // "git"

	// JSON is what the plugin gets, defaults included. It may hold secrets:
	// marshal the PluginConfig itself to show it. Equal configurations have
	// equal bytes. It is nil where the schema is not known.
	JSON json.RawMessage

	// Secrets holds the sensitive strings in JSON, for scrubbing.
	Secrets []string

	display json.RawMessage
	root    *place
}

// MarshalJSON shows the configuration to people, with secrets redacted.
func (p PluginConfig) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind   string          `json:"kind"`
		Type   string          `json:"type"`
		Config json.RawMessage `json:"config,omitempty"`
	}{p.Kind, p.Type, p.display})
}

// String names the kind and type. It keeps %v from printing secrets.
func (p PluginConfig) String() string { return p.Kind + "/" + p.Type }

// GoString keeps %#v from printing secrets.
func (p PluginConfig) GoString() string { return "config.PluginConfig(" + p.String() + ")" }

// Locate returns the place of the deepest part of path that stands in the
// file; the block's header if none does.
func (p PluginConfig) Locate(path diag.Path) diag.Range {
	if p.root == nil {
		return diag.Range{}
	}
	return p.root.find(path)
}
