package serve

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// request is what all requests on an instance have in common.
type request interface{ GetInstance() string }

// unary runs do on the instance that req names, which must be an S: the
// interface of the service's kind, or of a capability.
func unary[S, R any](ctx context.Context, t *instances, req request, do func(context.Context, S) (*R, error)) (*R, error) {
	ctx, i, done, err := t.use(ctx, req.GetInstance())
	if err != nil {
		return nil, wire.ErrorToStatus(err)
	}
	defer done()
	value, ok := i.value.(S)
	if !ok {
		return nil, wire.ErrorToStatus(fmt.Errorf("%s: %w", i.name, wire.ErrUnsupported))
	}
	resp, err := do(ctx, value)
	if err != nil {
		return nil, wire.ErrorToStatus(err)
	}
	return resp, nil
}

// stream is unary for methods that emit messages. What do returns is sent as
// the result, after all messages.
func stream[S, M any](out grpc.ServerStreamingServer[M], t *instances, req request, do func(context.Context, S, *emitter[M]) (*M, error)) error {
	ctx, i, done, err := t.use(out.Context(), req.GetInstance())
	if err != nil {
		return wire.ErrorToStatus(err)
	}
	defer done()
	value, ok := i.value.(S)
	if !ok {
		return wire.ErrorToStatus(fmt.Errorf("%s: %w", i.name, wire.ErrUnsupported))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := &emitter[M]{send: out.Send, cancel: cancel}
	defer func() { _ = e.end() }() // also after a panic: the author's goroutines may go on
	result, err := do(ctx, value, e)
	if failed := e.end(); failed != nil {
		err = failed // the cause: err is at most the author's reaction to it
	}
	if err != nil {
		return wire.ErrorToStatus(err)
	}
	return out.Send(result)
}

// emitter sends messages from any goroutine until it is ended. The first
// failure cancels the call and silences it.
type emitter[M any] struct {
	send   func(*M) error
	cancel context.CancelFunc

	mu    sync.Mutex
	ended bool
	err   error
}

// emit sends msg, unless err says that it could not be made.
func (e *emitter[M]) emit(msg *M, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended || e.err != nil {
		return
	}
	if err == nil {
		err = e.send(msg)
		if status.Code(err) == codes.ResourceExhausted { // larger than the limit, and so it stays
			err = plug.Permanent(err)
		}
	}
	if err != nil {
		e.err = fmt.Errorf("emit: %w", err)
		e.cancel()
	}
}

// end makes emit do nothing from now on, and returns its failure.
func (e *emitter[M]) end() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	return e.err
}
