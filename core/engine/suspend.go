package engine

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/sched"
)

// Suspend stops sources, syncs or image automations and returns their ids. What runs comes to its
// end; a wait for objects ends at once.
func (e *Engine) Suspend(ctx context.Context, req SuspendRequest) ([]string, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	if len(req.Names) == 0 {
		return nil, refusal.Invalid("name what to suspend")
	}
	if !req.Until.IsZero() && !req.Until.After(time.Now()) {
		return nil, refusal.Invalid("%s is in the past", req.Until.Format(time.RFC3339))
	}
	ids, err := e.resolveNames(req.Names, stoppable)
	if err != nil {
		return nil, err
	}
	s := Suspension{By: req.By, Reason: req.Reason, Since: now(), Until: req.Until}
	for _, id := range ids {
		if err := suspensions.Put(e.store, id, s); err != nil {
			return nil, err
		}
		e.suspend(id, s)
	}
	return ids, nil
}

func (e *Engine) suspend(id string, s Suspension) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil {
		return
	}
	e.setSuspension(n, &s)
	if running, _ := e.pool.State(id); !running {
		n.set(Suspended, s.String(), resumeHint(&s, id))
		e.tellWaits(n, s.String())
	}
	if n.sync != nil && n.sync.endWait != nil {
		n.sync.endWait(errSuperseded)
		e.triggerLocked(id, sched.Interactive) // to say that it is suspended
	}
	e.publish(n, eventSuspended, s.String())
	e.nodeChanged()
}

// Resume ends suspensions and has the nodes run.
func (e *Engine) Resume(_ context.Context, req ResumeRequest) ([]string, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	if len(req.Names) == 0 {
		return nil, refusal.Invalid("name what to resume")
	}
	ids, err := e.resolveNames(req.Names, stoppable)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if err := e.resume(id, "resumed by "+req.By); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// expire ends a suspension whose time has come.
func (e *Engine) expire(id string) {
	if err := e.resume(id, "the suspension has expired"); err != nil && !errors.Is(err, refusal.ErrConflict) {
		e.log.Error("cannot resume", "node", id, "err", err)
	}
}

func (e *Engine) resume(id, why string) error {
	if err := suspensions.Delete(e.store, id); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil {
		return nil
	}
	if n.suspension == nil {
		if s := n.suspended(); s != nil {
			if n.release != nil && n.release.declared.Resource != nil {
				return refusal.Conflict("%s is suspended by its resource: remove the annotation there", id)
			}
			return refusal.Conflict("%s is suspended by the configuration: remove `suspend = true` there", id)
		}
		return refusal.Conflict("%s is not suspended", id)
	}
	e.setSuspension(n, nil)
	if n.release != nil {
		n.release.forgive = true
	}
	n.set(Waiting, "for its next run", "")
	e.publish(n, eventResumed, why)
	e.resumeCommits(n)
	e.triggerLocked(id, sched.Interactive)
	e.nodeChanged()
	return nil
}
