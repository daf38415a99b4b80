package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// closeGrace is how long instances have to close when the process ends. The
// host kills the process after two seconds.
const closeGrace = 1500 * time.Millisecond

// Main runs the plugin's binary and returns its exit code. Without the host's
// cookie it explains itself, describes the plugin, or checks configurations.
func Main(p Plugin, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	s, err := New(p, Options{Log: hclog.NewNullLogger()})
	if err != nil {
		fmt.Fprintf(stderr, "%s: the plugin is declared wrongly:\n%v\n", p.Name, err)
		return 1
	}
	switch {
	case len(args) == 1 && args[0] == "describe":
		return describe(s, stdout, stderr)
	case len(args) == 1 && args[0] == "validate":
		return validate(s, stdin, stdout, stderr)
	case os.Getenv(handshake.CookieKey) != handshake.CookieValue:
		explain(s, stderr)
		return 1
	}
	if err := run(p); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return 1
	}
	return 0
}

func describe(s *Server, stdout, stderr io.Writer) int {
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s.Describe()); err != nil {
		fmt.Fprintf(stderr, "describe: %v\n", err)
		return 1
	}
	return 0
}

// explain tells a person who started the binary what it is for.
func explain(s *Server, w io.Writer) {
	d := s.Describe()
	fmt.Fprintf(w, "This is %s %s, a plugin for Sluice. It offers %s.\n\n", d.Name, d.Version, s.offers())
	fmt.Fprintf(w, "Sluice starts it by itself. Put the binary, named %s%s, into Sluice's\nplugin directory, or name its path in the configuration:\n\n", handshake.BinaryPrefix, d.Name)
	fmt.Fprintf(w, "  plugin %q {\n    path = \"/path/to/%s%s\"\n  }\n\n", d.Name, handshake.BinaryPrefix, d.Name)
	fmt.Fprintf(w, "To see what it offers and how it is configured, run it with the argument \"describe\".\nTo test it, run \"sluice plugin check PATH\".\n")
}

// run serves the host that started the process until it says goodbye or is
// gone.
func run(p Plugin) error {
	streams, err := takeStreams()
	if err != nil {
		return err
	}
	catchSignals()
	showName(p.Name) // before harden, which takes the right to
	harden()
	log := newLogger(streams.log)
	hostConn := newHostConn()
	server, err := New(p, Options{Log: log, Host: hostConn.get})
	if err != nil {
		return err
	}
	if err := watchLifeline(func() { shutdown(server, log); os.Exit(0) }); err != nil {
		return err
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: handshake.Config(),
		Plugins:         goplugin.PluginSet{handshake.Name: &processPlugin{server: server, host: hostConn}},
		Logger:          quiet(log),
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			opts = append(opts, server.ServerOptions()...)
			return grpc.NewServer(append(opts, streams.restoreOnFirstCall()...)...)
		},
	})
	hostConn.stop()
	shutdown(server, log)
	return nil
}

func shutdown(s *Server, log hclog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		log.Warn("not everything was closed", "error", err.Error())
	}
}

// newLogger writes JSON lines, as hosts expect. Each instance has a level of
// its own, set when it is opened.
func newLogger(w io.Writer) hclog.Logger {
	level := hclog.LevelFromString(os.Getenv(handshake.LogLevelEnv))
	if level == hclog.NoLevel {
		level = hclog.Info
	}
	return hclog.New(&hclog.LoggerOptions{
		Level:             level,
		Output:            w,
		JSONFormat:        true,
		IndependentLevels: true,
	})
}

// quiet is the logger for go-plugin, whose debug messages are of no interest
// to a plugin's author.
func quiet(log hclog.Logger) hclog.Logger {
	q := log.Named("go-plugin")
	q.SetLevel(max(q.GetLevel(), hclog.Warn))
	return q
}

// processPlugin is what go-plugin serves.
type processPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	server *Server
	host   *hostConn
}

func (p *processPlugin) GRPCServer(broker *goplugin.GRPCBroker, g *grpc.Server) error {
	p.server.Register(g)
	p.host.start(broker)
	return nil
}

// GRPCClient is not for this side.
func (p *processPlugin) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, fmt.Errorf("a plugin process is no host")
}
