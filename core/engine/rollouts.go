package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// gateKey is the key, in the timetable and the pool, of looking how the rollouts
// fare that automation has begun. It is planned only while there are any.
const gateKey = "rollouts"

const (
	gateInterval = 5 * time.Second // between two looks at rollouts that are under way
	gateTimeout  = time.Minute     // of one look at one applier
)

// watchOf is how edit i of a change is followed: not at all without a health
// block, or if it waits on a branch. e.mu is held.
func (e *Engine) watchOf(cfg config.ImageAutomation, c writeback.Change, o writeback.Outcome, i int) (gate.Watch, bool) {
	ed := c.Edits[i]
	if cfg.Health == nil || c.Cause.Kind != writeback.Automation || c.Branch != "" || ed.Workload == "" || ed.Image == "" || !written(o, i) {
		return gate.Watch{}, false
	}
	return gate.Watch{
		Automation: c.Cause.Job, Sync: c.Sync, Workload: ed.Workload, Container: ed.Container,
		From: ed.From, To: ed.Image, Revision: o.Revision.ID, Committed: o.At,
		Timeout: cfg.Health.Timeout, Revert: cfg.Health.Revert, Quarantine: cfg.Health.Quarantine,
	}, true
}

// followAll begins to watch rollouts.
func (e *Engine) followAll(list []gate.Watch) {
	if len(list) == 0 {
		return
	}
	if err := e.updating.gate.Follow(list...); err != nil {
		e.log.Error("the rollout of what was committed is not followed", "err", err)
		return
	}
	e.followRollouts()
}

// followRollouts plans a look at the rollouts that are followed, if there are
// any.
func (e *Engine) followRollouts() {
	if len(e.updating.gate.Watches("")) == 0 {
		e.times.Remove(gateKey)
		return
	}
	e.times.Set(gateKey, gateInterval, gateInterval)
}

// rolloutsSoon looks at the rollouts of a sync that has just been applied.
func (e *Engine) rolloutsSoon(sync string) {
	if e.updating != nil && len(e.updating.gate.Watches(sync)) > 0 {
		e.pool.Submit(gateKey, sched.Drift, e.lookAtRollouts)
	}
}

// lookAtRollouts looks once at everything that is followed.
func (e *Engine) lookAtRollouts(ctx context.Context) {
	defer func() {
		if ctx.Err() == nil {
			e.times.Succeeded(gateKey)
			e.followRollouts()
		}
	}()
	running := map[string]map[string]Workload{} // by applier and namespace, then by id
	for _, w := range e.updating.gate.Watches("") {
		o, ok := e.observe(ctx, w, running)
		if !ok || ctx.Err() != nil {
			continue
		}
		next, verdict, reason := w.Observe(o)
		if next == w && verdict == gate.Pending {
			continue
		}
		if err := e.settle(ctx, next, verdict, reason); err != nil {
			e.log.ErrorContext(ctx, "cannot note how a rollout fares: it is looked at again", "workload", w.Workload, "err", err)
		}
	}
}

// observe tells what can be seen of a rollout now; ok is false if the cluster
// cannot be asked. What runs there is asked for once, and kept in running.
func (e *Engine) observe(ctx context.Context, w gate.Watch, running map[string]map[string]Workload) (o gate.Observation, ok bool) {
	e.mu.Lock()
	n := e.nodes[w.Sync]
	if n == nil || n.sync == nil {
		e.mu.Unlock()
		return gate.Observation{At: now(), Applied: true}, true // nobody applies it any more
	}
	o = gate.Observation{At: now(), Applied: e.hasApplied(n, w.Revision), Stalled: n.stalled(w.Workload)}
	address := n.sync.cfg.Applier
	e.mu.Unlock()
	if !o.Applied {
		return o, true
	}
	namespace, _, _ := strings.Cut(w.Workload, ":")
	key := address + " " + namespace
	if running[key] == nil {
		looking, cancel := bounded(ctx, gateTimeout)
		found, err := e.Workloads(looking, WorkloadsRequest{Applier: address, Namespace: namespace})
		cancel()
		if err != nil {
			return o, false
		}
		running[key] = map[string]Workload{}
		for _, live := range found.Workloads {
			running[key][live.ID] = live
		}
	}
	live, there := running[key][w.Workload]
	o.Found, o.Rollout, o.Image = there, live.Rollout, live.imageOf(w.Container)
	return o, true
}

// stalled is why the sync's last run says that a workload will not become
// ready. e.mu is held.
func (n *node) stalled(workload string) string {
	r := n.sync.report
	if r == nil {
		return ""
	}
	for _, o := range r.Objects {
		if workloadID(o.Ref) != workload {
			continue
		}
		switch {
		case o.Health == applier.Stalled:
			return o.Reason
		case o.Failed():
			return o.Failure()
		}
	}
	return ""
}

// settle acts upon what a look at a rollout has come to.
func (e *Engine) settle(ctx context.Context, w gate.Watch, verdict gate.Verdict, reason string) error {
	g := e.updating.gate
	switch verdict {
	case gate.Pending:
		return g.Follow(w)
	case gate.Healthy:
		e.tellRollout(w, eventRolledOut, fmt.Sprintf("%s %s has rolled out %s", w.Workload, w.Container, w.To))
		return g.Drop(w)
	case gate.Overtaken:
		e.tellRollout(w, eventOvertaken, fmt.Sprintf("the rollout of %s to %s %s is not followed any more: %s", w.To, w.Workload, w.Container, reason))
		return g.Drop(w)
	}
	e.updating.counts.failed.Add(1)
	e.tellRollout(w, eventRolloutFailed, fmt.Sprintf("%s %s: %s: %s", w.Workload, w.Container, w.To, reason))
	if w.Quarantine || w.Revert { // what is taken back would be rolled out again
		if err := e.quarantine(ctx, w, reason); err != nil {
			return err
		}
	}
	if w.Revert {
		if err := e.revert(w, reason); err != nil {
			return err
		}
	}
	return g.Drop(w)
}

func (e *Engine) tellRollout(w gate.Watch, reason, text string) {
	ev := eventOf(w.Automation, reason, text)
	ev.Object, ev.Revision = w.Workload, w.Revision
	ev.Attrs = map[string]string{"container": w.Container, "from": w.From, "to": w.To, "sync": w.Sync}
	e.publishEvent(ev)
	e.log.Log(context.Background(), levels[ev.Severity], text, "node", w.Automation, "event", reason)
}

// quarantine keeps automation from rolling the image out again, anywhere.
func (e *Engine) quarantine(ctx context.Context, w gate.Watch, reason string) error {
	image, err := ref.Parse(w.To)
	if err != nil {
		return err
	}
	q := gate.Quarantine{
		Repository: image.CanonicalName(), Tag: image.Tag, Digest: image.Digest,
		Reason: fmt.Sprintf("%s of %s: %s", w.Container, w.Workload, reason), Since: now(),
		Workload: w.Workload, Container: w.Container, Automation: w.Automation,
	}
	if q.Digest == "" {
		q.Digest = e.digestOf(ctx, w, image)
	}
	if err := e.updating.gate.Quarantine(q); err != nil {
		return err
	}
	e.tellRollout(w, eventQuarantined, fmt.Sprintf("%s is not rolled out by automation any more: %s", w.To, q.Reason))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lookSoon("", sched.Webhook)
	return nil
}

// digestOf is the digest that the tag of a watched image has now, so that another
// image under the same tag is not taken for it; "" if nobody can tell.
func (e *Engine) digestOf(ctx context.Context, w gate.Watch, image ref.Ref) string {
	t := images.Target{Workload: w.Workload, Container: w.Container, Image: image}
	e.mu.Lock()
	if n := e.nodes[w.Sync]; n != nil && n.sync != nil {
		for _, live := range e.workloads[n.sync.cfg.Applier] {
			if live.ID == w.Workload {
				t.Consumer = live.consumer()
			}
		}
	}
	e.mu.Unlock()
	asking, cancel := bounded(ctx, gateTimeout)
	defer cancel()
	digest, err := e.imaging.scanner.Lookup(asking, t)
	if err != nil {
		e.log.WarnContext(ctx, "the quarantine is of the tag, whatever it names", "image", w.To, "err", because(asking, err))
		return ""
	}
	return digest
}

// revert has the image that was there before written again.
func (e *Engine) revert(w gate.Watch, reason string) error {
	if w.From == "" {
		return nil
	}
	e.mu.Lock()
	n := e.nodes[w.Sync]
	if n == nil || n.sync == nil {
		e.mu.Unlock()
		return nil
	}
	src := n.sync.cfg.Source
	e.mu.Unlock()
	return e.updating.queue.Submit(writeback.Change{
		ID: "revert " + w.Revision + " " + w.ID(), Source: src, Sync: w.Sync, At: now(),
		Edits:   []edit.Edit{{Workload: w.Workload, Container: w.Container, Image: w.From, From: w.To}},
		Cause:   writeback.Cause{Kind: writeback.Revert, Job: w.Automation},
		Subject: writeback.Subject{Reverts: w.Revision, Reason: reason},
	})
}

// Quarantined returns the images that automation does not roll out, ordered by
// repository and tag.
func (e *Engine) Quarantined() []Quarantine {
	if e.updating == nil {
		return []Quarantine{}
	}
	return e.updating.gate.Quarantined()
}

// Unquarantine lets automation roll out what it kept away, and returns that.
func (e *Engine) Unquarantine(_ context.Context, req UnquarantineRequest) ([]Quarantine, error) {
	if err := e.checkAlive(); err != nil {
		return nil, err
	}
	image, err := ref.Parse(req.Image)
	if err != nil {
		return nil, refuse(ErrInvalid, "%v", err)
	}
	if err := e.letWrite(image); err != nil {
		return nil, err
	}
	lifted, err := e.updating.gate.Lift(image.CanonicalName(), image.Tag)
	if err != nil {
		return nil, err
	}
	if len(lifted) == 0 {
		return nil, refuse(ErrNotFound, "%s is not in quarantine", req.Image)
	}
	for _, q := range lifted {
		e.publishEvent(event.Event{
			Node: q.Automation, Object: q.Workload, Reason: eventUnquarantined, Severity: event.Info,
			Message: fmt.Sprintf("%s:%s may be rolled out again, says %s", q.Repository, q.Tag, orSomebody(req.By)),
		})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lookSoon("", sched.Interactive)
	return lifted, nil
}

func orSomebody(by string) string {
	if by == "" {
		return "somebody"
	}
	return by
}
