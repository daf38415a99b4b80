// Package client is the host's side of the plugin protocol. It is for hosts,
// such as the daemon and test kits; a plugin does not need it.
//
// Plugin describes a plugin process and opens instances in it. Source,
// Applier, Registry, Renderer and Helm turn an open instance into the Go interface of
// its kind. They implement every optional interface, too; what the instance
// lacks is ErrUnsupported, and Opened.Capabilities tells in advance.
//
// Errors are those of the plugin's author: errors.Is finds source.ErrGone,
// registry.ErrAnonymous, applier.ErrNoSecret and the context errors, errors.As
// finds *source.ConflictError, diag.From finds diagnostics, and
// sdk.IsPermanent and sdk.RetryDelay tell when to try again. A call that did
// not get through to the plugin is ErrTransport.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

var (
	// ErrUnsupported says that the instance lacks the capability.
	ErrUnsupported = wire.ErrUnsupported
	// ErrUnknownInstance says that no such instance is open in the process.
	ErrUnknownInstance = wire.ErrUnknownInstance
	// ErrTransport says that the call did not get through, for example
	// because the process has died. Whether it had an effect is not known.
	ErrTransport = wire.ErrTransport
	// ErrPanic says that the plugin's code panicked during the call. Its
	// stack is in the plugin's log; the process goes on.
	ErrPanic = wire.ErrPanic
	// ErrNoResult says that a stream ended without its result, so that what
	// was emitted is not complete.
	ErrNoResult = errors.New("the plugin ended the stream without a result")
)

// Caller makes calls on one instance. Direct is the simple one; a supervisor
// brings its own, which finds the process, maps the instance to the id it has
// there, and repeats idempotent calls.
type Caller interface {
	// Call runs do with the connection and instance id of the moment. If
	// m.Idempotent it may run do again. It returns do's error, or its own.
	Call(ctx context.Context, m Method, do func(ctx context.Context, conn grpc.ClientConnInterface, instance string) error) error
}

// Method is what a Caller knows about a call.
type Method struct {
	Name       string        // "source.Resolve"
	Idempotent bool          // may be repeated without asking
	Timeout    time.Duration // of one attempt; zero: none beyond that of ctx
}

// Direct calls instance over conn, once, within the method's timeout.
func Direct(conn grpc.ClientConnInterface, instance string) Caller {
	return direct{conn, instance}
}

type direct struct {
	conn     grpc.ClientConnInterface
	instance string
}

func (d direct) Call(ctx context.Context, m Method, do func(context.Context, grpc.ClientConnInterface, string) error) error {
	if m.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, m.Timeout)
		defer cancel()
	}
	return do(ctx, d.conn, d.instance)
}

// failure restores the error of a call made with ctx. When a deadline passes,
// the other side may notice first and reset the stream, which looks as if the
// call had been cancelled.
func failure(ctx context.Context, err error) error {
	err = wire.ErrorFromStatus(err)
	if errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

// unary makes a call with one answer.
func unary[R any](ctx context.Context, c Caller, m Method, call func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (R, error)) (R, error) {
	var out R
	err := c.Call(ctx, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) error {
		r, err := call(ctx, conn, instance)
		if err != nil {
			return failure(ctx, err)
		}
		out = r
		return nil
	})
	return out, err
}

// stream makes a call whose answer is a stream. It hands each message to
// handle, which says whether the message was the result. A stream is never
// repeated, since its receiver has already seen its beginning.
func stream[M any](
	ctx context.Context, c Caller, m Method,
	open func(ctx context.Context, conn grpc.ClientConnInterface, instance string) (grpc.ServerStreamingClient[M], error),
	handle func(*M) (result bool, err error),
) error {
	m.Idempotent = false
	return c.Call(ctx, m, func(ctx context.Context, conn grpc.ClientConnInterface, instance string) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		s, err := open(ctx, conn, instance)
		if err != nil {
			return failure(ctx, err)
		}
		return receive(ctx, s, handle)
	})
}

func receive[M any](ctx context.Context, s grpc.ServerStreamingClient[M], handle func(*M) (bool, error)) error {
	for {
		msg, err := s.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return ErrNoResult
		case err != nil:
			return failure(ctx, err)
		}
		result, err := handle(msg)
		if err != nil {
			return err
		}
		if result {
			return finish(ctx, s)
		}
	}
}

// finish waits for the status that follows the result.
func finish[M any](ctx context.Context, s grpc.ServerStreamingClient[M]) error {
	switch _, err := s.Recv(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return failure(ctx, err)
	}
	return fmt.Errorf("the plugin sent more after the result: %w", ErrNoResult)
}
