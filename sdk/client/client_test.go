package client_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stranger is a plugin that was not made with this SDK. It answers with what
// the test gives it.
type stranger struct {
	pb.UnimplementedPluginServer
	pb.UnimplementedSourceServer
	applier  strangeApplier
	revision *pb.Revision
	open     *pb.OpenResponse
	describe *pb.DescribeResponse
}

type strangeApplier struct {
	pb.UnimplementedApplierServer
	plan []*pb.PlanResponse
}

func (s *strangeApplier) Plan(_ *pb.PlanRequest, out grpc.ServerStreamingServer[pb.PlanResponse]) error {
	for _, msg := range s.plan {
		if err := out.Send(msg); err != nil {
			return err
		}
	}
	return nil
}

func (s *stranger) Resolve(ctx context.Context, _ *pb.ResolveRequest) (*pb.ResolveResponse, error) {
	if s.revision == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pb.ResolveResponse{Revision: s.revision}, nil
}

func (s *stranger) Open(context.Context, *pb.OpenRequest) (*pb.OpenResponse, error) {
	return s.open, nil
}

func (s *stranger) Describe(context.Context, *pb.DescribeRequest) (*pb.DescribeResponse, error) {
	return s.describe, nil
}

// serve returns a connection to s and what cuts it.
func serve(t *testing.T, s *stranger) (conn *grpc.ClientConn, cut func()) {
	t.Helper()
	g := grpc.NewServer()
	pb.RegisterPluginServer(g, s)
	pb.RegisterSourceServer(g, s)
	pb.RegisterApplierServer(g, &s.applier)
	listener := bufconn.Listen(1 << 16)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///x",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		<-served
	})
	return conn, g.Stop
}

func change(action pb.Action) *pb.PlanResponse {
	return &pb.PlanResponse{Event: &pb.PlanResponse_Change{Change: &pb.Change{Action: action}}}
}

func result() *pb.PlanResponse {
	return &pb.PlanResponse{Event: &pb.PlanResponse_Result{Result: &pb.Summary{Owned: 3}}}
}

// unknown is an event that only a newer protocol has.
func unknown() *pb.PlanResponse {
	msg := &pb.PlanResponse{}
	msg.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte("x")))
	return msg
}

func TestStreamsOfStrangers(t *testing.T) {
	tests := map[string]struct {
		plan []*pb.PlanResponse
		n    int
		want string // part of the error, empty: none
	}{
		"only a result":       {[]*pb.PlanResponse{result()}, 0, ""},
		"changes":             {[]*pb.PlanResponse{change(pb.Action_ACTION_CREATE), unknown(), change(pb.Action_ACTION_NONE), result()}, 2, ""},
		"nothing":             {nil, 0, "without a result"},
		"no result":           {[]*pb.PlanResponse{change(pb.Action_ACTION_CREATE)}, 1, "without a result"},
		"more after a result": {[]*pb.PlanResponse{result(), change(pb.Action_ACTION_CREATE)}, 0, "more after the result"},
		"unknown enum":        {[]*pb.PlanResponse{change(77), result()}, 0, "unknown action 77 on the wire"},
		"unspecified enum":    {[]*pb.PlanResponse{change(0), result()}, 0, "unknown action 0 on the wire"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			conn, _ := serve(t, &stranger{applier: strangeApplier{plan: tc.plan}})
			n := 0
			summary, err := client.NewApplier(client.Direct(conn, "i")).Plan(t.Context(), applier.Set{}, func(applier.Change) { n++ })
			if n != tc.n {
				t.Errorf("emitted %d, want %d", n, tc.n)
			}
			if tc.want == "" && (err != nil || summary.Owned != 3) {
				t.Errorf("Plan = %+v, %v", summary, err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("Plan: %v, want %q", err, tc.want)
			}
		})
	}
}

func TestAnswersOfStrangersAreChecked(t *testing.T) {
	conn, _ := serve(t, &stranger{
		revision: &pb.Revision{Message: "no id"},
		open:     &pb.OpenResponse{},
		describe: &pb.DescribeResponse{Kinds: []*pb.Offer{{Kind: "source", Type: "x", Schema: &pb.Schema{
			Attributes: []*pb.Attribute{{Name: "a", Type: &pb.Type{Kind: pb.TypeKind_TYPE_KIND_LIST}}},
		}}}},
	})
	if _, err := client.NewSource(client.Direct(conn, "i")).Resolve(t.Context(), source.Revision{}); err == nil || !strings.Contains(err.Error(), "without an id") {
		t.Errorf("Resolve: %v", err)
	}
	p := client.NewPlugin(conn)
	if _, _, err := p.Open(t.Context(), client.OpenRequest{}); err == nil || !strings.Contains(err.Error(), "without an id") {
		t.Errorf("Open: %v", err)
	}
	if _, err := p.Describe(t.Context()); err == nil || !strings.Contains(err.Error(), "schema of source/x: a: a list has no element type") {
		t.Errorf("Describe: %v", err)
	}
	if err := p.Close(t.Context(), "i"); !errors.Is(err, client.ErrUnsupported) {
		t.Errorf("Close, which it does not serve: %v", err)
	}
}

func TestLostConnection(t *testing.T) {
	conn, cut := serve(t, &stranger{})
	src := client.NewSource(client.Direct(conn, "i"))
	cut()
	if _, err := src.Resolve(t.Context(), source.Revision{}); !errors.Is(err, client.ErrTransport) {
		t.Errorf("Resolve: %v, want ErrTransport", err)
	}
}

// slow is a Caller with a short limit.
type slow struct{ client.Caller }

func (s slow) Call(ctx context.Context, m client.Method, do func(context.Context, grpc.ClientConnInterface, string) error) error {
	m.Timeout = 10 * time.Millisecond
	return s.Caller.Call(ctx, m, do)
}

func TestDeadlineAndCancel(t *testing.T) {
	conn, _ := serve(t, &stranger{})
	_, err := client.NewSource(slow{client.Direct(conn, "i")}).Resolve(t.Context(), source.Revision{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past the deadline: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = client.NewSource(client.Direct(conn, "i")).Resolve(ctx, source.Revision{})
	if !errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("cancelled: %v", err)
	}
}
