package updates

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// LookAtRollouts looks once at everything that is followed. What has come of it
// is written at the end, all at once.
func (u *Updater) LookAtRollouts(ctx context.Context) {
	l := rolloutLook{u: u, syncs: map[string]*syncLook{}, running: map[string]map[string]workload.Workload{}}
	var next, over []gate.Watch
	for _, w := range u.gate.Watches("") {
		o, ok := l.observe(ctx, w)
		if ctx.Err() != nil {
			break
		}
		if !ok {
			continue
		}
		seen, verdict, reason := w.Observe(o)
		switch {
		case verdict == gate.Pending && seen != w:
			next = append(next, seen)
		case verdict == gate.Pending:
		default:
			if err := u.endRollout(ctx, seen, verdict, reason); err != nil {
				u.log.ErrorContext(ctx, "cannot act upon how a rollout fares: it is looked at again", "workload", w.Workload, "err", err)
				continue
			}
			over = append(over, seen)
		}
	}
	if err := u.gate.Settle(next, over); err != nil {
		u.log.ErrorContext(ctx, "how rollouts fare is not remembered: they are looked at again", "err", err)
	}
}

// rolloutLook is what one look at rollouts has seen so far.
type rolloutLook struct {
	u     *Updater
	syncs map[string]*syncLook // by address; nil: there is no such sync any more

	// running are the workloads by applier and namespace, then by id; nil where
	// nobody could tell, who is not asked again in this look.
	running map[string]map[string]workload.Workload
}

// syncLook is what a look needs of a sync.
type syncLook struct {
	applier string            // address
	stalled map[string]string // by workload, why it will not become ready
}

// observe tells what can be seen of a rollout now; ok is false if the cluster
// cannot be asked.
func (l *rolloutLook) observe(ctx context.Context, w gate.Watch) (o gate.Observation, ok bool) {
	s := l.sync(w.Sync)
	if s == nil {
		return gate.Observation{At: now(), Applied: true}, true // nobody applies it any more
	}
	o = gate.Observation{At: now(), Applied: l.u.applied(w.Sync, w.Revision), Stalled: s.stalled[w.Workload]}
	if !o.Applied {
		return o, true
	}
	namespace, _, _ := strings.Cut(w.Workload, ":")
	running := l.workloads(ctx, s.applier, namespace)
	if running == nil {
		return o, false
	}
	live, there := running[w.Workload]
	o.Found, o.Rollout, o.Image = there, live.Rollout, live.ImageOf(w.Container)
	if live.Release != "" && o.Rollout.Phase == applier.RolloutReady {
		o.Rollout, ok = l.made(ctx, s.applier, live, w.To)
		return o, ok
	}
	return o, true
}

// made is how far those have come of what a Helm release has made that run an
// image: whoever does not have Helm wait is told that a release is ready before
// they are. ok is false if the cluster cannot be asked.
func (l *rolloutLook) made(ctx context.Context, applierID string, live workload.Workload, image string) (r applier.Rollout, ok bool) {
	namespace, _, _ := strings.Cut(live.Release, "/")
	running := l.workloads(ctx, applierID, namespace)
	if running == nil {
		return live.Rollout, false
	}
	for _, id := range slices.Sorted(maps.Keys(running)) {
		part := running[id]
		if id == live.ID || part.Release != live.Release || part.Rollout.Phase == applier.RolloutReady || part.Rollout.Phase == "" {
			continue
		}
		if slices.ContainsFunc(part.Containers, func(c applier.Container) bool { return ref.Same(c.Image, image) }) {
			part.Rollout.Message = strings.TrimSuffix(id+": "+part.Rollout.Message, ": ")
			return part.Rollout, true
		}
	}
	return live.Rollout, true
}

// sync reads the report of a sync once.
func (l *rolloutLook) sync(id string) *syncLook {
	if s, known := l.syncs[id]; known {
		return s
	}
	var s *syncLook
	if f, ok := l.u.site.Files(id); ok {
		s = &syncLook{applier: f.Sync.Applier, stalled: l.u.site.Stalled(id)}
	}
	l.syncs[id] = s
	return s
}

// workloads asks once what runs in a namespace; nil if that cannot be told.
func (l *rolloutLook) workloads(ctx context.Context, address, namespace string) map[string]workload.Workload {
	key := address + " " + namespace
	if running, asked := l.running[key]; asked {
		return running
	}
	looking, cancel := deadline.Within(ctx, gateTimeout)
	defer cancel()
	found, err := l.u.site.Workloads(looking, workload.Request{Applier: address, Namespace: namespace})
	if err != nil {
		l.u.log.DebugContext(ctx, "cannot see how rollouts fare", "applier", address, "namespace", namespace, "err", deadline.Because(looking, err))
		l.running[key] = nil
		return nil
	}
	running := make(map[string]workload.Workload, len(found.Workloads))
	for _, live := range found.Workloads {
		running[live.ID] = live
	}
	l.running[key] = running
	return running
}

// endRollout acts upon a rollout that has come to its end.
func (u *Updater) endRollout(ctx context.Context, w gate.Watch, verdict gate.Verdict, reason string) error {
	switch verdict {
	case gate.Healthy:
		u.tellRollout(w, EventRolledOut, fmt.Sprintf("%s %s has rolled out %s", w.Workload, w.Container, w.To))
		return nil
	case gate.Overtaken:
		u.tellRollout(w, EventOvertaken, fmt.Sprintf("the rollout of %s to %s %s is not followed any more: %s", w.To, w.Workload, w.Container, reason))
		return nil
	}
	u.counts.failed.Add(1)
	u.tellRollout(w, EventRolloutFailed, fmt.Sprintf("%s %s: %s: %s", w.Workload, w.Container, w.To, reason))
	if w.Quarantine || w.Revert { // what is taken back would be rolled out again
		if err := u.quarantine(ctx, w, reason); err != nil {
			return err
		}
	}
	if w.Revert {
		return u.revert(w, reason)
	}
	return nil
}
