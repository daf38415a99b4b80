// Package serve is the plugin's side of the protocol: it offers the kinds of a
// plugin as gRPC services, keeps their open instances, and runs the process
// around them. Server knows nothing of processes, so that tests and harnesses
// use it over any connection; Main is what a plugin's binary runs.
package serve

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/handshake"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// Plugin is what a binary offers.
type Plugin struct {
	Name    string
	Version string
	Kinds   []plug.Kind
}

// Options of a Server.
type Options struct {
	// Log is the logger from which those of the instances are derived.
	Log hclog.Logger
	// Host returns the connection to the host's services, once there is one.
	// Nil: there will be none.
	Host func(ctx context.Context) (grpc.ClientConnInterface, error)
}

// Server serves one plugin. It is safe for concurrent use.
type Server struct {
	description plug.Description
	kinds       map[kindKey]plug.Spec
	instances   *instances
	options     Options
}

type kindKey struct{ kind, typ string }

var (
	validName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	validType = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
)

// New checks the declaration of the plugin. The error names every mistake in
// it.
func New(p Plugin, o Options) (*Server, error) {
	s := &Server{
		description: plug.Description{
			Name:     p.Name,
			Version:  p.Version,
			SDK:      sdkVersion(),
			Protocol: plug.Protocol,
		},
		kinds:     map[kindKey]plug.Spec{},
		instances: newInstances(),
		options:   o,
	}
	var errs []error
	if !validName.MatchString(p.Name) {
		errs = append(errs, fmt.Errorf("the plugin's name %q is not valid; use lower case letters, digits, _ and -", p.Name))
	}
	if len(p.Kinds) == 0 {
		errs = append(errs, errors.New("the plugin offers no kinds"))
	}
	for _, k := range p.Kinds {
		errs = append(errs, s.add(plug.SpecOf(k)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) add(spec plug.Spec) error {
	key := kindKey{spec.Kind, spec.Type}
	_, dup := s.kinds[key]
	switch {
	case spec.Open == nil:
		return errors.New("a kind is the zero value; make it with source.New, applier.New, registry.New, renderer.New or helm.New")
	case spec.Err != nil:
		return spec.Err
	case !validType.MatchString(spec.Type):
		return fmt.Errorf("the type %q of a %s is not valid; use lower case letters, digits and _", spec.Type, spec.Kind)
	case dup:
		return fmt.Errorf("%s/%s is offered twice", spec.Kind, spec.Type)
	}
	s.kinds[key] = spec
	s.description.Kinds = append(s.description.Kinds, plug.KindDescription{
		Kind:         spec.Kind,
		Type:         spec.Type,
		Doc:          spec.Doc,
		Schema:       spec.Schema,
		Capabilities: spec.Sure,
	})
	return nil
}

// Describe tells what the plugin offers.
func (s *Server) Describe() plug.Description { return s.description }

// Register adds the plugin's services to g, which should have been made with
// ServerOptions.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	pb.RegisterPluginServer(g, &pluginServer{server: s})
	pb.RegisterSourceServer(g, &sourceServer{instances: s.instances})
	pb.RegisterApplierServer(g, &applierServer{instances: s.instances})
	pb.RegisterRegistryServer(g, &registryServer{instances: s.instances})
	pb.RegisterRendererServer(g, &rendererServer{instances: s.instances})
	pb.RegisterHelmServer(g, &helmServer{instances: s.instances})
}

// ServerOptions limits messages and keeps a panic of one call from ending the
// others.
func (s *Server) ServerOptions() []grpc.ServerOption {
	return append(handshake.ServerOptions(),
		grpc.ChainUnaryInterceptor(s.recoverUnary),
		grpc.ChainStreamInterceptor(s.recoverStream),
	)
}

// Close closes all instances, in the reverse of the order in which they were
// opened, until ctx ends.
func (s *Server) Close(ctx context.Context) error { return s.instances.closeAll(ctx) }

func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if r := recover(); r != nil {
			resp, err = nil, s.panicked(info.FullMethod, r)
		}
	}()
	return handle(ctx, req)
}

func (s *Server) recoverStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.panicked(info.FullMethod, r)
		}
	}()
	return handle(srv, stream)
}

// panicked logs the stack and makes the error that the host sees.
func (s *Server) panicked(method string, r any) error {
	s.options.Log.Error("panic in the plugin's code", "method", method, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	return wire.ErrorToStatus(fmt.Errorf("%w: %v", wire.ErrPanic, r))
}

// sdkVersion names this module's version in the binary, for people.
func sdkVersion() string {
	const module = "github.com/sluice-gitops/sluice/sdk"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "go"
	}
	for _, dep := range info.Deps {
		if dep.Path == module {
			return "go " + dep.Version
		}
	}
	return "go (devel)"
}
