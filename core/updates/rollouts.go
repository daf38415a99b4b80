package updates

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// gateTimeout bounds one look at one applier, and one question to a registry.
const gateTimeout = time.Minute

// watchOf is how edit i of a change is followed: not at all without a health
// block, or if it waits on a branch.
func (u *Updater) watchOf(cfg config.ImageAutomation, c writeback.Change, o writeback.Outcome, i int) (gate.Watch, bool) {
	ed := c.Edits[i]
	if cfg.Health == nil || c.Cause.Kind != writeback.Automation || c.Branch != "" || ed.Workload == "" || ed.Image == "" || !o.Wrote(i) {
		return gate.Watch{}, false
	}
	return gate.Watch{
		Automation: c.Cause.Job, Sync: c.Sync, Workload: ed.Workload, Container: ed.Container,
		From: ed.From, To: ed.Image, Revision: o.Revision.ID, Committed: o.At,
		Timeout: cfg.Health.Timeout, Revert: cfg.Health.Revert, Quarantine: cfg.Health.Quarantine,
	}, true
}

// follow begins to watch rollouts.
func (u *Updater) follow(list []gate.Watch) {
	if len(list) == 0 {
		return
	}
	for i, w := range list {
		list[i].Digest = u.knownDigest(w)
	}
	if err := u.gate.Follow(list...); err != nil {
		u.log.Error("the rollout of what was committed is not followed", "err", err)
	}
}

// Following counts the rollouts of a sync that are followed, or with "" all.
func (u *Updater) Following(sync string) int { return len(u.gate.Watches(sync)) }

func (u *Updater) tellRollout(w gate.Watch, reason, text string) {
	ev := eventOf(w.Automation, reason, text)
	ev.Object, ev.Revision = w.Workload, w.Revision
	ev.Attrs = map[string]string{"container": w.Container, "from": w.From, "to": w.To, "sync": w.Sync}
	u.site.Publish(ev)
	u.log.Log(context.Background(), ev.Severity.Level(), text, "node", w.Automation, "event", reason)
}

// quarantine keeps automation from rolling the image out again in this sync.
func (u *Updater) quarantine(ctx context.Context, w gate.Watch, reason string) error {
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
		q.Digest = u.digestOf(ctx, w, image)
	}
	if err := u.gate.Quarantine(q); err != nil {
		return err
	}
	u.tellRollout(w, EventQuarantined, fmt.Sprintf("%s is not rolled out by automation any more: %s", w.To, q.Reason))
	u.site.LookSoon(w.Sync, sched.Webhook)
	return nil
}

// digestOf is the digest that the tag of a watched image has now, so that another
// image under the same tag is not taken for it; "" if nobody can tell.
func (u *Updater) digestOf(ctx context.Context, w gate.Watch, image ref.Ref) string {
	t := u.watchedImage(w, image)
	asking, cancel := deadline.Within(ctx, gateTimeout)
	defer cancel()
	digest, err := u.scanner.Lookup(asking, t)
	if err != nil {
		u.log.WarnContext(ctx, "the quarantine is of the tag, whatever it names", "image", w.To, "err", deadline.Because(asking, err))
		return ""
	}
	return digest
}

// watchedImage is what a registry is asked for a watched image, in the name of
// its workload.
func (u *Updater) watchedImage(w gate.Watch, image ref.Ref) images.Target {
	t := images.Target{Workload: w.Workload, Container: w.Container, Image: image}
	f, _ := u.site.Files(w.Sync)
	for _, live := range u.site.Running(f.Sync.Applier) {
		if live.ID == w.Workload {
			t.Consumer = live.Consumer()
		}
	}
	return t
}

// knownDigest is the digest that the tag of a watched image has, as far as it is
// known without asking anybody.
func (u *Updater) knownDigest(w gate.Watch) string {
	image, err := ref.Parse(w.To)
	if err != nil || image.Digest != "" {
		return image.Digest
	}
	in := u.input(context.Background(), w.Sync, u.watchedImage(w, image))
	for _, t := range in.Tags {
		if t.Tag == image.Tag {
			return t.Digest
		}
	}
	return ""
}

// revert has the image that was there before written again.
func (u *Updater) revert(w gate.Watch, reason string) error {
	if w.From == "" {
		return nil
	}
	f, ok := u.site.Files(w.Sync)
	if !ok {
		return nil
	}
	return u.queue.Submit(writeback.Change{
		ID: "revert " + w.Revision + " " + w.ID(), Source: f.Sync.Source, Sync: w.Sync, At: now(),
		Edits:   []edit.Edit{{Workload: w.Workload, Container: w.Container, Image: w.From, From: w.To}},
		Cause:   writeback.Cause{Kind: writeback.Revert, Job: w.Automation},
		Subject: writeback.Subject{Reverts: w.Revision, Reason: reason},
	})
}

// UnquarantineRequest lifts the quarantine of a tag.
type UnquarantineRequest struct {
	Image string `json:"image"` // name:tag, or name for all tags of it
	By    string `json:"by,omitempty"`
}

// Quarantined returns the images that automation does not roll out, ordered by
// repository and tag.
func (u *Updater) Quarantined() []gate.Quarantine {
	return u.gate.Quarantined()
}

// Unquarantine lets automation roll out what it kept away, and returns that.
func (u *Updater) Unquarantine(req UnquarantineRequest) ([]gate.Quarantine, error) {
	image, err := ref.Parse(req.Image)
	if err != nil {
		return nil, refusal.Invalid("%v", err)
	}
	if err := u.letWrite(image); err != nil {
		return nil, err
	}
	lifted, err := u.gate.Lift(image.CanonicalName(), image.Tag)
	if err != nil {
		return nil, err
	}
	if len(lifted) == 0 {
		return nil, refusal.NotFound("%s is not in quarantine", req.Image)
	}
	for _, q := range lifted {
		u.site.Publish(event.Event{
			Node: q.Automation, Object: q.Workload, Reason: EventUnquarantined, Severity: event.Info,
			Message: fmt.Sprintf("%s:%s may be rolled out again, says %s", q.Repository, q.Tag, orSomebody(req.By)),
		})
	}
	u.site.LookSoon("", sched.Interactive)
	return lifted, nil
}

func orSomebody(by string) string {
	if by == "" {
		return "somebody"
	}
	return by
}
