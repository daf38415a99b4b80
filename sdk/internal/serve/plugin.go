package serve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// pluginServer manages instances.
type pluginServer struct {
	pb.UnimplementedPluginServer
	server *Server
}

func (p *pluginServer) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	resp, err := wire.DescriptionToProto(p.server.description)
	return resp, wire.ErrorToStatus(err)
}

func (p *pluginServer) Open(ctx context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	resp, err := p.open(ctx, req)
	return resp, wire.ErrorToStatus(err)
}

func (p *pluginServer) open(ctx context.Context, req *pb.OpenRequest) (*pb.OpenResponse, error) {
	s := p.server
	spec, ok := s.kinds[kindKey{req.GetKind(), req.GetType()}]
	if !ok {
		return nil, s.unknownType(req.GetKind(), req.GetType())
	}
	log, err := s.logger(req)
	if err != nil {
		return nil, err
	}
	value, warnings, err := spec.Open(ctx, req.GetConfigJson(), plug.Env{
		Log:  log,
		Dir:  req.GetDir(),
		Name: req.GetName(),
		Host: s.hostServices(req),
	})
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // nobody would learn the id
		return nil, fmt.Errorf("open took too long: %w", joinClose(ctx.Err(), value))
	}
	return &pb.OpenResponse{
		Instance:     s.instances.add(req.GetName(), value),
		Capabilities: spec.Capabilities(value),
		Diagnostics:  wire.DiagnosticsToProto(warningsOnly(warnings)),
	}, nil
}

func (p *pluginServer) Close(ctx context.Context, req *pb.CloseRequest) (*pb.CloseResponse, error) {
	if err := p.server.instances.close(ctx, req.GetInstance()); err != nil {
		return nil, wire.ErrorToStatus(err)
	}
	return &pb.CloseResponse{}, nil
}

// checker is sdk.Checker.
type checker interface {
	Check(ctx context.Context) error
}

func (p *pluginServer) Check(ctx context.Context, req *pb.CheckRequest) (*pb.CheckResponse, error) {
	if req.GetInstance() == "" {
		return &pb.CheckResponse{}, nil
	}
	return unary(ctx, p.server.instances, req, func(ctx context.Context, value any) (*pb.CheckResponse, error) {
		if c, ok := value.(checker); ok {
			return &pb.CheckResponse{}, c.Check(ctx)
		}
		return &pb.CheckResponse{}, nil
	})
}

// logger makes the logger of an instance, with a level of its own.
func (s *Server) logger(req *pb.OpenRequest) (hclog.Logger, error) {
	level := hclog.Info
	if text := req.GetLogLevel(); text != "" {
		if level = hclog.LevelFromString(text); level == hclog.NoLevel {
			return nil, plug.Permanent(fmt.Errorf("unknown log level %q", text))
		}
	}
	log := s.options.Log.Named(req.GetName())
	log.SetLevel(level)
	return log, nil
}

func (s *Server) unknownType(kind, typ string) error {
	return plug.Permanent(fmt.Errorf("the plugin %s does not offer %s/%s; it offers %s", s.description.Name, kind, typ, s.offers()))
}

func (s *Server) offers() string {
	var all []string
	for _, k := range s.description.Kinds {
		all = append(all, k.Kind+"/"+k.Type)
	}
	return strings.Join(all, ", ")
}

func warningsOnly(l diag.List) diag.List {
	return slices.DeleteFunc(slices.Clone(l), func(d diag.Diagnostic) bool { return d.Severity != diag.Warning })
}

// joinClose closes value and returns err, with what went wrong in addition.
func joinClose(err error, value any) error {
	if closeErr := closeValue(value); closeErr != nil {
		return fmt.Errorf("%w (and closing it failed: %w)", err, closeErr)
	}
	return err
}
