package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Source is an instance of the kind "source".
type Source struct{ caller Caller }

var _ interface {
	source.Source
	source.Watcher
	source.Logger
	source.Committer
	source.Brancher
	source.Marker
	source.Verifier
	source.Identifier
} = (*Source)(nil)

// NewSource uses c to call the instance.
func NewSource(c Caller) *Source { return &Source{c} }

// Resolve implements source.Source.
func (s *Source) Resolve(ctx context.Context, previous source.Revision) (source.Revision, error) {
	m := Method{Name: "source.Resolve", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, s.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.ResolveResponse, error) {
		return pb.NewSourceClient(conn).Resolve(ctx, &pb.ResolveRequest{Instance: instance, Previous: wire.RevisionToProto(previous)})
	})
	return revision(resp.GetRevision(), err)
}

// Fetch implements source.Source. Before it repeats a failed attempt it
// empties dir.
func (s *Source) Fetch(ctx context.Context, rev source.Revision, dir string) error {
	m := Method{Name: "source.Fetch", Idempotent: true, Timeout: 10 * time.Minute}
	attempts := 0
	_, err := unary(ctx, s.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.FetchResponse, error) {
		if attempts++; attempts > 1 {
			if err := empty(dir); err != nil {
				return nil, fmt.Errorf("empty the directory for another attempt: %w", err)
			}
		}
		return pb.NewSourceClient(conn).Fetch(ctx, &pb.FetchRequest{Instance: instance, Revision: wire.RevisionToProto(rev), Dir: dir})
	})
	return err
}

// Watch implements source.Watcher.
func (s *Source) Watch(ctx context.Context, emit func(source.Revision)) error {
	return stream(ctx, s.caller, Method{Name: "source.Watch"},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.SourceWatchResponse], error) {
			return pb.NewSourceClient(conn).Watch(ctx, &pb.SourceWatchRequest{Instance: instance})
		},
		func(msg *pb.SourceWatchResponse) (bool, error) {
			if e, ok := msg.GetEvent().(*pb.SourceWatchResponse_Revision); ok {
				rev, err := revision(e.Revision, nil)
				if err != nil {
					return false, err
				}
				emit(rev)
			}
			return msg.GetResult() != nil, nil
		})
}

// Log implements source.Logger.
func (s *Source) Log(ctx context.Context, from, to source.Revision, emit func(source.Entry)) error {
	return stream(ctx, s.caller, Method{Name: "source.Log", Timeout: 10 * time.Minute},
		func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[pb.LogResponse], error) {
			return pb.NewSourceClient(conn).Log(ctx, &pb.LogRequest{
				Instance: instance,
				From:     wire.RevisionToProto(from),
				To:       wire.RevisionToProto(to),
			})
		},
		func(msg *pb.LogResponse) (bool, error) {
			if e, ok := msg.GetEvent().(*pb.LogResponse_Entry); ok {
				emit(wire.EntryFromProto(e.Entry))
			}
			return msg.GetResult() != nil, nil
		})
}

// Commit implements source.Committer.
func (s *Source) Commit(ctx context.Context, c source.Change) (source.Revision, error) {
	m := Method{Name: "source.Commit", Timeout: 10 * time.Minute}
	resp, err := unary(ctx, s.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.CommitResponse, error) {
		req := wire.ChangeToProto(c)
		req.Instance = instance
		return pb.NewSourceClient(conn).Commit(ctx, req)
	})
	return revision(resp.GetRevision(), err)
}

// Branch implements source.Brancher.
func (s *Source) Branch(ctx context.Context, name string) (source.Revision, error) {
	m := Method{Name: "source.Branch", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, s.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.BranchResponse, error) {
		return pb.NewSourceClient(conn).Branch(ctx, &pb.BranchRequest{Instance: instance, Name: name})
	})
	return revision(resp.GetRevision(), err)
}

// Mark implements source.Marker.
func (s *Source) Mark(ctx context.Context, name string, rev source.Revision, message string) error {
	m := Method{Name: "source.Mark", Idempotent: true, Timeout: 2 * time.Minute}
	_, err := unary(ctx, s.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.MarkResponse, error) {
		return pb.NewSourceClient(conn).Mark(ctx, &pb.MarkRequest{
			Instance: instance, Name: name, Revision: wire.RevisionToProto(rev), Message: message,
		})
	})
	return err
}

// Verify implements source.Verifier.
func (s *Source) Verify(ctx context.Context, rev source.Revision) ([]string, error) {
	m := Method{Name: "source.Verify", Idempotent: true, Timeout: time.Minute}
	resp, err := unary(ctx, s.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.VerifyResponse, error) {
		return pb.NewSourceClient(conn).Verify(ctx, &pb.VerifyRequest{Instance: instance, Revision: wire.RevisionToProto(rev)})
	})
	return resp.GetIdentities(), err
}

// Identity implements source.Identifier.
func (s *Source) Identity(ctx context.Context, regenerate bool) (string, error) {
	m := Method{Name: "source.Identity", Idempotent: !regenerate, Timeout: time.Minute}
	resp, err := unary(ctx, s.caller, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (*pb.IdentityResponse, error) {
		return pb.NewSourceClient(conn).Identity(ctx, &pb.IdentityRequest{Instance: instance, Regenerate: regenerate})
	})
	return resp.GetIdentity(), err
}

// revision checks what a plugin returned.
func revision(p *pb.Revision, err error) (source.Revision, error) {
	if err != nil {
		return source.Revision{}, err
	}
	if p.GetId() == "" {
		return source.Revision{}, errors.New("the plugin returned a revision without an id")
	}
	return wire.RevisionFromProto(p), nil
}

// empty removes what is in dir, but not dir.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
