package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

// How long GET /v1/jobs/{id} waits, by the value of wait.
const (
	waitCommit  = "commit"  // until the job has ended
	waitApplied = "applied" // and until what it has committed is applied
)

type (
	jobsAnswer struct {
		Jobs []jobs.Job `json:"jobs"`
	}
	whyImagesAnswer struct {
		Images []updates.WhyImage `json:"images"`
	}
	quarantineAnswer struct {
		Quarantined []gate.Quarantine `json:"quarantined"`
	}
)

// jobLine is a line of the answer about a job that is waited for: the job as it
// is, and at last as it has become, or an error.
type jobLine struct {
	Job  *jobs.Job `json:"job,omitempty"`
	Done bool      `json:"done,omitempty"`
	problem
}

// routeReleases adds what changes git, and what tells of it.
func (s *server) routeReleases(m *http.ServeMux) {
	e := s.engine
	m.HandleFunc("POST /v1/release", s.release)
	m.HandleFunc("POST /v1/policy", s.policy)
	m.HandleFunc("GET /v1/jobs", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, jobsAnswer{e.Jobs()}, nil) })
	m.HandleFunc("GET /v1/jobs/{id}", s.job)
	m.HandleFunc("GET /v1/images/why", s.whyImages)
	m.HandleFunc("GET /v1/quarantine", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, quarantineAnswer{e.Quarantined()}, nil) })
	m.HandleFunc("DELETE /v1/quarantine", s.unquarantine)
}

func (s *server) release(w http.ResponseWriter, r *http.Request) {
	var req jobs.ReleaseRequest
	if !s.read(w, r, &req) {
		return
	}
	job, err := s.engine.Release(r.Context(), req)
	s.answer(w, job, err)
}

func (s *server) policy(w http.ResponseWriter, r *http.Request) {
	var req jobs.PolicyRequest
	if !s.read(w, r, &req) {
		return
	}
	job, err := s.engine.Policy(r.Context(), req)
	s.answer(w, job, err)
}

// job answers at once, or with a stream if the caller waits.
func (s *server) job(w http.ResponseWriter, r *http.Request) {
	id, wait := r.PathValue("id"), r.URL.Query().Get("wait")
	job, err := s.engine.Job(id)
	switch {
	case err != nil:
		s.fail(w, err)
		return
	case wait == "":
		s.answer(w, job, nil)
		return
	case wait != waitCommit && wait != waitApplied:
		s.fail(w, fmt.Errorf("wait %q: want %s or %s: %w", wait, waitCommit, waitApplied, refusal.ErrInvalid))
		return
	}
	out := newLines(w)
	defer out.close()
	s.noteWrite(out.write(jobLine{Job: &job}))
	job, err = s.engine.WaitJob(r.Context(), id, wait == waitApplied)
	last := jobLine{Job: &job, Done: true}
	if err != nil {
		last.Job = nil
		last.problem, _ = problemOf(err)
	}
	s.noteWrite(out.write(last))
}

func (s *server) whyImages(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var timeout time.Duration
	if text := q.Get("timeout"); text != "" {
		var err error
		if timeout, err = time.ParseDuration(text); err != nil {
			s.fail(w, fmt.Errorf("timeout: %w: %w", err, refusal.ErrInvalid))
			return
		}
	}
	list, err := s.engine.WhyImages(r.Context(), updates.WhyImagesRequest{
		Workload: q.Get("workload"), Namespace: q.Get("namespace"), Container: q.Get("container"), Timeout: timeout,
	})
	s.answer(w, whyImagesAnswer{list}, err)
}

func (s *server) unquarantine(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	lifted, err := s.engine.Unquarantine(r.Context(), updates.UnquarantineRequest{Image: q.Get("image"), By: q.Get("by")})
	s.answer(w, quarantineAnswer{lifted}, err)
}

// Release has images of workloads changed in git and returns the job that does
// it, or of a dry run what it would do.
func (c *Client) Release(ctx context.Context, req jobs.ReleaseRequest) (jobs.Job, error) {
	return post[jobs.Job](ctx, c, "/v1/release", req)
}

// Policy has policies of workloads changed in git, as Release does images.
func (c *Client) Policy(ctx context.Context, req jobs.PolicyRequest) (jobs.Job, error) {
	return post[jobs.Job](ctx, c, "/v1/policy", req)
}

// Jobs returns the jobs that are remembered, the newest first.
func (c *Client) Jobs(ctx context.Context) ([]jobs.Job, error) {
	a, err := get[jobsAnswer](ctx, c, "/v1/jobs")
	return a.Jobs, err
}

// Job returns one job.
func (c *Client) Job(ctx context.Context, id string) (jobs.Job, error) {
	return get[jobs.Job](ctx, c, "/v1/jobs/"+url.PathEscape(id))
}

// WaitJob waits until a job has ended, and with applied until what it has
// committed is applied. It returns the newest state that it knows of, also with
// an error.
func (c *Client) WaitJob(ctx context.Context, id string, applied bool) (jobs.Job, error) {
	wait := waitCommit
	if applied {
		wait = waitApplied
	}
	body, err := c.do(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id)+"?wait="+wait, nil)
	if err != nil {
		return jobs.Job{}, err
	}
	defer body.Close()
	var job jobs.Job
	for dec := json.NewDecoder(body); ; {
		var line jobLine
		if err := dec.Decode(&line); err != nil {
			return job, c.broken(ctx, err)
		}
		if line.Job != nil {
			job = *line.Job
		}
		switch {
		case line.Text != "":
			return job, (*remoteError)(&line.problem)
		case line.Done:
			return job, nil
		}
	}
}

// WhyImages tells what the images of a workload are, what may replace them, and
// what holds that back.
func (c *Client) WhyImages(ctx context.Context, req updates.WhyImagesRequest) ([]updates.WhyImage, error) {
	q := url.Values{"workload": {req.Workload}, "namespace": {req.Namespace}, "container": {req.Container}}
	if req.Timeout > 0 {
		q.Set("timeout", req.Timeout.String())
	}
	a, err := get[whyImagesAnswer](ctx, c, "/v1/images/why?"+q.Encode())
	return a.Images, err
}

// Quarantined returns the images that automation leaves alone.
func (c *Client) Quarantined(ctx context.Context) ([]gate.Quarantine, error) {
	a, err := get[quarantineAnswer](ctx, c, "/v1/quarantine")
	return a.Quarantined, err
}

// Unquarantine gives images back to automation, and returns what was lifted.
func (c *Client) Unquarantine(ctx context.Context, req updates.UnquarantineRequest) ([]gate.Quarantine, error) {
	q := url.Values{"image": {req.Image}, "by": {req.By}}
	a, err := ask[quarantineAnswer](ctx, c, http.MethodDelete, "/v1/quarantine?"+q.Encode(), nil)
	return a.Quarantined, err
}
