package plug

import "github.com/sluice-gitops/sluice/sdk/schema"

// Protocol is the minor version of the wire protocol that this SDK speaks. It
// grows when a message or call is added; the major version is that of the
// handshake.
const Protocol = 4

// Description is what a plugin says about itself.
type Description struct {
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	SDK      string            `json:"sdk"`      // what it was built with, for people
	Protocol int               `json:"protocol"` // minor version of the wire protocol
	Kinds    []KindDescription `json:"kinds"`
}

// KindDescription is one kind and type that a plugin offers.
type KindDescription struct {
	Kind         string         `json:"kind"` // source, applier, registry_credential, renderer, helm
	Type         string         `json:"type"`
	Doc          string         `json:"doc,omitempty"`
	Schema       *schema.Schema `json:"schema"`
	Capabilities []string       `json:"capabilities,omitempty"` // of every instance; one may have more
}
