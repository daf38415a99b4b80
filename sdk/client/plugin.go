package client

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// Description is what a plugin says about itself, and the JSON that `BINARY
// describe` prints.
type Description = plug.Description

// KindDescription is one kind and type that a plugin offers.
type KindDescription = plug.KindDescription

// The names of the kinds.
const (
	KindSource   = plug.Source
	KindApplier  = plug.Applier
	KindRegistry = plug.Registry
	KindRenderer = plug.Renderer
	KindHelm     = plug.Helm
)

// Time limits of the calls that manage instances.
const (
	describeTimeout = 2 * time.Second
	openTimeout     = 30 * time.Second
	closeTimeout    = 10 * time.Second
	checkTimeout    = 10 * time.Second
)

// Plugin is one plugin process. Its methods may be called at the same time
// from several goroutines. Each has a time limit of its own, in addition to
// that of ctx.
type Plugin struct{ rpc pb.PluginClient }

// NewPlugin uses the connection to a plugin process.
func NewPlugin(conn grpc.ClientConnInterface) *Plugin {
	return &Plugin{rpc: pb.NewPluginClient(conn)}
}

// Describe asks what the plugin offers.
func (p *Plugin) Describe(ctx context.Context) (Description, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	resp, err := p.rpc.Describe(ctx, &pb.DescribeRequest{})
	if err != nil {
		return Description{}, wire.ErrorFromStatus(err)
	}
	return wire.DescriptionFromProto(resp)
}

// OpenRequest says what to open.
type OpenRequest struct {
	Kind         string
	Type         string
	Name         string          // address in the configuration, "source.git.shop"
	Config       json.RawMessage // an object that fits the schema; empty: {}
	Dir          string          // cache directory of this name, existing; empty: none
	LogLevel     string          // trace, debug, info, warn or error; empty: info
	HostServices bool            // the host serves them, see handshake.HostSet
}

// Opened is an open instance.
type Opened struct {
	Instance     string   // its id in this process
	Capabilities []string // such as source.CanWatch; unknown ones are to be ignored
}

// Open makes an instance. The list holds warnings, and, if the error carries
// diagnostics because the configuration is wrong, those.
func (p *Plugin) Open(ctx context.Context, req OpenRequest) (Opened, diag.List, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	resp, err := p.rpc.Open(ctx, &pb.OpenRequest{
		Kind:         req.Kind,
		Type:         req.Type,
		Name:         req.Name,
		ConfigJson:   req.Config,
		Dir:          req.Dir,
		LogLevel:     req.LogLevel,
		HostServices: req.HostServices,
	})
	if err != nil {
		err = wire.ErrorFromStatus(err)
		problems, _ := diag.From(err)
		return Opened{}, problems, err
	}
	warnings, err := wire.DiagnosticsFromProto(resp.GetDiagnostics())
	if err != nil {
		return Opened{}, nil, err
	}
	if resp.GetInstance() == "" {
		return Opened{}, nil, errors.New("the plugin opened an instance without an id")
	}
	return Opened{Instance: resp.GetInstance(), Capabilities: resp.GetCapabilities()}, warnings, nil
}

// Close cancels what runs on the instance, waits for it, and frees it.
func (p *Plugin) Close(ctx context.Context, instance string) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	_, err := p.rpc.Close(ctx, &pb.CloseRequest{Instance: instance})
	return wire.ErrorFromStatus(err)
}

// Check tells whether the plugin lives and, unless instance is empty, whether
// that instance can do its work.
func (p *Plugin) Check(ctx context.Context, instance string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	_, err := p.rpc.Check(ctx, &pb.CheckRequest{Instance: instance})
	return wire.ErrorFromStatus(err)
}
