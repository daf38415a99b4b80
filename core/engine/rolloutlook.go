package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// lookAtRollouts looks once at everything that is followed. What has come of it
// is written at the end, all at once.
func (e *Engine) lookAtRollouts(ctx context.Context) {
	defer func() {
		if ctx.Err() == nil {
			e.times.Succeeded(gateKey)
			e.followRollouts()
		}
	}()
	l := rolloutLook{e: e, syncs: map[string]*syncLook{}, running: map[string]map[string]Workload{}}
	var next, over []gate.Watch
	for _, w := range e.updating.gate.Watches("") {
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
			if err := e.endRollout(ctx, seen, verdict, reason); err != nil {
				e.log.ErrorContext(ctx, "cannot act upon how a rollout fares: it is looked at again", "workload", w.Workload, "err", err)
				continue
			}
			over = append(over, seen)
		}
	}
	if err := e.updating.gate.Settle(next, over); err != nil {
		e.log.ErrorContext(ctx, "how rollouts fare is not remembered: they are looked at again", "err", err)
	}
}

// rolloutLook is what one look at rollouts has seen so far.
type rolloutLook struct {
	e     *Engine
	syncs map[string]*syncLook // by address; nil: there is no such sync any more

	// running are the workloads by applier and namespace, then by id; nil where
	// nobody could tell, who is not asked again in this look.
	running map[string]map[string]Workload
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
	o = gate.Observation{At: now(), Applied: l.applied(w), Stalled: s.stalled[w.Workload]}
	if !o.Applied {
		return o, true
	}
	namespace, _, _ := strings.Cut(w.Workload, ":")
	running := l.workloads(ctx, s.applier, namespace)
	if running == nil {
		return o, false
	}
	live, there := running[w.Workload]
	o.Found, o.Rollout, o.Image = there, live.Rollout, live.imageOf(w.Container)
	return o, true
}

func (l *rolloutLook) applied(w gate.Watch) bool {
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	n := l.e.nodes[w.Sync]
	return l.e.hasApplied(n, w.Revision)
}

// sync reads the report of a sync once.
func (l *rolloutLook) sync(address string) *syncLook {
	if s, known := l.syncs[address]; known {
		return s
	}
	l.e.mu.Lock()
	n := l.e.nodes[address]
	files, ok := n.files()
	if !ok {
		l.e.mu.Unlock()
		l.syncs[address] = nil
		return nil
	}
	s := &syncLook{applier: files.Applier}
	var report *rollout.Report
	if n.sync != nil {
		report = n.sync.report // a release tells by its own rollout
	}
	l.e.mu.Unlock()
	s.stalled = stalledIn(report)
	l.syncs[address] = s
	return s
}

// stalledIn tells, by workload, why the last run of a sync says that it will not
// become ready.
func stalledIn(r *rollout.Report) map[string]string {
	stalled := map[string]string{}
	if r == nil {
		return stalled
	}
	for _, o := range r.Objects {
		switch {
		case o.Health == applier.Stalled:
			stalled[workloadID(o.Ref)] = o.Reason
		case o.Failed():
			stalled[workloadID(o.Ref)] = o.Failure()
		}
	}
	return stalled
}

// workloads asks once what runs in a namespace; nil if that cannot be told.
func (l *rolloutLook) workloads(ctx context.Context, address, namespace string) map[string]Workload {
	key := address + " " + namespace
	if running, asked := l.running[key]; asked {
		return running
	}
	looking, cancel := bounded(ctx, gateTimeout)
	defer cancel()
	found, err := l.e.Workloads(looking, WorkloadsRequest{Applier: address, Namespace: namespace})
	if err != nil {
		l.e.log.DebugContext(ctx, "cannot see how rollouts fare", "applier", address, "namespace", namespace, "err", because(looking, err))
		l.running[key] = nil
		return nil
	}
	running := make(map[string]Workload, len(found.Workloads))
	for _, live := range found.Workloads {
		running[live.ID] = live
	}
	l.running[key] = running
	return running
}

// endRollout acts upon a rollout that has come to its end.
func (e *Engine) endRollout(ctx context.Context, w gate.Watch, verdict gate.Verdict, reason string) error {
	switch verdict {
	case gate.Healthy:
		e.tellRollout(w, eventRolledOut, fmt.Sprintf("%s %s has rolled out %s", w.Workload, w.Container, w.To))
		return nil
	case gate.Overtaken:
		e.tellRollout(w, eventOvertaken, fmt.Sprintf("the rollout of %s to %s %s is not followed any more: %s", w.To, w.Workload, w.Container, reason))
		return nil
	}
	e.updating.counts.failed.Add(1)
	e.tellRollout(w, eventRolloutFailed, fmt.Sprintf("%s %s: %s: %s", w.Workload, w.Container, w.To, reason))
	if w.Quarantine || w.Revert { // what is taken back would be rolled out again
		if err := e.quarantine(ctx, w, reason); err != nil {
			return err
		}
	}
	if w.Revert {
		return e.revert(w, reason)
	}
	return nil
}
