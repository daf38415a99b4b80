package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/internal/wire"
)

// errClosed is the cause that calls see when their instance is closed.
var errClosed = errors.New("the instance was closed")

// instances keeps what is open.
type instances struct {
	prefix string // of all ids, so that those of another process are not found

	mu   sync.Mutex
	last int
	open map[string]*instance
}

// instance is one open instance. calls is changed under the lock of its table
// as long as the instance is in it.
type instance struct {
	id     string
	number int
	name   string
	value  any
	ctx    context.Context // ends with the instance
	cancel context.CancelCauseFunc
	calls  sync.WaitGroup
}

func newInstances() *instances {
	return &instances{prefix: rand.Text()[:8], open: map[string]*instance{}}
}

// add makes value an open instance and returns its id.
func (t *instances) add(name string, value any) string {
	ctx, cancel := context.WithCancelCause(context.Background())
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	i := &instance{
		id:     fmt.Sprintf("%s-%d", t.prefix, t.last),
		number: t.last,
		name:   name,
		value:  value,
		ctx:    ctx,
		cancel: cancel,
	}
	t.open[i.id] = i
	return i.id
}

// use returns the instance and a context for a call on it, which ends also
// when the instance is closed. The caller calls done at the end.
func (t *instances) use(ctx context.Context, id string) (callCtx context.Context, i *instance, done func(), err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i, ok := t.open[id]
	if !ok {
		return nil, nil, nil, fmt.Errorf("%w: %q", wire.ErrUnknownInstance, id)
	}
	i.calls.Add(1)
	callCtx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(i.ctx, func() { cancel(errClosed) })
	return callCtx, i, func() {
		stop()
		cancel(nil)
		i.calls.Done()
	}, nil
}

// close takes the instance out, cancels its calls, waits for them, and closes
// it. If ctx ends first it stays unclosed, for its calls still use it.
func (t *instances) close(ctx context.Context, id string) error {
	t.mu.Lock()
	i, ok := t.open[id]
	delete(t.open, id)
	t.mu.Unlock()
	if !ok {
		return fmt.Errorf("%w: %q", wire.ErrUnknownInstance, id)
	}
	i.cancel(errClosed)
	finished := make(chan error, 1)
	go func() { // ends when the author's calls and Close have returned
		i.calls.Wait()
		finished <- closeValue(i.value)
	}()
	select {
	case err := <-finished:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: calls are still running on the closed instance: %w", i.name, ctx.Err())
	}
}

// closeAll closes everything, the newest first.
func (t *instances) closeAll(ctx context.Context) error {
	t.mu.Lock()
	all := make([]*instance, 0, len(t.open))
	for _, i := range t.open {
		all = append(all, i)
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b *instance) int { return cmp.Compare(b.number, a.number) })
	var errs []error
	for _, i := range all {
		if err := t.close(ctx, i.id); err != nil && !errors.Is(err, wire.ErrUnknownInstance) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// closeValue closes what the author opened, if it can be closed. It runs on a
// goroutine of its own, out of reach of the interceptors.
func closeValue(value any) (err error) {
	c, ok := value.(io.Closer)
	if !ok {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", wire.ErrPanic, r)
		}
	}()
	return c.Close()
}
