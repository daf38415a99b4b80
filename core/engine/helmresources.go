package engine

import (
	"slices"

	"github.com/sluice-gitops/sluice/core/engine/resources"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/leave"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// parsed is a resource with what it declares.
type parsed struct {
	applier.Resource
	resource resource.Resource
	err      error
}

// parse reads what a resource declares, if it is one that exists.
func parse(r applier.Resource, o resource.Options) parsed {
	p := parsed{Resource: r}
	if r.Ref.Name != "" && !r.Deleted {
		p.resource, p.err = resource.Parse(r.Object, o)
	}
	p.resource.Ref, p.resource.UID = r.Ref, r.UID
	return p
}

// takeResources takes over what has changed among the custom resources of a
// cluster.
func (e *Engine) takeResources(f *following, b resources.Batch) {
	list := make([]parsed, len(b.List)) // parsed before the lock is taken
	for i, r := range b.List {
		list[i] = parse(r, f.Options)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.followed[f.Applier] != f || e.nodes[f.Helm] == nil || e.nodes[f.Applier] == nil {
		return
	}
	f.sight.Take(b)
	turn := &turnover{engine: e, following: f}
	for _, p := range list {
		turn.take(p)
	}
	turn.end()
}

// turnover is what one batch changes. Engine.mu is held while it lasts.
type turnover struct {
	engine    *Engine
	following *following
	run       []string // nodes to be run
	relink    bool
}

func (t *turnover) take(p parsed) {
	f := t.following
	switch {
	case p.Ref == (applier.Ref{}):
		t.passed()
		return
	case p.Ref.Name == "":
		t.problem(p)
		return
	}
	id := p.resource.ID(f.Name)
	f.sight.Saw(id, !p.Deleted)
	switch n := t.engine.nodes[id]; {
	case p.Deleted:
		t.deleted(n)
	case n == nil:
		t.added(id, p)
	default:
		t.changed(n, p)
	}
}

func (t *turnover) problem(p parsed) {
	t.following.sight.Problem(p.Ref, p.Problem)
	if p.Problem == "" {
		return
	}
	t.engine.log.Warn("custom resources cannot be seen", "node", t.following.Applier, "kind", p.Ref.Kind, "namespace", p.Ref.Namespace, "err", p.Problem)
}

// declaration is what a resource declares. e.mu is held.
func (t *turnover) declaration(p parsed) declare.Declaration {
	return t.following.Resource(p.resource, p.err, func(id string) bool { return t.engine.nodes[id] != nil })
}

// added makes the node of a resource that was not there.
func (t *turnover) added(id string, p parsed) {
	e := t.engine
	n := &node{id: id, view: Node{ID: id, State: Waiting, Reason: "for its first run", Since: now()}}
	n.suspension = e.recallSuspension(id)
	d := t.declaration(p)
	e.recallRelease(n, d)
	e.recallFromStatus(n, p.resource)
	e.nodes[id] = n
	t.relink = true
	t.declare(n, d, p)
	if s := n.suspended(); s != nil && n.release.leaving == nil {
		n.set(Suspended, s.String(), resumeHint(s, id))
	}
	t.run = append(t.run, id)
}

// changed takes over what a resource declares now. A change of its status, or of
// what is not about the release, is none.
func (t *turnover) changed(n *node, p parsed) {
	r := n.release
	d := t.declaration(p)
	same := r.declared.Key == d.Key && r.leaving == nil && !p.Deleting
	again := r.leaving != nil && !p.Deleting // made anew while the release goes
	if r.leaving != nil && p.Deleting && r.leaving.Resource {
		r.declared.Resource = d.Resource
		if l := t.parting(d, p); l.Keep == r.leaving.Keep && l.Doomed == r.leaving.Doomed {
			return // that is under way
		}
	}
	t.relink = t.relink || !same
	t.declare(n, d, p)
	if same {
		return
	}
	if r.endRun != nil {
		r.endRun(errSuperseded)
	}
	if again {
		r.synced = ""
	}
	t.run = append(t.run, n.id)
}

// declare gives n what a resource declares, or has it leave if that goes.
func (t *turnover) declare(n *node, d declare.Declaration, p parsed) {
	r := n.release
	if old := r.declared.Spec.Chart.Tree; old != nil && d.Spec.Chart.Tree == nil && d.Resource.Git != nil {
		d.Spec.Chart.Tree = old // until it is placed anew
	}
	t.warn(n.id, r.declared.Resource, d.Resource)
	r.declared, r.leaving, r.gone = d, nil, false
	n.view.Declared = d.Place
	if p.Deleting {
		r.leaving = t.parting(d, p)
	}
}

// warn logs what is doubtful about a resource, and was not before.
func (t *turnover) warn(id string, before, now *resource.Resource) {
	var known []string
	if before != nil {
		known = before.Misgivings()
	}
	for _, text := range now.Misgivings() {
		if !slices.Contains(known, text) {
			t.engine.log.Warn("a resource may not mean what it says", "node", id, "warning", text)
		}
	}
}

// parting is the end of a release whose resource is being deleted.
func (t *turnover) parting(d declare.Declaration, p parsed) *leave.Leaving {
	l := leave.Resource(d, leave.Deletion{Namespace: p.NamespaceDeleting, Definition: p.DefinitionDeleting, Uninstall: t.following.uninstall}, now())
	return &l
}

// deleted takes note that a resource is gone.
func (t *turnover) deleted(n *node) {
	if n != nil {
		t.vanished(n)
	}
}

// vanished has a node go whose resource does not exist any more. Whatever ran has
// our finalizer, so that a deletion is seen before its end: where it was not,
// somebody took the finalizer away, a backup was restored, or a listing lacks
// something. Nobody has asked for the end of the release then.
func (t *turnover) vanished(n *node) {
	e, r := t.engine, n.release
	if w := t.following.writer; w != nil {
		w.Forget(n.id)
	}
	r.gone = true
	if r.leaving != nil && !r.leaving.Keep {
		if !n.busy() { // or else its run drops it
			t.run = append(t.run, n.id)
		}
		return
	}
	if r.endRun != nil {
		r.endRun(errSuperseded)
	}
	if r.installed() && r.leaving == nil {
		e.publish(n, eventRemoved, r.declared.Place+" is gone without having been deleted in our presence: "+leave.Stays(r.record.Ref))
	}
	r.failTasks()
	e.drop(n)
	e.freed(n, r.ref())
	e.dropRecords(n.id)
}

// passed ends the first pass: what it has not shown does not exist.
func (t *turnover) passed() {
	e, f := t.engine, t.following
	if !f.sight.Passing() {
		return
	}
	for _, n := range sortedNodes(e.nodes) {
		if r := n.release; r != nil && r.declared.Applier == f.Applier && r.declared.Resource != nil && f.sight.Missed(n.id, r.declared.Resource.Ref) {
			t.vanished(n)
		}
	}
	t.recall()
	f.sight.Passed()
}

// recall goes on with the ends of releases whose resources were being deleted
// when the last daemon ended, and forgets those whose resources are gone.
func (t *turnover) recall() {
	e, f := t.engine, t.following
	ids, err := releaseRecords.IDs(e.store)
	if err != nil {
		e.log.Warn("cannot tell which resources are gone", "err", err)
		return
	}
	for _, id := range ids {
		stored, ok, err := releaseRecords.Get(e.store, id)
		if err != nil || !ok || e.dropped[id] || e.nodes[id] != nil || stored.Resource == nil || stored.Applier != f.Applier || f.sight.Blind(*stored.Resource) {
			continue
		}
		n := &node{id: id, release: stored.recalled(), view: Node{ID: id, State: Waiting, Reason: "for its first run", Since: now()}}
		n.release.gone = true
		if l := stored.Leaving; l != nil && !l.Keep && stored.Target == e.targetOf(n.release.declared) {
			e.nodes[id] = n
			t.relink = true
			t.run = append(t.run, id)
			continue
		}
		if n.release.installed() {
			e.publish(n, eventRemoved, "its resource is gone without having been deleted in our presence: "+leave.Stays(n.release.record.Ref))
		}
		e.dropRecords(id)
	}
}

// end has run what the batch concerns.
func (t *turnover) end() {
	e := t.engine
	if t.relink {
		t.run = append(t.run, e.placeCharts()...)
		e.relink()
	}
	for _, id := range t.run {
		n := e.nodes[id]
		if n == nil {
			continue
		}
		e.schedulePart(n)
		n.view.DependsOn = n.needs()
		e.triggerLocked(id, sched.Webhook)
		e.recorder.mark(id)
	}
	if t.relink {
		e.nodeChanged()
	}
}
