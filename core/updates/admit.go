package updates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/core/updates/rules"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk"
)

// suspendedPause is when a change of a suspended automation is looked at again:
// whoever resumes it has the queue look at once.
const suspendedPause = 5 * time.Minute

// judge tells of edits of one tree whether they are still wanted: between a
// decision and its commit people may have stopped it. It asks nobody but the
// tree and what this process knows.
type judge struct {
	updater *Updater
	sync    string
	read    func() (edit.Found, error)

	found     edit.Found
	workloads map[string]edit.Workload // of found; nil until they are asked for
	announced map[string][]edit.Edit   // by workload, annotations that people have asked for
	forced    map[string]bool          // by job
}

// admit implements writeback.Options.Admit.
func (u *Updater) admit(ctx context.Context, sync string, t writeback.Tree) func(writeback.Change, edit.Edit) error {
	j := &judge{updater: u, sync: sync, forced: map[string]bool{}}
	j.read = func() (edit.Found, error) {
		f, ok := u.site.Files(sync)
		if !ok {
			return edit.Found{}, gone(sync)
		}
		return u.declaredIn(ctx, f, &tree.Tree{Dir: t.Dir, Digest: t.Digest})
	}
	return j.judge
}

// judge returns why an edit is not to be made, or not now.
func (j *judge) judge(c writeback.Change, ed edit.Edit) error {
	byAutomation := c.Cause.Kind == writeback.Automation || c.Cause.Kind == writeback.Revert
	if byAutomation {
		if err := j.updater.atWork(c.Cause.Job); err != nil {
			return err
		}
	}
	if ed.Image == "" || c.Cause.Kind == writeback.Policy || c.Cause.Kind == writeback.Release && j.force(c.Cause.Job) {
		return nil
	}
	if err := j.open(); err != nil {
		return err
	}
	if w, ok := j.workloads[ed.Workload]; ok {
		w.Annotations = j.annotations(w)
		return j.ofWorkload(c, ed, w)
	}
	if c.Cause.Kind != writeback.Automation {
		return nil
	}
	return j.loose(ed)
}

// atWork returns why the automation with the id does not write now.
func (u *Updater) atWork(id string) error {
	a, ok := u.site.Automation(id)
	if !ok {
		return gone(id)
	}
	if a.Suspended != "" {
		return sdk.RetryAfter(fmt.Errorf("%s is %s", id, a.Suspended), suspendedPause)
	}
	return nil
}

// force reports whether locks do not stop a job.
func (j *judge) force(job string) bool {
	force, known := j.forced[job]
	if !known {
		stored, _, _ := j.updater.jobs.Get(job)
		force = stored.Release != nil && stored.Release.Spec.Force
		j.forced[job] = force
	}
	return force
}

// open reads the tree, once.
func (j *judge) open() error {
	if j.workloads != nil {
		return nil
	}
	var err error
	if j.found, err = j.read(); err != nil {
		return passingTrouble(err)
	}
	j.workloads, j.announced = map[string]edit.Workload{}, map[string][]edit.Edit{}
	for _, w := range j.found.Workloads {
		j.workloads[w.ID] = w
	}
	for _, c := range j.updater.queue.Pending(j.sync) {
		for _, ed := range c.Edits {
			if c.Cause.Kind == writeback.Policy && len(ed.Set)+len(ed.Remove) > 0 {
				j.announced[ed.Workload] = append(j.announced[ed.Workload], ed)
			}
		}
	}
	return nil
}

// annotations are those of a workload with what people have asked for: a lock
// that waits for the same commit counts.
func (j *judge) annotations(w edit.Workload) map[string]string {
	if len(j.announced[w.ID]) == 0 {
		return w.Annotations
	}
	all := map[string]string{}
	maps.Copy(all, w.Annotations)
	for _, ed := range j.announced[w.ID] {
		for _, key := range ed.Remove {
			delete(all, key)
		}
		maps.Copy(all, ed.Set)
	}
	return all
}

// ofWorkload judges an edit of a container.
func (j *judge) ofWorkload(c writeback.Change, ed edit.Edit, w edit.Workload) error {
	p := policy.Of(w.Annotations)
	switch {
	case p.Locked:
		return errors.New(describeLock(p))
	case c.Cause.Kind == writeback.Release:
		return nil
	case p.Ignored || j.updater.ignoredLive(j.sync, w.ID):
		return errors.New("it is to be ignored")
	case c.Cause.Kind == writeback.Revert:
		return nil
	}
	for _, have := range w.Containers {
		if have.Name != ed.Container {
			continue
		}
		current, err := ref.Parse(have.Image)
		if err != nil {
			return err
		}
		own, automated := j.updater.Setup().Book.Of(rules.About{Sync: j.sync, Workload: w.ID, Container: have.Name, Image: current}, p)
		if !automated {
			return errors.New("it is not automated any more")
		}
		return j.taken(own, ed.Image)
	}
	return nil // the editor tells
}

// loose judges an edit of markers, or of an entry of a kustomization.
func (j *judge) loose(ed edit.Edit) error {
	image, err := ref.Parse(ed.Image)
	if err != nil {
		return err
	}
	book := j.updater.Setup().Book
	block, ok := book.OfRepository(j.sync, image)
	if ed.Marker != "" {
		if block, err = book.Named(j.sync, ed.Marker); err != nil {
			return err
		}
		ok = true
	}
	if !ok || !block.Automated {
		return errors.New("no image_policy is about it any more")
	}
	return j.taken(block.Rules, ed.Image)
}

// taken returns why rules do not take an image.
func (j *judge) taken(rules policy.Rules, text string) error {
	image, err := ref.Parse(text)
	if err != nil {
		return err
	}
	if reason := j.updater.gate.Reason(j.sync, image.CanonicalName(), image.Tag, image.Digest); reason != "" {
		return fmt.Errorf("%s is in quarantine: %s", image.Tag, reason)
	}
	if rules.Err != nil {
		return rules.Err
	}
	if !rules.Policy.Matches(image.Tag) {
		return fmt.Errorf("the policy %s (%s) does not take %s any more", rules, rules.Source, image.Tag)
	}
	return nil
}

// describeLock says who locked a workload, and why.
func describeLock(p policy.Workload) string {
	text := "it is locked"
	if p.LockedBy != "" {
		text += " by " + p.LockedBy
	}
	if p.LockedReason != "" {
		text += ": " + p.LockedReason
	}
	return text
}

// ignoredLive reports whether what runs says that a workload of a sync is not
// to be looked after.
func (u *Updater) ignoredLive(sync, id string) bool {
	f, _ := u.site.Files(sync)
	for _, w := range u.site.Running(f.Sync.Applier) {
		if w.ID == id {
			return w.Policy().Ignored
		}
	}
	return false
}
