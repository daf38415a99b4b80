//go:build unix

package pluginhost

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/sluice-gitops/sluice/sdk/client"
)

// socket returns the plugin's socket, the only one there is without services.
func (h *testHost) socket(t *testing.T) string {
	t.Helper()
	sockets, err := filepath.Glob(filepath.Join(h.run.path, "plugin-dir*", "plugin*"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets in the run directory: %v, %v", sockets, err)
	}
	return sockets[0]
}

func TestPitfall11StrangersCannotCallAPlugin(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a")
	for name, creds := range map[string]credentials.TransportCredentials{
		"no TLS":         insecure.NewCredentials(),
		"no certificate": credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}),
	} {
		conn, err := grpc.NewClient("unix:"+h.socket(t), grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := client.NewPlugin(conn).Describe(t.Context()); err == nil {
			t.Errorf("%s: a stranger was told %+v", name, d)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	resolve(t, i)
}

func TestPitfall15SocketsAreInTheRunDirectory(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	h.open(t, "test", "a")
	for dir := filepath.Dir(h.socket(t)); dir != h.o.RunDir; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: mode %v, %v; want 0700", dir, info.Mode(), err)
		}
	}
}

func TestPitfall22SignalsToTheGroupDoNotEndAPlugin(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a")
	before := resolve(t, i)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if err := syscall.Kill(h.status(t).PID, sig); err != nil {
			t.Fatal(err)
		}
	}
	if after := resolve(t, i); after != before {
		t.Error("the plugin was restarted: a signal ended it")
	}
}

func TestPitfalls10And13And19And20And27Configuration(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil)
	s := &session{p: &process{h: h.Host}}
	a, b := s.clientConfig(), s.clientConfig()
	if a == b || a.VersionedPlugins[1]["sluice"] == b.VersionedPlugins[1]["sluice"] {
		t.Error("two starts share a configuration")
	}
	switch {
	case a.GRPCBrokerMultiplex:
		t.Error("the broker is multiplexed")
	case a.Managed:
		t.Error("clients are managed by go-plugin")
	case !a.AutoMTLS || !a.SkipHostEnv:
		t.Error("mutual TLS or the empty environment is missing")
	case len(a.AllowedProtocols) != 1 || a.AllowedProtocols[0] != goplugin.ProtocolGRPC:
		t.Errorf("protocols are %v", a.AllowedProtocols)
	case a.Cmd != nil || a.Reattach != nil || a.SecureConfig != nil:
		t.Error("something but our own runner starts or verifies the process")
	}
}
