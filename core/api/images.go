package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/sluice-gitops/sluice/core/available"
	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/workload"
)

// imagesLine is a line of the answer about images: progress, and at last the
// answer or an error.
type imagesLine struct {
	Progress *available.Progress `json:"progress,omitempty"`
	Answer   *available.Answer   `json:"answer,omitempty"`
	problem
}

type (
	credentialsAnswer struct {
		Providers []credentials.ProviderStatus `json:"providers"`
	}
	scansAnswer struct {
		Repositories []images.RepositoryStatus `json:"repositories"`
	}
	budgetAnswer struct {
		Budgets []limit.Budget `json:"budgets"`
	}
	clearRequest struct {
		Repositories string `json:"repositories"` // glob over host/path
	}
)

// routeImages adds what concerns workloads, their images and the credentials
// for these.
func (s *server) routeImages(m *http.ServeMux) {
	e := s.engine
	m.HandleFunc("GET /v1/workloads", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		answer, err := e.Workloads(r.Context(), workload.Request{Namespace: q.Get("namespace"), Applier: q.Get("applier")})
		s.answer(w, answer, err)
	})
	m.HandleFunc("GET /v1/credentials", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, credentialsAnswer{e.Credentials()}, nil) })
	m.HandleFunc("POST /v1/credentials/explain", s.explainCredential)
	m.HandleFunc("POST /v1/images", s.images)
	m.HandleFunc("GET /v1/images/scans", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, scansAnswer{e.ImageScans()}, nil) })
	m.HandleFunc("GET /v1/images/budget", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, budgetAnswer{e.ImageBudget()}, nil) })
	m.HandleFunc("GET /v1/images/cache", func(w http.ResponseWriter, _ *http.Request) {
		stats, err := e.ImageCache()
		s.answer(w, stats, err)
	})
	m.HandleFunc("POST /v1/images/cache/clear", s.clearCache)
}

func (s *server) explainCredential(w http.ResponseWriter, r *http.Request) {
	var req engine.CredentialRequest
	if !s.read(w, r, &req) {
		return
	}
	x, err := s.engine.ExplainCredential(r.Context(), req)
	s.answer(w, x, err)
}

func (s *server) clearCache(w http.ResponseWriter, r *http.Request) {
	var req clearRequest
	if !s.read(w, r, &req) {
		return
	}
	stats, err := s.engine.ClearImageCache(req.Repositories)
	s.answer(w, stats, err)
}

// images answers with a stream: registries may take their time.
func (s *server) images(w http.ResponseWriter, r *http.Request) {
	var req available.Request
	if !s.read(w, r, &req) {
		return
	}
	out := newLines(w)
	defer out.close()
	answer, err := s.engine.Images(r.Context(), req, func(p available.Progress) {
		_ = out.write(imagesLine{Progress: &p}) // a caller that has left is noticed by its context
	})
	switch {
	case err == nil:
		s.noteWrite(out.write(imagesLine{Answer: &answer}))
	case !out.begun():
		s.fail(w, err)
	default:
		p, _ := problemOf(err)
		s.noteWrite(out.write(imagesLine{problem: p}))
	}
}

// Workloads returns what runs.
func (c *Client) Workloads(ctx context.Context, req workload.Request) (workload.Answer, error) {
	q := url.Values{"namespace": {req.Namespace}, "applier": {req.Applier}}
	return get[workload.Answer](ctx, c, "/v1/workloads?"+q.Encode())
}

// Images returns what the registries have for the images that run. progress
// may be nil.
func (c *Client) Images(ctx context.Context, req available.Request, progress func(available.Progress)) (available.Answer, error) {
	body, err := c.do(ctx, http.MethodPost, "/v1/images", req)
	if err != nil {
		return available.Answer{}, err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var line imagesLine
		if err := dec.Decode(&line); err != nil {
			return available.Answer{}, c.broken(ctx, err)
		}
		switch {
		case line.Text != "":
			return available.Answer{}, (*remoteError)(&line.problem)
		case line.Answer != nil:
			return *line.Answer, nil
		case line.Progress != nil && progress != nil:
			progress(*line.Progress)
		}
	}
}

// ImageScans tells how the scans of each repository fare.
func (c *Client) ImageScans(ctx context.Context) ([]images.RepositoryStatus, error) {
	a, err := get[scansAnswer](ctx, c, "/v1/images/scans")
	return a.Repositories, err
}

// ImageBudget tells what each registry is asked, and may be.
func (c *Client) ImageBudget(ctx context.Context) ([]limit.Budget, error) {
	a, err := get[budgetAnswer](ctx, c, "/v1/images/budget")
	return a.Budgets, err
}

// ImageCache counts what is remembered of images.
func (c *Client) ImageCache(ctx context.Context) (cache.Stats, error) {
	return get[cache.Stats](ctx, c, "/v1/images/cache")
}

// ClearImageCache forgets what is remembered of the repositories whose
// host/path matches the glob, and returns how much that was.
func (c *Client) ClearImageCache(ctx context.Context, repositories string) (cache.Stats, error) {
	return post[cache.Stats](ctx, c, "/v1/images/cache/clear", clearRequest{repositories})
}

// Credentials tells what is known of each provider of credentials.
func (c *Client) Credentials(ctx context.Context) ([]credentials.ProviderStatus, error) {
	a, err := get[credentialsAnswer](ctx, c, "/v1/credentials")
	return a.Providers, err
}

// ExplainCredential tells where the credential for an image comes from.
func (c *Client) ExplainCredential(ctx context.Context, req engine.CredentialRequest) (credentials.Explanation, error) {
	return post[credentials.Explanation](ctx, c, "/v1/credentials/explain", req)
}
