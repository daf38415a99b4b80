package engine

import (
	"fmt"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/leave"
	"github.com/sluice-gitops/sluice/core/release/rivals"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// releaseJob is the input of one run of a release: everything that was decided
// under the lock.
type releaseJob struct {
	id       string
	declared declare.Declaration
	record   release.Record
	host     release.Host
	keeper   applier.ResourceKeeper // nil where there is none
	slots    *sched.Slots
	at       map[string]string // revisions of the sources
	target   string
	task     *byhand.Task   // by hand, instead of what is declared
	leaving  *leave.Leaving // instead of what is declared, if not nil
	begins   bool           // the record is new, and nowhere on disk
	on       []rivals.Target
	before   *release.Report // of the run before
	former   helm.ReleaseRef // what it is about, if not what is declared
	inherits string          // whose the release may be as well
	end      func(cause error)
}

// can reports whether the helm of the job has a capability.
func (j *releaseJob) can(capability string) bool { return j.host.Can == nil || j.host.Can(capability) }

// beginRecord makes sure that a process that is killed in the first run leaves
// behind what there is to uninstall, should the declaration be gone by then.
func (e *Engine) beginRecord(job *releaseJob) error {
	if !job.begins {
		return nil
	}
	e.mu.Lock()
	n := e.nodes[job.id]
	if n == nil || n.release == nil {
		e.mu.Unlock()
		return errSuperseded
	}
	n.release.target = job.target
	change := releaseRecords.Change(job.id, n.release.stored())
	e.mu.Unlock()
	return e.store.Write([]state.Change{change})
}

// beginRelease decides whether a release can run, and with what. end ends the
// run.
func (e *Engine) beginRelease(id string, end func(error)) (*releaseJob, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.release == nil {
		return nil, false // removed meanwhile
	}
	n.begin()
	r := n.release
	task := r.asked.Next()
	job := &releaseJob{id: id, declared: r.declared, record: r.record, task: task, leaving: r.leaving, end: end, before: r.report}
	if job.inherits = r.inherits; task != nil {
		job.former = task.Former
	}
	if !e.mayRun(n, job) {
		return nil, false
	}
	by, lack := e.releaseObstacle(n, job.ends(), job.task != nil)
	if by == nil {
		by, lack = e.takeTurn(n, job), "is at work on the same release"
	}
	if by != nil {
		if by.isHelm() && !by.busy() && by.failure == nil {
			e.triggerLocked(by.id, sched.Interactive)
		}
		switch {
		case task == nil:
		case by.busy() && e.alive: // about to open
			r.asked.PutBack(task)
		default:
			task.Finish(fmt.Errorf("%s %s: %s", by.id, lack, by.view.Reason))
		}
		e.blocked(n, by, lack)
		return nil, false
	}
	h := e.nodes[r.declared.Helm]
	job.host, job.slots, job.at, job.target = e.releaseHost(n, h), h.helm.slots, e.sourceRevisions(r.declared), e.targetOf(r.declared)
	if f := e.followed[r.declared.Applier]; f != nil {
		job.keeper = f.keeper
	}
	e.changeTarget(n, job)
	if task == nil && job.leaving == nil {
		job.begins = !r.record.Knows(r.declared.Spec.Ref)
		r.record = r.record.Begin(r.declared.Spec)
		job.record = r.record
	}
	job.declared.Spec.Inherits = r.inherits
	job.host.Asked = e.oneShot()
	if r.forgive && task == nil {
		r.forgive, job.record, job.host.Asked = false, job.record.Forgive(), true
	}
	r.endRun = end
	n.set(Running, "looking at the release", "")
	e.nodeChanged()
	return job, true
}

// mayRun ends a run that is not to happen now, whatever others do. e.mu is held.
func (e *Engine) mayRun(n *node, job *releaseJob) bool {
	r := n.release
	twin := e.twinOf(n)
	switch {
	case twin != nil:
		err := fmt.Errorf("%s follows the same resource: %s and %s are one cluster. Write resources = false in the helm block of one of them", twin.id, twin.release.declared.Applier, r.declared.Applier)
		if job.task != nil {
			job.task.Finish(err)
		}
		e.failed(n, permanent(err), "the end of "+twin.id)
		return false
	case job.former.Name != "":
		return true // whoever else declares what n does now
	case job.task != nil:
	case job.ends():
		return e.mayEnd(n, job.leaving)
	case n.suspended() != nil:
		s := n.suspended()
		e.tellWaits(n, s.String())
		e.rest(n, Suspended, s.String(), resumeHint(s, n.id))
		return false
	case r.declared.Err != nil:
		e.endInvalid(n, r.declared.Err)
		return false
	case r.circle != "":
		e.endInvalid(n, fmt.Errorf("it depends on itself, in a circle: %s", r.circle))
		return false
	}
	return e.isFirst(n, job)
}

// releaseObstacle returns the node that n has to wait for and what that node
// lacks, nil if n can run: to its end, if ends, or by hand. e.mu is held.
func (e *Engine) releaseObstacle(n *node, ends, byHand bool) (by *node, lack string) {
	d := n.release.declared
	open := []string{d.Helm}
	if !ends && d.Applier != "" {
		open = append(open, d.Applier)
	}
	for _, id := range open {
		if in := e.nodes[id]; in == nil {
			return &node{id: id}, "is not in the configuration"
		} else if in.handle == nil {
			return in, "is not open"
		}
	}
	if by := e.awayFor(n); by != nil {
		return by, lacksTarget
	}
	if ends || byHand {
		return nil, ""
	}
	for _, id := range d.Sources() {
		if src := e.nodes[id]; src != nil && src.source.tree == nil {
			return src, "has no revision yet"
		}
	}
	for _, id := range d.DependsOn {
		if dep := e.nodes[id]; dep == nil {
			return &node{id: id}, "does not exist"
		} else if by, lack := e.lacking(dep); by != nil {
			return by, lack
		}
	}
	return nil, ""
}

// changeTarget forgets what is known of a release if its cluster is another one
// now: what was installed in the former stays there. e.mu is held.
func (e *Engine) changeTarget(n *node, job *releaseJob) {
	r := n.release
	if r.target == "" || r.target == job.target {
		return
	}
	if r.installed() && r.leaving == nil {
		e.publish(n, eventRemoved, "its cluster is configured anew: if it is another one, what was installed in the former stays there, where nothing manages it")
	}
	r.record, r.report, r.synced = release.Record{}, nil, ""
	job.record = r.record
}

// sourceRevisions are those that a run of d begins with. e.mu is held.
func (e *Engine) sourceRevisions(d declare.Declaration) map[string]string {
	at := map[string]string{}
	for _, id := range d.Sources() {
		if src := e.nodes[id]; src != nil {
			at[id] = src.source.revision.ID
		}
	}
	return at
}

// targetOf identifies the cluster of a release: a record is good for the same one
// only. e.mu is held.
func (e *Engine) targetOf(d declare.Declaration) string {
	if h := e.nodes[d.Helm]; h == nil || h.plugin == nil {
		return ""
	}
	return e.clusterOf(d.Helm)
}
