package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

// releasing is an engine with one job, which ends, and is applied, when the test
// says so.
type releasing struct {
	Engine
	asked          any // the last request
	ended, applied chan struct{}
	stopping       chan struct{}
}

func newReleasing() *releasing {
	return &releasing{ended: make(chan struct{}), applied: make(chan struct{}), stopping: make(chan struct{})}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (e *releasing) job() jobs.Job {
	j := jobs.Job{ID: "a/1", Kind: jobs.Release, State: jobs.Queued, Results: []update.Result{}}
	if closed(e.ended) {
		j.State = jobs.Succeeded
		j.Commits = []jobs.Commit{{Source: "source.git.shop", Revision: "abc", Applied: closed(e.applied), Syncs: []string{"sync.shop"}}}
	}
	return j
}

func (e *releasing) Release(_ context.Context, req jobs.ReleaseRequest) (jobs.Job, error) {
	e.asked = req
	if req.Spec.Image == "a:b:c" {
		return jobs.Job{}, fmt.Errorf("image %q: %w", req.Spec.Image, refusal.ErrInvalid)
	}
	return e.job(), nil
}

func (e *releasing) Policy(_ context.Context, req jobs.PolicyRequest) (jobs.Job, error) {
	e.asked = req
	return e.job(), nil
}

func (e *releasing) Jobs() []jobs.Job { return []jobs.Job{e.job()} }

func (e *releasing) Job(id string) (jobs.Job, error) {
	if id != "a/1" {
		return jobs.Job{}, fmt.Errorf("there is no job %q: %w", id, refusal.ErrNotFound)
	}
	return e.job(), nil
}

func (e *releasing) WaitJob(ctx context.Context, _ string, applied bool) (jobs.Job, error) {
	until := e.ended
	if applied {
		until = e.applied
	}
	select {
	case <-until:
		return e.job(), nil
	case <-e.stopping:
		return jobs.Job{}, fmt.Errorf("stopping: %w", refusal.ErrConflict)
	case <-ctx.Done():
		return jobs.Job{}, ctx.Err()
	}
}

func (e *releasing) WhyImages(_ context.Context, req updates.WhyImagesRequest) ([]updates.WhyImage, error) {
	return []updates.WhyImage{{
		Workload: req.Namespace + ":" + req.Workload, Container: req.Container,
		Selection: policy.Selection{Selected: "2", Tags: []policy.Verdict{{Tag: "2", Accepted: true, Reason: "newest"}}},
	}}, nil
}

func (e *releasing) Quarantined() []gate.Quarantine {
	return []gate.Quarantine{{Repository: "quay.io/acme/web", Tag: "2", Reason: "CrashLoopBackOff"}}
}

func (e *releasing) Unquarantine(_ context.Context, req updates.UnquarantineRequest) ([]gate.Quarantine, error) {
	e.asked = req
	return e.Quarantined(), nil
}

func TestReleaseRoundTrips(t *testing.T) {
	e := newReleasing()
	_, c := serve(t, e)
	ctx := t.Context()

	release := jobs.ReleaseRequest{
		Spec: update.Spec{
			Containers: map[string][]update.Swap{"shop:deployment/web": {{Container: "web", Current: "a:1", Target: "a:2"}}},
			Force:      true,
		},
		Namespace: "shop", Message: "for the fair", User: "Ann <ann@example.com>",
	}
	if job, err := c.Release(ctx, release); err != nil || job.ID != "a/1" || job.State != jobs.Queued {
		t.Errorf("release: %+v, %v", job, err)
	}
	if diff := cmp.Diff(any(release), e.asked); diff != "" {
		t.Errorf("release asks for something else: %s", diff)
	}
	change := jobs.PolicyRequest{
		Workloads: []string{"deployment/web"}, Namespace: "shop",
		Change: update.PolicyChange{Lock: true, LockMessage: "x", Tags: map[string]string{"web": "semver:>=1"}},
	}
	if job, err := c.Policy(ctx, change); err != nil || job.ID != "a/1" {
		t.Errorf("policy: %+v, %v", job, err)
	}
	if diff := cmp.Diff(any(change), e.asked); diff != "" {
		t.Errorf("policy asks for something else: %s", diff)
	}
	if jobs, err := c.Jobs(ctx); err != nil || len(jobs) != 1 || jobs[0].ID != "a/1" {
		t.Errorf("jobs: %+v, %v", jobs, err)
	}
	if job, err := c.Job(ctx, "a/1"); err != nil || job.ID != "a/1" {
		t.Errorf("job: %+v, %v", job, err)
	}
	why, err := c.WhyImages(ctx, updates.WhyImagesRequest{Workload: "deployment/web", Namespace: "a&b", Container: "w+b"})
	if err != nil || len(why) != 1 || why[0].Workload != "a&b:deployment/web" || why[0].Container != "w+b" || why[0].Selection.Tags[0].Reason != "newest" {
		t.Errorf("why: %+v, %v", why, err)
	}
	if list, err := c.Quarantined(ctx); err != nil || len(list) != 1 || list[0].Tag != "2" {
		t.Errorf("quarantine: %+v, %v", list, err)
	}
	lift := updates.UnquarantineRequest{Image: "quay.io/acme/web:2", By: "Ann <ann@example.com>"}
	if list, err := c.Unquarantine(ctx, lift); err != nil || len(list) != 1 {
		t.Errorf("lift: %+v, %v", list, err)
	}
	if diff := cmp.Diff(any(lift), e.asked); diff != "" {
		t.Errorf("lift asks for something else: %s", diff)
	}
}

func TestReleaseRefusals(t *testing.T) {
	_, c := serve(t, newReleasing())
	ctx := t.Context()
	_, image := c.Release(ctx, jobs.ReleaseRequest{Spec: update.Spec{Image: "a:b:c", All: true}})
	_, field := post[jobs.Job](ctx, c, "/v1/release", map[string]any{"images": "all"})
	_, missing := c.Job(ctx, "b")
	_, unwaited := c.WaitJob(ctx, "b", true)
	_, wait := get[jobs.Job](ctx, c, "/v1/jobs/a%2F1?wait=long")
	_, method := ask[jobs.Job](ctx, c, http.MethodDelete, "/v1/release", nil)
	for name, tt := range map[string]struct{ err, want error }{
		"an image that is none":   {image, refusal.ErrInvalid},
		"a field that is none":    {field, refusal.ErrInvalid},
		"a job that is none":      {missing, refusal.ErrNotFound},
		"to wait for one of them": {unwaited, refusal.ErrNotFound},
		"to wait for what":        {wait, refusal.ErrInvalid},
		"another method":          {method, nil},
	} {
		if tt.err == nil || tt.want != nil && !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", name, tt.err, tt.want)
		}
	}
}

// TestWaitJob: who waits gets the job as it becomes, as far as they want to wait.
func TestWaitJob(t *testing.T) {
	e := newReleasing()
	_, c := serve(t, e)

	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if job, err := c.WaitJob(short, "a/1", false); !errors.Is(err, context.DeadlineExceeded) || job.State != jobs.Queued {
		t.Errorf("of one that has not ended: %+v, %v", job, err)
	}
	close(e.ended)
	if job, err := c.WaitJob(t.Context(), "a/1", false); err != nil || job.State != jobs.Succeeded || job.Commits[0].Applied {
		t.Errorf("of one that has ended: %+v, %v", job, err)
	}
	close(e.applied)
	if job, err := c.WaitJob(t.Context(), "a/1", true); err != nil || !job.Commits[0].Applied {
		t.Errorf("of one that is applied: %+v, %v", job, err)
	}
}

func TestWaitJobOfADaemonThatStops(t *testing.T) {
	e := newReleasing()
	_, c := serve(t, e)
	close(e.stopping)
	if job, err := c.WaitJob(t.Context(), "a/1", true); !errors.Is(err, refusal.ErrConflict) || job.ID != "a/1" {
		t.Errorf("%+v, %v", job, err)
	}
}
