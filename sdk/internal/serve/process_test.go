package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/handshake"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// asPlugin makes the test binary a plugin.
const asPlugin = "SLUICE_TEST_AS_PLUGIN"

func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		os.Args = append(os.Args[:1], os.Args[2:]...) // without -test.run
		sdk.Main(sdk.Plugin{Name: "talker", Version: "1.0.0", Kinds: []sdk.Kind{source.New("talker", openTalker)}})
	}
	goleak.VerifyTestMain(m)
}

// talker prints to the real streams and asks the host for a secret.
type talker struct{ env sdk.Env }

type talkerConfig struct {
	Key string `hcl:"key,optional" default:"token"`
}

func openTalker(ctx context.Context, c talkerConfig, env sdk.Env) (*talker, error) {
	if _, err := env.Host.ReadSecret(ctx, host.SecretRef{Name: "deploy", Key: c.Key}); err != nil {
		return nil, err
	}
	return &talker{env}, nil
}

func (t *talker) Resolve(ctx context.Context, previous source.Revision) (source.Revision, error) {
	switch previous.ID {
	case "protections":
		return readProtections()
	case "name":
		return readName()
	}
	_, _ = os.Stdout.WriteString("stray line on os.Stdout\n")
	_, _ = os.NewFile(1, "fd1").WriteString("stray line on descriptor 1\n")
	_, _ = os.Stderr.WriteString("stray line on os.Stderr\n")
	t.env.Log.Info("resolving", "name", t.env.Name)
	value, err := t.env.Host.ReadSecret(ctx, host.SecretRef{Name: "deploy", Key: "token"})
	if err != nil {
		return source.Revision{}, err
	}
	return source.Revision{ID: value.Reveal()}, nil
}

func (t *talker) Fetch(context.Context, source.Revision, string) error { return source.ErrGone }

// keeper is a host with one secret.
type keeper struct {
	client.HostServices
	mu      sync.Mutex
	callers []string
}

func (k *keeper) ReadSecret(_ context.Context, instance string, ref host.SecretRef) (secret.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.callers = append(k.callers, instance)
	if ref.Name != "deploy" || ref.Key != "token" {
		return secret.Secret{}, host.ErrNoSecret
	}
	return secret.New("s3cret"), nil
}

// start runs this test binary as a plugin process, as a host would.
func start(t *testing.T, services client.HostServices) (conn *handshake.Conn, end func() (stderr string)) {
	t.Helper()
	return startCommand(t, services, exec.Command(os.Args[0], "-test.run=^$"))
}

// startCommand runs cmd, which becomes this test binary, as a plugin process.
func startCommand(t *testing.T, services client.HostServices, cmd *exec.Cmd) (conn *handshake.Conn, end func() (stderr string)) {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Env = []string{asPlugin + "=1"}
	config := &goplugin.ClientConfig{
		HandshakeConfig:  handshake.Config(),
		Plugins:          handshake.HostSet(client.RegisterHost(services)),
		Cmd:              cmd,
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		GRPCDialOptions:  handshake.DialOptions(),
		Stderr:           &stderr,
		Logger:           hclog.NewNullLogger(),
		UnixSocketConfig: &goplugin.UnixSocketConfig{},
	}
	c := goplugin.NewClient(config)
	rpc, err := c.Client()
	if err != nil {
		t.Fatalf("start: %v\n%s", err, stderr.String())
	}
	raw, err := rpc.Dispense(handshake.Name)
	if err != nil {
		t.Fatal(err)
	}
	conn = raw.(*handshake.Conn)
	end = sync.OnceValue(func() string {
		c.Kill() // waits for the reader of stderr
		<-conn.HostDone()
		return stderr.String()
	})
	t.Cleanup(func() { end() })
	return conn, end
}

func TestProcess(t *testing.T) {
	k := &keeper{}
	conn, end := start(t, k)
	ctx := t.Context()
	p := client.NewPlugin(conn)
	d, err := p.Describe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "talker" || len(d.Kinds) != 1 {
		t.Errorf("description %+v", d)
	}
	opened, _, err := p.Open(ctx, client.OpenRequest{Kind: "source", Type: "talker", Name: "source.talker.a", HostServices: true})
	if err != nil {
		t.Fatal(err)
	}
	src := client.NewSource(client.Direct(conn, opened.Instance))
	rev, err := src.Resolve(ctx, source.Revision{})
	if err != nil || rev.ID != "s3cret" {
		t.Fatalf("Resolve = %+v, %v", rev, err)
	}
	if err := src.Fetch(ctx, rev, t.TempDir()); !errors.Is(err, source.ErrGone) {
		t.Errorf("Fetch: %v, want ErrGone", err)
	}
	if diff := cmp.Diff([]string{"source.talker.a", "source.talker.a"}, k.callers); diff != "" {
		t.Errorf("who asked the host (-want +got):\n%s", diff)
	}
	_, _, err = p.Open(ctx, client.OpenRequest{Kind: "source", Type: "talker", Name: "b", Config: json.RawMessage(`{"key":"x"}`), HostServices: true})
	if !errors.Is(err, host.ErrNoSecret) {
		t.Errorf("Open without the secret: %v", err)
	}
	_, _, err = p.Open(ctx, client.OpenRequest{Kind: "source", Type: "talker", Name: "c"})
	if !errors.Is(err, host.ErrUnavailable) {
		t.Errorf("Open without host services: %v", err)
	}
	stderr := end()
	for _, line := range []string{"on os.Stdout", "on descriptor 1", "on os.Stderr", `"@module":"source.talker.a"`} {
		if !strings.Contains(stderr, line) {
			t.Errorf("standard error lacks %q:\n%s", line, stderr)
		}
	}
}
