package engine

import (
	"context"
	"time"

	"github.com/sluice-gitops/sluice/core/sched"
)

// gateKey is the key, in the timetable and the pool, of looking how the rollouts
// fare that automation has begun. It is planned only while there are any.
const gateKey = "rollouts"

const gateInterval = 5 * time.Second // between two looks at rollouts that are under way

// followRollouts plans a look at the rollouts that are followed, if there are
// any.
func (e *Engine) followRollouts() {
	if e.updates.Following("") == 0 {
		e.times.Remove(gateKey)
		return
	}
	e.times.Set(gateKey, gateInterval, gateInterval)
}

// rolloutsSoon looks at the rollouts of a sync that has just been applied.
func (e *Engine) rolloutsSoon(sync string) {
	if e.updates != nil && e.updates.Following(sync) > 0 {
		e.pool.Submit(gateKey, sched.Drift, e.lookAtRollouts)
	}
}

// lookAtRollouts looks once at everything that is followed.
func (e *Engine) lookAtRollouts(ctx context.Context) {
	e.updates.LookAtRollouts(ctx)
	if ctx.Err() == nil {
		e.times.Succeeded(gateKey)
		e.followRollouts()
	}
}
