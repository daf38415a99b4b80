package releases

import (
	"context"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// turns has those who change the same release take turns. Whoever has asked for
// a change has an answer when its context ends, while Helm's code may still be
// on its way out: whoever asks next must not meet it.
type turns struct {
	mu sync.Mutex
	of map[helm.ReleaseRef]*turn
}

// turn is that of one release, as long as anybody has it or waits for it.
type turn struct {
	taken chan struct{} // full while somebody has it
	users int
}

// take waits for the turn until ctx ends. Whoever has got it gives it back by
// done.
func (t *turns) take(ctx context.Context, ref helm.ReleaseRef) (done func(), err error) {
	t.mu.Lock()
	its := t.of[ref]
	if its == nil {
		its = &turn{taken: make(chan struct{}, 1)}
		t.of[ref] = its
	}
	its.users++
	t.mu.Unlock()
	select {
	case its.taken <- struct{}{}:
		return func() {
			<-its.taken
			t.leave(ref, its)
		}, nil
	case <-ctx.Done():
		t.leave(ref, its)
		return nil, context.Cause(ctx)
	}
}

func (t *turns) leave(ref helm.ReleaseRef, its *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if its.users--; its.users == 0 {
		delete(t.of, ref)
	}
}
