package sched_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/sched"
)

// journal records what jobs did, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) job(line string) sched.Job {
	return func(context.Context) { j.add("%s", line) }
}

func (j *journal) want(t *testing.T, lines ...string) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if diff := cmp.Diff(lines, j.lines); diff != "" {
		t.Error(diff)
	}
}

// block returns a job that runs until release is called or it is cancelled.
func block() (job sched.Job, release func()) {
	ch := make(chan struct{})
	return func(ctx context.Context) {
		select {
		case <-ch:
		case <-ctx.Done():
		}
	}, sync.OnceFunc(func() { close(ch) })
}

func closePool(t *testing.T, p *sched.Pool) {
	t.Helper()
	if err := p.Close(context.Background()); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestPriorityThenOrderOfSubmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(1), &journal{}
		busy, release := block()
		p.Submit("busy", sched.Interval, busy)
		p.Submit("i1", sched.Interval, j.job("interval 1"))
		p.Submit("i2", sched.Interval, j.job("interval 2"))
		p.Submit("d", sched.Drift, j.job("drift"))
		p.Submit("w", sched.Webhook, j.job("webhook"))
		p.Submit("p", sched.Interactive, j.job("interactive"))
		release()
		synctest.Wait()
		j.want(t, "interactive", "webhook", "drift", "interval 1", "interval 2")
		closePool(t, p)
	})
}

func TestOneRunsAndOneWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(4), &journal{}
		busy, release := block()
		p.Submit("k", sched.Interval, busy)
		for i := range 5 {
			p.Submit("k", sched.Interval, j.job(fmt.Sprint("job ", i)))
		}
		synctest.Wait()
		j.want(t)
		if diff := cmp.Diff(sched.Stats{Running: 1, Waiting: 1, Workers: 4}, p.Stats()); diff != "" {
			t.Error(diff)
		}
		release()
		synctest.Wait()
		j.want(t, "job 4")
		if running, waiting := p.State("k"); running || waiting {
			t.Errorf("State = %v, %v after all is done", running, waiting)
		}
		closePool(t, p)
	})
}

func TestWaitingJobKeepsTheHigherPriority(t *testing.T) {
	for name, order := range map[string][2]sched.Priority{
		"raised":      {sched.Interval, sched.Interactive},
		"not lowered": {sched.Interactive, sched.Interval},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, j := sched.NewPool(1), &journal{}
				busy, release := block()
				p.Submit("busy", sched.Interval, busy)
				p.Submit("other", sched.Webhook, j.job("other"))
				p.Submit("k", order[0], j.job("first"))
				p.Submit("k", order[1], j.job("second"))
				release()
				synctest.Wait()
				j.want(t, "second", "other")
				closePool(t, p)
			})
		})
	}
}

// The next job of a key that runs keeps its priority while it is parked
// outside the queue.
func TestPriorityOfAJobBehindItsOwnKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(1), &journal{}
		busy, release := block()
		p.Submit("k", sched.Interval, busy)
		p.Submit("other", sched.Webhook, j.job("other"))
		p.Submit("k", sched.Interval, j.job("k"))
		p.Submit("k", sched.Interactive, j.job("k again"))
		release()
		synctest.Wait()
		j.want(t, "k again", "other")
		closePool(t, p)
	})
}

func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sched.NewPool(3)
		var now, most atomic.Int32
		for i := range 100 {
			p.Submit(fmt.Sprint(i), sched.Interval, func(context.Context) {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
			})
		}
		begin := time.Now()
		for p.Stats() != (sched.Stats{Workers: 3}) {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if most.Load() != 3 || time.Since(begin) != 34*time.Second {
			t.Errorf("%d at once, %v for 100 jobs of 1s; want 3, 34s", most.Load(), time.Since(begin))
		}
		closePool(t, p)
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(1), &journal{}
		p.Submit("k", sched.Interval, func(ctx context.Context) {
			<-ctx.Done()
			time.Sleep(time.Minute) // cleaning up
			j.add("ended")
		})
		p.Submit("k", sched.Interval, j.job("never"))
		synctest.Wait()

		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := p.Cancel(short, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Cancel with a short deadline: %v", err)
		}
		if err := p.Cancel(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		j.want(t, "ended")
		if err := p.Cancel(t.Context(), "unknown"); err != nil {
			t.Error(err)
		}
		p.Submit("k", sched.Interval, j.job("after"))
		synctest.Wait()
		j.want(t, "ended", "after")
		closePool(t, p)
	})
}

func TestCancelOfAQueuedJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(1), &journal{}
		busy, release := block()
		p.Submit("busy", sched.Interval, busy)
		p.Submit("a", sched.Interval, j.job("a"))
		p.Submit("b", sched.Interval, j.job("b"))
		if err := p.Cancel(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		release()
		synctest.Wait()
		j.want(t, "b")
		closePool(t, p)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(1), &journal{}
		p.Submit("slow", sched.Interval, func(ctx context.Context) {
			select {
			case <-ctx.Done():
				j.add("cancelled")
			case <-time.After(time.Minute):
				j.add("done")
			}
		})
		p.Submit("waits", sched.Interval, j.job("never"))
		closePool(t, p)
		j.want(t, "done")
		if p.Submit("late", sched.Interactive, j.job("never")) {
			t.Error("Submit accepted a job after Close")
		}
		closePool(t, p)
	})
}

func TestCloseCancelsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(2), &journal{}
		p.Submit("stubborn", sched.Interval, func(ctx context.Context) {
			<-ctx.Done()
			j.add("cancelled")
		})
		p.Submit("parked", sched.Interval, func(ctx context.Context) {
			err := sched.Park(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Park = %v", err)
			}
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v", err)
		}
		j.want(t, "cancelled")
	})
}

// A thousand syncs that wait a minute for their workloads need a minute on two
// workers, not eight hours.
func TestParkHoldsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := sched.NewPool(2)
		var active, most, done atomic.Int32
		work := func() {
			most.Store(max(most.Load(), active.Add(1)))
			time.Sleep(time.Millisecond)
			active.Add(-1)
		}
		for i := range 1000 {
			p.Submit(fmt.Sprint(i), sched.Interval, func(ctx context.Context) {
				work()
				if err := sched.Park(ctx, func(context.Context) error { time.Sleep(time.Minute); return nil }); err != nil {
					t.Error(err)
				}
				work()
				done.Add(1)
			})
		}
		begin := time.Now()
		for done.Load() < 1000 {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if d := time.Since(begin); d > 62*time.Second {
			t.Errorf("took %v", d)
		}
		if most.Load() > 2 {
			t.Errorf("%d jobs worked at once on 2 workers", most.Load())
		}
		closePool(t, p)
	})
}

func TestPark(t *testing.T) {
	failed := errors.New("not ready")
	fails := func(context.Context) error { return failed }
	if err := sched.Park(t.Context(), fails); !errors.Is(err, failed) {
		t.Errorf("outside of a job: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(1), &journal{}
		p.Submit("k", sched.Interval, func(ctx context.Context) {
			ctx, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			err := sched.Park(ctx, func(ctx context.Context) error { <-ctx.Done(); return failed })
			j.add("%v", err)
		})
		p.Submit("long", sched.Interval, func(context.Context) { time.Sleep(time.Minute); j.add("long") })
		p.Submit("later", sched.Interactive, j.job("later"))
		closeAfter := func() { time.Sleep(2 * time.Minute); synctest.Wait() }
		closeAfter()
		// The parked job's own deadline does not let it jump the bound; it
		// goes on before those that have not begun.
		j.want(t, "later", "long", "not ready")
		closePool(t, p)
	})
}

func TestCancelledParkGivesItsPlaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, j := sched.NewPool(1), &journal{}
		p.Submit("parked", sched.Interval, func(ctx context.Context) {
			_ = sched.Park(ctx, func(ctx context.Context) error { time.Sleep(time.Second); return nil })
			j.add("parked ends: %v", ctx.Err())
		})
		busy, release := block()
		p.Submit("busy", sched.Interval, busy)
		time.Sleep(2 * time.Second) // parked now waits for the worker that busy has
		if err := p.Cancel(t.Context(), "parked"); err != nil {
			t.Error(err)
		}
		j.want(t, "parked ends: context canceled")
		release()
		synctest.Wait()
		p.Submit("a", sched.Interval, func(context.Context) { time.Sleep(time.Second); j.add("a") })
		p.Submit("b", sched.Interval, j.job("b"))
		synctest.Wait()
		if st := p.Stats(); st.Running != 1 || st.Waiting != 1 {
			t.Errorf("the bound of 1 worker is lost: %+v", st)
		}
		closePool(t, p)
	})
}

func TestConcurrentUse(t *testing.T) {
	p := sched.NewPool(4)
	var wg sync.WaitGroup
	var runs [10]atomic.Int32
	for range 8 {
		wg.Go(func() {
			for i := range 2000 {
				k := i % len(runs)
				p.Submit(fmt.Sprint(k), sched.Priority(i%4), func(ctx context.Context) {
					if runs[k].Add(1) != 1 {
						t.Errorf("two jobs of key %d at once", k)
					}
					if i%50 == 0 {
						_ = sched.Park(ctx, func(context.Context) error { return nil })
					}
					runs[k].Add(-1)
				})
				if i%97 == 0 {
					if err := p.Cancel(context.Background(), fmt.Sprint(k)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	closePool(t, p)
	if st := p.Stats(); st != (sched.Stats{Workers: 4}) {
		t.Errorf("left behind: %+v", st)
	}
}

func BenchmarkSubmit10kKeys(b *testing.B) {
	p := sched.NewPool(2)
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprint("sync.app", i)
	}
	var wg sync.WaitGroup
	b.ReportAllocs()
	for b.Loop() {
		for _, k := range keys {
			wg.Add(1)
			p.Submit(k, sched.Interval, func(context.Context) { wg.Done() })
		}
		wg.Wait()
	}
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
