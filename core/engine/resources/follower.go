// Package resources is what goes on between the engine and the custom resources
// of one target: a Follower brings what they declare, a Sight knows what it could
// not bring, and a Writer takes back how they fare, in the words of a Voice for
// each. All go on through failures of the target and of its plugin, and never hold
// the engine up.
package resources

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Batch is what has changed, in order.
type Batch struct {
	// Began says that the list begins a pass over all there is: what was known
	// before and is not in it up to the zero Resource is gone.
	Began bool
	List  []applier.Resource // see applier.ResourceKeeper.Follow
	// Lost is why nothing can be seen; the Follower tries again.
	Lost error
}

// Options configures a Follower.
type Options struct {
	Keeper applier.ResourceKeeper
	Filter applier.ResourceFilter
	// Handle is called with each Batch, by one goroutine.
	Handle func(ctx context.Context, b Batch)
	Logger *slog.Logger
}

// Follower follows the custom resources of one target until it is closed.
type Follower struct {
	o      Options
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu      sync.Mutex
	pending Batch
	wake    chan struct{}
}

// Follow starts to follow. The caller owes the Follower a Close.
func Follow(o Options) *Follower {
	ctx, cancel := context.WithCancel(context.Background())
	f := &Follower{o: o, cancel: cancel, wake: make(chan struct{}, 1)}
	f.done.Go(func() { f.follow(ctx) })
	f.done.Go(func() { f.deliver(ctx) })
	return f
}

// Close ends the following. Handle is not called any more once it has returned,
// so it must not be called from there.
func (f *Follower) Close() {
	f.cancel()
	f.done.Wait()
}

// steady is how long a connection must have lasted for its end to be the first
// failure.
const steady = time.Minute

func (f *Follower) follow(ctx context.Context) {
	var backoff sched.Backoff
	for failures := 1; ; failures++ {
		f.add(func(b *Batch) { *b = Batch{Began: true, Lost: b.Lost} })
		began := time.Now()
		err := f.o.Keeper.Follow(ctx, f.o.Filter, func(r applier.Resource) {
			f.add(func(b *Batch) { b.List, b.Lost = append(b.List, r), nil })
		})
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > steady {
			failures = 1
		}
		delay := backoff.Delay(failures, rand.Float64())
		f.o.Logger.WarnContext(ctx, "custom resources cannot be followed", "err", err, "again_in", delay.Round(time.Millisecond))
		f.add(func(b *Batch) { b.Lost = err })
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return
		}
	}
}

// add changes what is delivered next.
func (f *Follower) add(change func(*Batch)) {
	f.mu.Lock()
	change(&f.pending)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (f *Follower) deliver(ctx context.Context) {
	for {
		select {
		case <-f.wake:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		b := f.pending
		f.pending = Batch{}
		f.mu.Unlock()
		b.List = slices.Clip(b.List)
		if b.Began || b.Lost != nil || len(b.List) > 0 {
			f.o.Handle(ctx, b)
		}
	}
}
