package engine

import "context"

// Release changes the images of workloads in git. It returns once the job
// stands on disk; a dry run returns when it knows what would be done.
func (e *Engine) Release(context.Context, ReleaseRequest) (Job, error) {
	return Job{}, refuse(ErrConflict, "releases are not there yet")
}

// Policy changes the policies of workloads in git, in the way of Release.
func (e *Engine) Policy(context.Context, PolicyRequest) (Job, error) {
	return Job{}, refuse(ErrConflict, "changes of policies are not there yet")
}

// Job returns the job with the id.
func (e *Engine) Job(id string) (Job, error) {
	return Job{}, refuse(ErrNotFound, "there is no job %q", id)
}

// Jobs returns the jobs that are remembered, the newest first.
func (e *Engine) Jobs() []Job { return []Job{} }

// WaitJob waits until the job has ended and, with applied, until the syncs that
// it concerns have applied its commits or later ones.
func (e *Engine) WaitJob(_ context.Context, id string, _ bool) (Job, error) { return e.Job(id) }

// WhyImages tells of each container of a workload which tags may replace its
// image, and what holds them back.
func (e *Engine) WhyImages(context.Context, WhyImagesRequest) ([]WhyImage, error) {
	return nil, refuse(ErrConflict, "this is not there yet")
}

// Quarantined returns the images that automation does not roll out, ordered by
// repository and tag.
func (e *Engine) Quarantined() []Quarantine { return []Quarantine{} }

// Unquarantine lets automation roll out what it kept away, and returns that.
func (e *Engine) Unquarantine(context.Context, UnquarantineRequest) ([]Quarantine, error) {
	return nil, refuse(ErrNotFound, "nothing is in quarantine")
}
