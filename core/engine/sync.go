package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// syncJob is the input of one run of a sync: everything that was decided
// under the lock.
type syncJob struct {
	id      string
	cfg     config.Sync
	req     rollout.Request
	applier applier.Applier
	root    string // of the tree
	release func() // of the tree
	loaded  *rollout.Loaded
	key     string // of the load: tree and paths
	origin  string
	last    *rollout.Report // of the run that saw the load called settled through
	settled string          // digest of that load, "" if there is none
	seen    uint64          // the run of the source that has seen that the revision is the newest

	namespace string // of objects that name none, for a renderer
}

// runSync brings one sync from its source's tree to a recorded result.
func (e *Engine) runSync(ctx context.Context, id string) {
	job, ok := e.beginSync(id)
	if !ok {
		return
	}
	defer job.release()
	report, err := e.rollOut(ctx, job)
	if err != nil || ctx.Err() != nil {
		e.abandon(id) // cancelled or superseded: the next run tells
		return
	}
	e.endSync(job, report)
	e.moveMarker(ctx, id)
}

// beginSync decides whether the sync can run, and with what.
func (e *Engine) beginSync(id string) (*syncJob, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.sync == nil {
		return nil, false // removed meanwhile
	}
	n.begin()
	if s := n.suspended(); s != nil {
		e.rest(n, Suspended, s.String(), resumeHint(s, id))
		return nil, false
	}
	if e.oneShot() {
		if err := e.unprepared(n); err != nil {
			e.failed(n, err, "")
			return nil, false
		}
	}
	if by, lack := e.obstacle(n); by != nil {
		e.blocked(n, by, lack)
		return nil, false
	}
	job, err := e.syncJob(n, e.nodes[n.sync.cfg.Source], e.nodes[n.sync.cfg.Applier])
	if err != nil {
		e.failed(n, err, "")
		return nil, false
	}
	n.set(Running, "rolling out "+words.Revision(job.req.Revision), "")
	e.nodeChanged()
	return job, true
}

// syncJob collects what a run needs. e.mu is held.
func (e *Engine) syncJob(n, src, app *node) (*syncJob, error) {
	s := n.sync
	held, ok := e.trees.Get(treeKey(src.source.cfg, src.source.revision))
	if !ok {
		e.triggerLocked(src.id, sched.Webhook)
		return nil, fmt.Errorf("the files of %s are gone from data_dir and are fetched again", words.Revision(src.source.revision))
	}
	s.tree = held.Digest
	job := &syncJob{
		id: n.id, cfg: s.cfg, applier: app.handle.Applier(), root: held.Dir, release: held.Release,
		key:    digest.Of(held.Digest, s.cfg.Paths),
		origin: origin(src.source.cfg, s.cfg), seen: src.source.resolved,
		namespace: defaultNamespace(app.plugin),
	}
	if r := e.nodes[s.cfg.Renderer]; r != nil {
		job.key = digest.Of(held.Digest, s.cfg.Paths, e.renderingKey(r), job.namespace)
		job.origin += ", rendered by " + r.id
	}
	if s.loadedKey == job.key {
		job.loaded = s.loaded
	}
	if s.settledLoad != "" {
		job.last, job.settled = s.report, s.settledLoad
	}
	job.req = rollout.Request{
		Owner: s.cfg.Name, Revision: src.source.revision, Tree: held.Digest, Target: digest.Of(s.cfg.Applier, app.plugin),
		Policy: rollout.Policy{
			Prune: s.cfg.Prune.Enabled, Budget: rollout.Budget(s.cfg.Prune.Max), Kinds: s.cfg.Prune.Kinds,
		},
		Approved: s.record.Approved, Refused: s.record.Refused,
		Origin: job.origin, Recorded: s.record.Origin, Writer: writerID(e.dataDir),
		Adopt: s.cfg.Adopt, Recreate: s.cfg.Recreate, Timeout: s.cfg.Timeout,
		Settled: s.settled == held.Digest,
	}
	if e.aside && job.req.Recorded == "" {
		job.req.Recorded = job.origin // the daemon knows: the plan is not to ask
	}
	if s.cfg.Wait != nil {
		job.req.Wait = s.cfg.Wait.Timeout
	}
	return job, nil
}

func resumeHint(s *Suspension, id string) string {
	if s.Config {
		return "removing suspend from the configuration"
	}
	return "sluice resume " + quoted(id)
}

// quoted makes a name safe to paste into a shell: instances of a for_each have
// brackets and quotes.
func quoted(name string) string {
	if strings.ContainsAny(name, `[]" `) {
		return "'" + name + "'"
	}
	return name
}

// rollOut runs the steps of one rollout. The error says that the run was
// given up; a failure is in the report.
func (e *Engine) rollOut(ctx context.Context, job *syncJob) (*rollout.Report, error) {
	tell := func(p rollout.Progress) {
		e.noteWait(job, p)
		e.progress(job.id, p)
	}
	l, err := e.load(ctx, job)
	if err != nil {
		return rollout.FailedReport(job.req, l, err), nil
	}
	if job.unaffected(l) {
		return job.last.Carry(job.req), nil
	}
	run := rollout.Begin(ctx, job.applier, job.req, l, tell)
	if run.NeedsWait() {
		if err := e.park(ctx, job, run); err != nil {
			return nil, err
		}
	}
	return run.Finish(ctx), nil
}

// unaffected reports whether the job is for a new revision that changes nothing
// about this sync: then there is nothing to ask the target. The interval looks
// after what others change there.
func (j *syncJob) unaffected(l *rollout.Loaded) bool {
	return j.settled != "" && j.settled == l.Digest && j.last.Revision.ID != j.req.Revision.ID && j.req.Recorded == j.req.Origin
}

// load returns the objects of the job's tree, from the last run if that was of
// the same tree.
func (e *Engine) load(ctx context.Context, job *syncJob) (*rollout.Loaded, error) {
	if job.loaded != nil {
		return job.loaded, nil
	}
	e.setLoaded(job.id, nil, "") // the file is about to change: if that fails, nothing vouches for it
	e.progress(job.id, rollout.Progress{Step: rollout.StepLoad})
	l, err := e.loadFiles(ctx, job)
	if err != nil {
		return nil, err
	}
	e.setLoaded(job.id, l, job.key)
	return l, nil
}

func (e *Engine) loadFiles(ctx context.Context, job *syncJob) (*rollout.Loaded, error) {
	if job.cfg.Renderer != "" {
		return e.loadRendered(ctx, job)
	}
	return rollout.Load(ctx, job.root, e.workDirOf(job.id), manifest.Options{Paths: job.cfg.Paths, Tree: job.req.Tree, Cache: e.manifests})
}

// setLoaded remembers what the sync's file of objects holds.
func (e *Engine) setLoaded(id string, l *rollout.Loaded, key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.nodes[id]; n != nil && n.sync != nil {
		n.sync.loaded, n.sync.loadedKey = l, key
	}
}

// park waits for the objects without a worker. The wait ends early when
// something newer is to be rolled out.
func (e *Engine) park(ctx context.Context, job *syncJob, run *rollout.Run) error {
	return sched.Park(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		if !e.enterWait(job, cancel) {
			return errSuperseded
		}
		defer e.leaveWait(job.id)
		return run.Wait(ctx)
	})
}

// enterWait shows the wait and lets others end it. It reports false if there
// is something newer already.
func (e *Engine) enterWait(job *syncJob, end func(error)) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[job.id]
	if n == nil || n.sync == nil || n.queued || !e.alive {
		return false
	}
	if src := e.nodes[n.sync.cfg.Source]; src == nil || src.source.digest() != job.req.Tree {
		return false
	}
	n.sync.endWait = end
	n.set(Waiting, "for the objects of "+words.Revision(job.req.Revision)+" to become ready",
		fmt.Sprintf("all objects being ready, a newer revision, or the end of %s", job.req.Wait))
	e.nodeChanged()
	return true
}

// noteWait keeps the reason of a wait up to date.
func (e *Engine) noteWait(job *syncJob, p rollout.Progress) {
	if p.Step != rollout.StepWait || p.Total == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[job.id]
	if n == nil || n.view.State != Waiting {
		return
	}
	n.view.Reason = fmt.Sprintf("for the objects of %s to become ready: %d of %d are", words.Revision(job.req.Revision), p.Done, p.Total)
	if o := p.Object; o != nil && o.Health != applier.Current {
		n.view.Reason += fmt.Sprintf("; %s is %s", o.Ref, o.Health)
		if o.Reason != "" {
			n.view.Reason += ": " + o.Reason
		}
	}
}

func (e *Engine) leaveWait(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.sync == nil {
		return
	}
	n.sync.endWait = nil
	if n.view.State == Waiting {
		n.set(Running, "finishing", "")
		e.nodeChanged()
	}
}

// supersede runs a sync anew; if it waits for objects, the wait ends. e.mu is
// held.
func (e *Engine) supersede(id string) {
	if n := e.nodes[id]; n != nil && n.sync != nil && n.sync.endWait != nil {
		n.sync.endWait(errSuperseded)
	}
	e.triggerLocked(id, sched.Webhook)
}

// endSync records the report and triggers what it unblocks.
func (e *Engine) endSync(job *syncJob, report *rollout.Report) {
	e.mu.Lock()
	n := e.nodes[job.id]
	if n == nil || n.sync == nil {
		e.mu.Unlock()
		return
	}
	s := n.sync
	before := s.report
	s.report = report
	e.countResources(n)
	e.noteOthers(n, report)
	n.view.Objects, n.view.Failed, n.view.Approval = report.Counts.Wanted, report.Counts.Failed, report.Approval
	if report.Error == "" {
		n.showRevision(report.Revision)
	}
	e.conclude(n, report)
	n.outcome.report = report
	record := s.record
	record.update(job, report)
	changed := before == nil || !sameReport(before, report) || digest.Of(record) != digest.Of(s.record)
	s.record = record
	s.settled, s.settledLoad = "", ""
	if report.Applied() {
		s.settled, s.seen = report.Tree, job.seen
		if n.view.State == Ready && s.loaded != nil && s.loadedKey == job.key {
			s.settledLoad = s.loaded.Digest
		}
		e.tellDependents(job.id)
	}
	if c := report.Counts; c.Created+c.Updated+c.Deleted > 0 {
		e.discoverSoon(job.cfg.Applier)
	}
	e.mu.Unlock()
	e.rolloutsSoon(job.id)
	if changed {
		e.recorder.mark(job.id)
	}
}

// update takes over what a run has achieved.
func (r *syncRecord) update(job *syncJob, report *rollout.Report) {
	if report.Approval != "" && report.Approval != r.Approved {
		r.Approved = "" // it was for another list
	}
	if report.Arrived() && (report.Settled() || r.Origin == "" && report.First()) {
		r.Origin = job.origin
	}
	if report.Settled() {
		r.Approved, r.Refused = "", report.Refused()
	}
	if !report.Applied() {
		return
	}
	r.Revision, r.Tree, r.Config = report.Revision, report.Tree, syncFingerprint(job.cfg)
	if report.Approval == "" {
		r.Ready = report.Finished
	}
}
