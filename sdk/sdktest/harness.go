// Package sdktest runs a plugin in a test, without a process but over the full
// wire: every call is encoded, sent through gRPC and decoded, as it is in
// production.
//
//	h := sdktest.New(t, plugin, sdktest.Options{})
//	src := h.Source("dir", map[string]any{"path": dir})
//	rev, err := src.Resolve(t.Context(), source.Revision{})
//
// Source, Applier, Registry, Renderer and Helm, the functions, run the conformance suite of a
// kind as subtests; `sluice plugin check` runs the same against a binary.
package sdktest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/handshake"
	"github.com/sluice-gitops/sluice/sdk/internal/serve"
)

// Options of a Harness. The zero value is useful.
type Options struct {
	// Host answers the plugin's calls to the host. Nil is a NewHost.
	Host *Host
	// LogLevel of the instances; empty is trace.
	LogLevel string
}

// Harness is a plugin that runs in the test. Its methods fail the test where
// they return no error. It ends with the test, after closing all instances,
// and fails the test if that fails.
type Harness struct {
	t      testing.TB
	conn   *grpc.ClientConn
	plugin *client.Plugin
	host   *Host
	level  string
	log    *logBuffer
	stop   func()
}

// New starts p.
func New(t testing.TB, p sdk.Plugin, o Options) *Harness {
	t.Helper()
	h := &Harness{t: t, host: o.Host, level: o.LogLevel, log: &logBuffer{}}
	if h.host == nil {
		h.host = NewHost()
	}
	if h.level == "" {
		h.level = "trace"
	}
	if err := h.start(p); err != nil {
		t.Fatalf("start the plugin: %v", err)
	}
	t.Cleanup(h.stop)
	return h
}

// start serves the plugin and the host, each over a connection in memory.
func (h *Harness) start(p sdk.Plugin) error {
	hostServer := grpc.NewServer(handshake.ServerOptions()...)
	client.RegisterHost(h.host)(hostServer)
	toHost, endHost, err := connect(hostServer)
	if err != nil {
		return err
	}
	s, err := serve.New(serve.Plugin(p), serve.Options{
		Log: hclog.New(&hclog.LoggerOptions{Output: h.log, Level: hclog.Trace, IndependentLevels: true}),
		Host: func(context.Context) (grpc.ClientConnInterface, error) {
			return toHost, nil
		},
	})
	if err != nil {
		endHost()
		return err
	}
	server := grpc.NewServer(s.ServerOptions()...)
	s.Register(server)
	toPlugin, endPlugin, err := connect(server)
	if err != nil {
		endHost()
		return err
	}
	h.conn, h.plugin = toPlugin, client.NewPlugin(toPlugin)
	h.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			h.t.Errorf("close the plugin's instances: %v", err)
		}
		endPlugin()
		endHost()
	})
	return nil
}

// connect serves g in memory and returns a connection to it.
func connect(g *grpc.Server) (conn *grpc.ClientConn, end func(), err error) {
	listener := bufconn.Listen(64 << 10)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(listener) // ends with Stop
	}()
	options := append(handshake.DialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	conn, err = grpc.NewClient("passthrough:///memory", options...)
	end = func() {
		if conn != nil {
			_ = conn.Close()
		}
		g.Stop()
		<-served
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return conn, end, nil
}

// Host returns what answers the plugin's calls to the host.
func (h *Harness) Host() *Host { return h.host }

// Conn returns the connection to the plugin, for calls that the typed clients
// do not make.
func (h *Harness) Conn() grpc.ClientConnInterface { return h.conn }

// Plugin returns the client that describes the plugin and opens instances.
func (h *Harness) Plugin() *client.Plugin { return h.plugin }

// Log returns what the plugin has logged so far.
func (h *Harness) Log() string { return h.log.String() }

// Open opens an instance. config is anything that encodes to a JSON object; a
// string or []byte is taken as JSON. The list holds warnings and, with an
// error about the configuration, its diagnostics.
func (h *Harness) Open(kind, typ string, config any) (client.Opened, diag.List, error) {
	h.t.Helper()
	name := fmt.Sprintf("%s.%s.test", kind, typ)
	h.host.opening(name)
	return h.plugin.Open(h.t.Context(), client.OpenRequest{
		Kind: kind, Type: typ, Name: name,
		Config:       h.encode(config),
		Dir:          h.t.TempDir(),
		LogLevel:     h.level,
		HostServices: true,
	})
}

// Source opens a source.
func (h *Harness) Source(typ string, config any) *client.Source {
	h.t.Helper()
	return client.NewSource(h.mustOpen(client.KindSource, typ, config))
}

// Applier opens an applier.
func (h *Harness) Applier(typ string, config any) *client.Applier {
	h.t.Helper()
	return client.NewApplier(h.mustOpen(client.KindApplier, typ, config))
}

// Registry opens a credential provider.
func (h *Harness) Registry(typ string, config any) *client.Registry {
	h.t.Helper()
	return client.NewRegistry(h.mustOpen(client.KindRegistry, typ, config))
}

// Renderer opens a renderer.
func (h *Harness) Renderer(typ string, config any) *client.Renderer {
	h.t.Helper()
	return client.NewRenderer(h.mustOpen(client.KindRenderer, typ, config))
}

// Helm opens a helm.
func (h *Harness) Helm(typ string, config any) *client.Helm {
	h.t.Helper()
	return client.NewHelm(h.mustOpen(client.KindHelm, typ, config))
}

func (h *Harness) mustOpen(kind, typ string, config any) client.Caller {
	h.t.Helper()
	opened, _, err := h.Open(kind, typ, config)
	if err != nil {
		h.t.Fatalf("open %s/%s: %v", kind, typ, err)
	}
	return client.Direct(h.conn, opened.Instance)
}

func (h *Harness) encode(config any) json.RawMessage {
	h.t.Helper()
	switch c := config.(type) {
	case nil:
		return nil
	case string:
		return json.RawMessage(c)
	case []byte:
		return c
	}
	raw, err := json.Marshal(config)
	if err != nil {
		h.t.Fatalf("encode the configuration: %v", err)
	}
	return raw
}

// logBuffer is a bytes.Buffer for concurrent use.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
