package releases

import (
	"context"
	"errors"
	"fmt"

	releaser "helm.sh/helm/v4/pkg/release"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// journal is what Helm's own code records one operation in. It sees to what
// Helm does not:
//
//   - Helm looks at the newest revision for itself, after the operation has. What
//     somebody else has begun between the two is refused, and left alone.
//   - An operation begins to change the cluster when it records a revision.
//     Until then it can be called off.
//   - A revision is deployed, and a release is gone, when what revisions that
//     failed have left behind is gone as well. Until then the record does not say
//     so: whoever goes on with it knows that there is something left to do.
//   - What the API server quotes of a value that looks secret is not recorded.
type journal struct {
	driver.Driver
	confine func(*release.Release) error
	begin   func() error                 // nil: nothing keeps it from beginning
	finish  func(*release.Release) error // before a revision is deployed or gone; nil: nothing is left
	hidden  *hidden

	aimed    bool             // last is what the operation goes by
	last     *release.Release // newest revision, nil if there was none
	mine     string           // key of the record that is the operation's own
	removing *release.Release // what is being uninstalled
	done     bool             // finish was through
	trouble  error            // why Helm may not go on; not every part of it minds
}

// aim has the operation go by the newest revision that it has seen.
func (j *journal) aim(last *release.Release) {
	j.aimed = true
	if last != nil {
		copied, info := *last, *last.Info // Helm's code changes what it is given
		copied.Info = &info
		last = &copied
	}
	j.last = last
}

// Query implements driver.Driver.
func (j *journal) Query(labels map[string]string) ([]releaser.Releaser, error) {
	all, err := j.Driver.Query(labels)
	if _, some := labels["status"]; err != nil || some || !j.aimed || j.mine != "" {
		return all, err
	}
	var newest *release.Release
	for _, each := range all {
		r, err := v1(each)
		if err != nil {
			return nil, err
		}
		if newest == nil || newest.Version < r.Version {
			newest = r
		}
	}
	if newest != nil && (j.last == nil || newest.Version != j.last.Version || newest.Info.Status != j.last.Info.Status) {
		j.trouble = fmt.Errorf("somebody else has begun meanwhile: revision %d is %s: %w", newest.Version, newest.Info.Status, helm.ErrLocked)
		return nil, j.trouble
	}
	return all, nil
}

// Create implements driver.Driver.
func (j *journal) Create(key string, r releaser.Releaser) error {
	if j.trouble != nil {
		return j.trouble
	}
	made, err := v1(r)
	if err != nil {
		return err
	}
	if err := j.confine(made); err != nil {
		return err
	}
	if j.begin != nil {
		if err := j.begin(); err != nil {
			return err
		}
	}
	j.clean(made)
	err = j.Driver.Create(key, made)
	if errors.Is(err, driver.ErrReleaseExists) {
		j.trouble = fmt.Errorf("somebody else has begun meanwhile, with revision %d: %w", made.Version, helm.ErrLocked)
		return j.trouble
	}
	j.mine, j.done = key, false // also if there is no telling whether it was recorded
	return err
}

// Update implements driver.Driver.
func (j *journal) Update(key string, r releaser.Releaser) error {
	made, err := v1(r)
	if err != nil {
		return err
	}
	switch status := made.Info.Status; {
	case status == releasecommon.StatusUninstalling:
		j.mine, j.removing = key, made
	case key != j.mine:
	case status == releasecommon.StatusDeployed, status == releasecommon.StatusUninstalled:
		if err := j.end(made); err != nil {
			return err
		}
	}
	j.clean(made)
	return j.Driver.Update(key, made)
}

// clean leaves what the values of a revision hide out of its description.
func (j *journal) clean(r *release.Release) {
	j.hidden.hide(r.Config)
	r.Info.Description = j.hidden.clean(r.Info.Description)
}

// Delete implements driver.Driver. The records of a release that is uninstalled
// go last, those of old revisions at any time.
func (j *journal) Delete(key string) (releaser.Releaser, error) {
	if j.removing != nil {
		if err := j.end(j.removing); err != nil {
			return nil, err
		}
	}
	return j.Driver.Delete(key)
}

// end does what is left to do for a revision that is deployed or gone.
func (j *journal) end(made *release.Release) error {
	if j.done || j.finish == nil {
		return nil
	}
	if err := j.finish(made); err != nil {
		j.trouble = fmt.Errorf("what a failed revision has left behind: %w", err)
		return j.trouble
	}
	j.done = true
	return nil
}

// preparation is a context that ends with the operation's until the first
// revision is recorded, and never after that. Rendering is ended by it, while
// Helm, whose changes end with the transport, must not notice: it would return
// and go on in the background.
func (o *operation) preparation() (ctx context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(o.ctx))
	stop := context.AfterFunc(o.ctx, func() { cancel(context.Cause(o.ctx)) })
	started := false
	o.journal.begin = func() error {
		if !started && !stop() {
			return context.Cause(o.ctx)
		}
		started = true
		return nil
	}
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

// settle records the operation's own revision as failed if Helm's code has left
// it as pending, or half uninstalled, since nobody is at work on it any more, and
// returns err as it is told. What somebody else is at work on is ErrLocked.
func (o *operation) settle(err error) error {
	if err == nil {
		return nil
	}
	last, record, readErr := o.newest()
	if readErr == nil && last != nil && locked(last) {
		switch {
		case record.record == o.journal.mine:
			readErr = o.fail(last, err.Error())
		case !errors.Is(err, helm.ErrLocked):
			err = fmt.Errorf("%w: somebody else has begun revision %d meanwhile: %w", err, last.Version, helm.ErrLocked)
		}
	}
	if readErr != nil {
		err = errors.Join(err, fmt.Errorf("record the failure: %w", readErr))
	}
	return o.failure(err)
}
