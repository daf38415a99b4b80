package serve

import (
	"context"
	"errors"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// hostConn is the connection to the host's services. An offer of the host is
// good for five seconds, so that it is taken up as soon as it comes, not when
// it is first needed.
type hostConn struct {
	stopped chan struct{}
	ready   chan struct{}
	conn    *grpc.ClientConn // once ready is closed
}

func newHostConn() *hostConn {
	return &hostConn{stopped: make(chan struct{}), ready: make(chan struct{})}
}

// start waits for the host's offer in the background. The goroutine ends with
// the offer, at most five seconds after stop, or with the process.
func (h *hostConn) start(broker *goplugin.GRPCBroker) {
	go func() {
		for {
			conn, err := broker.DialWithOptions(handshake.HostBrokerID, handshake.DialOptions()...)
			if err == nil {
				h.conn = conn
				close(h.ready)
				return
			}
			select {
			case <-h.stopped:
				return
			default: // no offer yet
			}
		}
	}()
}

// get returns the connection, and waits for it until ctx ends.
func (h *hostConn) get(ctx context.Context) (grpc.ClientConnInterface, error) {
	select {
	case <-h.ready:
		return h.conn, nil
	default:
	}
	select {
	case <-h.ready:
		return h.conn, nil
	case <-h.stopped:
		return nil, errors.New("the plugin is shutting down")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *hostConn) stop() { close(h.stopped) }
