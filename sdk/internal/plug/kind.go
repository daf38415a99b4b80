// Package plug holds what the public packages of the SDK share and must not
// import from each other: the description of a kind, the environment of an
// instance, and the errors that tell the host when to try again.
package plug

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// Names of the kinds, as they stand on the wire.
const (
	Source   = "source"
	Applier  = "applier"
	Registry = "registry_credential"
	Helm     = "helm"
	Renderer = "renderer"
)

// Kind pairs a type name, for example "git", with the function that opens an
// instance of it. It is made by source.New, applier.New, registry.New,
// renderer.New and helm.New.
type Kind struct{ spec Spec }

// Spec is the content of a Kind.
type Spec struct {
	Kind   string
	Type   string
	Doc    string
	Schema *schema.Schema
	// Err is a mistake in the declaration; the plugin does not start.
	Err error
	// Validate checks a configuration without opening anything.
	Validate func(config json.RawMessage) diag.List
	// Open makes an instance. The list may hold warnings also without error.
	Open func(ctx context.Context, config json.RawMessage, env Env) (any, diag.List, error)
	// Capabilities tells what an instance can do beyond its kind.
	Capabilities func(instance any) []string
	// Sure is what every instance can do, so far as its static type tells.
	Sure []string
}

// SpecOf opens a Kind.
func SpecOf(k Kind) Spec { return k.spec }

// Env is what an instance gets from the host.
type Env struct {
	// Log goes to the host, at the level that the user has set.
	Log hclog.Logger
	// Dir is a directory for this instance's cache. It outlives the process;
	// the host may wipe it while the instance is not open. It is empty if the
	// host offers none.
	Dir string
	// Name is the instance's address in the configuration, "source.git.shop".
	Name string
	// Host is what the host does for the instance. Never nil.
	Host host.Services
}

// Option changes a Kind that is being made.
type Option func(*Spec)

// Capability is something that an instance may be able to do beyond its kind.
type Capability struct {
	Name string
	Has  func(instance any) bool
}

// NewKind builds a Kind whose configuration is C and whose instances are S,
// either the interface of the kind or a type that implements it. If it is the
// latter, Describe can tell the capabilities in advance.
func NewKind[C, S any](kind, typ string, all []Capability, open func(context.Context, C, Env) (S, error), opts []Option) Kind {
	s, err := schema.Of[C]()
	if err != nil {
		err = fmt.Errorf("%s/%s: %w", kind, typ, err)
	}
	capabilities := func(instance any) []string {
		var has []string
		for _, c := range all {
			if c.Has(instance) {
				has = append(has, c.Name)
			}
		}
		return has
	}
	var zero S // a typed nil of a concrete S has its method set
	spec := Spec{
		Kind: kind, Type: typ, Schema: s, Err: err,
		Capabilities: capabilities,
		Sure:         capabilities(zero),
		Validate:     func(config json.RawMessage) diag.List { return schema.Decode(config, new(C)) },
		Open: func(ctx context.Context, config json.RawMessage, env Env) (any, diag.List, error) {
			var c C
			warnings := schema.Decode(config, &c)
			if err := warnings.Err(); err != nil {
				return nil, nil, err
			}
			instance, err := open(ctx, c, env)
			if err != nil {
				return nil, warnings, err
			}
			if any(instance) == nil {
				return nil, warnings, fmt.Errorf("%s/%s: open returned neither an instance nor an error", kind, typ)
			}
			return instance, warnings, nil
		},
	}
	for _, o := range opts {
		o(&spec)
	}
	return Kind{spec}
}
