package engine

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/writeback"
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
	for i, w := range list {
		list[i].Digest = e.knownDigest(w)
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

func (e *Engine) tellRollout(w gate.Watch, reason, text string) {
	ev := eventOf(w.Automation, reason, text)
	ev.Object, ev.Revision = w.Workload, w.Revision
	ev.Attrs = map[string]string{"container": w.Container, "from": w.From, "to": w.To, "sync": w.Sync}
	e.publishEvent(ev)
	e.log.Log(context.Background(), levels[ev.Severity], text, "node", w.Automation, "event", reason)
}

// quarantine keeps automation from rolling the image out again in this sync.
func (e *Engine) quarantine(ctx context.Context, w gate.Watch, reason string) error {
	image, err := ref.Parse(w.To)
	if err != nil {
		return err
	}
	q := gate.Quarantine{
		Repository: image.CanonicalName(), Tag: image.Tag, Digest: cmp.Or(image.Digest, w.Digest), Sync: w.Sync,
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
	e.lookSoon(w.Sync, sched.Webhook)
	return nil
}

// digestOf is the digest that the tag of a watched image has now, so that another
// image under the same tag is not taken for it; "" if nobody can tell.
func (e *Engine) digestOf(ctx context.Context, w gate.Watch, image ref.Ref) string {
	t := e.watchedImage(w, image)
	asking, cancel := bounded(ctx, gateTimeout)
	defer cancel()
	digest, err := e.imaging.scanner.Lookup(asking, t)
	if err != nil {
		e.log.WarnContext(ctx, "the quarantine is of the tag, whatever it names", "image", w.To, "err", because(asking, err))
		return ""
	}
	return digest
}

// watchedImage is what a registry is asked for a watched image, in the name of
// its workload.
func (e *Engine) watchedImage(w gate.Watch, image ref.Ref) images.Target {
	t := images.Target{Workload: w.Workload, Container: w.Container, Image: image}
	e.mu.Lock()
	defer e.mu.Unlock()
	files, _ := e.nodes[w.Sync].files()
	for _, live := range e.workloads[files.Applier] {
		if live.ID == w.Workload {
			t.Consumer = live.consumer()
		}
	}
	return t
}

// knownDigest is the digest that the tag of a watched image has, as far as it is
// known without asking anybody.
func (e *Engine) knownDigest(w gate.Watch) string {
	image, err := ref.Parse(w.To)
	if err != nil || image.Digest != "" {
		return image.Digest
	}
	in := e.input(context.Background(), w.Sync, e.watchedImage(w, image))
	for _, t := range in.Tags {
		if t.Tag == image.Tag {
			return t.Digest
		}
	}
	return ""
}

// revert has the image that was there before written again.
func (e *Engine) revert(w gate.Watch, reason string) error {
	if w.From == "" {
		return nil
	}
	e.mu.Lock()
	files, ok := e.nodes[w.Sync].files()
	e.mu.Unlock()
	if !ok {
		return nil
	}
	return e.updating.queue.Submit(writeback.Change{
		ID: "revert " + w.Revision + " " + w.ID(), Source: files.Source, Sync: w.Sync, At: now(),
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
