// Package handshake is the agreement between a host and a plugin process on
// how they meet: the cookie, the protocol version, the limits and the ids. It
// is for hosts; plugins get it from sdk.Main.
package handshake

import (
	"context"
	"errors"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

const (
	// ProtocolVersion is the major version of the plugin protocol. A host
	// refuses a plugin of another one.
	ProtocolVersion = 1
	// MaxMessage is the largest message in bytes, both ways. What is larger
	// is passed as a path.
	MaxMessage = 16 << 20
	// HostBrokerID is where a host serves host services.
	HostBrokerID = 1
	// LifelineEnv names the variable that holds the number of a file
	// descriptor: the reading end of a pipe that the host keeps open. When it
	// reaches its end, the host is gone and the plugin exits.
	LifelineEnv = "SLUICE_PLUGIN_LIFELINE_FD"
	// LogLevelEnv names the variable that holds the level at which a plugin
	// logs before its first instance is open: trace, debug, info, warn, error.
	LogLevelEnv = "SLUICE_PLUGIN_LOG_LEVEL"
	// Name is the one entry of the plugin set.
	Name = "sluice"
	// BinaryPrefix begins the file name of every plugin binary.
	BinaryPrefix = "sluice-plugin-"

	// CookieKey and CookieValue tell a plugin that it was started by a host
	// and not by a person. They are no secret.
	CookieKey   = "SLUICE_PLUGIN"
	CookieValue = "6f1c5a0e-sluice-plugin-v1"
)

// Config returns the handshake that both sides give to go-plugin.
func Config() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   CookieKey,
		MagicCookieValue: CookieValue,
	}
}

// DialOptions limits messages on the host's connection; they are for
// ClientConfig.GRPCDialOptions.
func DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithDefaultCallOptions(
		grpc.MaxCallRecvMsgSize(MaxMessage), grpc.MaxCallSendMsgSize(MaxMessage))}
}

// ServerOptions limits messages on a server of either side.
func ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.MaxRecvMsgSize(MaxMessage), grpc.MaxSendMsgSize(MaxMessage)}
}

// HostSet is the plugin set of a host. Dispensing Name from it gives a *Conn.
// register adds the host's services to the server that the plugin process
// calls back, see client.RegisterHost; nil offers none.
//
// A set belongs to one process: make a new one for each start.
func HostSet(register func(*grpc.Server)) goplugin.PluginSet {
	return goplugin.PluginSet{Name: &hostPlugin{register: register}}
}

// Conn is the connection to one plugin process.
type Conn struct {
	*grpc.ClientConn
	hostDone chan struct{}
}

// HostDone is closed when the server of the host's services has stopped, which
// it does after the connection is closed. It is closed from the start if the
// host offers none.
func (c *Conn) HostDone() <-chan struct{} { return c.hostDone }

type hostPlugin struct {
	goplugin.NetRPCUnsupportedPlugin
	register func(*grpc.Server)
}

// GRPCServer is not for this side.
func (*hostPlugin) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("handshake.HostSet is for hosts; a plugin calls sdk.Main")
}

// GRPCClient serves the host's services, then gives out the connection. The
// plugin dials at once: without multiplexing an offer is good for 5 seconds.
func (p *hostPlugin) GRPCClient(_ context.Context, broker *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	c := &Conn{ClientConn: conn, hostDone: make(chan struct{})}
	if p.register == nil {
		close(c.hostDone)
		return c, nil
	}
	go func() {
		defer close(c.hostDone)
		broker.AcceptAndServe(HostBrokerID, func(opts []grpc.ServerOption) *grpc.Server {
			s := grpc.NewServer(append(opts, ServerOptions()...)...)
			p.register(s)
			return s
		})
	}()
	return c, nil
}
