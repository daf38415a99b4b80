package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/sluice-gitops/sluice/core/api/mask"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

type historyAnswer struct {
	Revisions []helm.Revision `json:"revisions"`
}

// HelmValues are the values of a release, as they may be shown.
type HelmValues struct {
	Values   json.RawMessage `json:"values"`
	Revision int             `json:"revision,omitempty"` // that they are of
	Masked   int             `json:"masked,omitempty"`   // how many are hidden
}

// HelmValuesRequest asks for the values of a release.
type HelmValuesRequest struct {
	engine.HelmValuesRequest
	ShowSecrets bool `json:"show_secrets,omitempty"`
}

// helmLine is a line of the answer to an operation: progress, and at last the
// outcome or an error.
type helmLine struct {
	Progress *release.Progress   `json:"progress,omitempty"`
	Outcome  *engine.HelmOutcome `json:"outcome,omitempty"`
	problem
}

// manifestLine is a line of a rendered release: a piece of the YAML, and at last
// how many Secrets are masked, or an error.
type manifestLine struct {
	YAML   string `json:"yaml,omitempty"`
	Done   bool   `json:"done,omitempty"`
	Masked int    `json:"masked,omitempty"`
	problem
}

// routeHelm adds what concerns Helm releases.
func (s *server) routeHelm(m *http.ServeMux) {
	e := s.engine
	m.HandleFunc("GET /v1/helm/releases", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		req := engine.HelmListRequest{Namespace: q.Get("namespace"), Applier: q.Get("applier"), All: q.Get("all") == "true"}
		answer, err := e.HelmReleases(r.Context(), req)
		s.answer(w, answer, err)
	})
	m.HandleFunc("GET /v1/helm/status", func(w http.ResponseWriter, r *http.Request) {
		d, err := e.HelmStatus(r.Context(), r.URL.Query().Get("name"))
		s.answer(w, d, err)
	})
	m.HandleFunc("GET /v1/helm/history", func(w http.ResponseWriter, r *http.Request) {
		list, err := e.HelmHistory(r.Context(), r.URL.Query().Get("name"))
		s.answer(w, historyAnswer{list}, err)
	})
	m.HandleFunc("GET /v1/helm/diff", func(w http.ResponseWriter, r *http.Request) {
		plan, err := e.HelmDiff(r.Context(), r.URL.Query().Get("name"))
		s.answer(w, plan, err)
	})
	m.HandleFunc("GET /v1/helm/values", s.helmValues)
	m.HandleFunc("GET /v1/helm/template", s.helmTemplate)
	m.HandleFunc("POST /v1/helm/operate", s.helmOperate)
}

// helmValues hides secrets here, so that nothing that asks gets them by mistake.
func (s *server) helmValues(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	req := engine.HelmValuesRequest{Name: q.Get("name"), All: q.Get("all") == "true", Declared: q.Get("declared") == "true"}
	if text := q.Get("revision"); text != "" {
		var err error
		if req.Revision, err = strconv.Atoi(text); err != nil || req.Revision < 0 {
			s.fail(w, fmt.Errorf("revision %q: want the number of one: %w", text, refusal.ErrInvalid))
			return
		}
	}
	v, err := s.engine.HelmValues(r.Context(), req)
	if err != nil {
		s.fail(w, err)
		return
	}
	answer := HelmValues{Values: json.RawMessage(v.Values.Reveal()), Revision: v.Revision}
	if len(answer.Values) == 0 {
		answer.Values = json.RawMessage("{}")
	}
	if q.Get("show_secrets") != "true" {
		answer.Values, answer.Masked, err = mask.Values(answer.Values, v.Secrets)
	}
	s.answer(w, answer, err)
}

// helmTemplate answers with a stream: a manifest may be large, and its chart far
// away.
func (s *server) helmTemplate(w http.ResponseWriter, r *http.Request) {
	name, reveal := r.URL.Query().Get("name"), r.URL.Query().Get("show_secrets") == "true"
	out := newLines(w)
	defer out.close()
	masked, err := s.writeManifest(r.Context(), manifestWriter{out}, name, reveal)
	if err != nil && !out.begun() {
		s.fail(w, err)
		return
	}
	last := manifestLine{Done: true, Masked: masked}
	if err != nil {
		last.problem, _ = problemOf(err)
	}
	s.noteWrite(out.write(last))
}

func (s *server) writeManifest(ctx context.Context, w io.Writer, name string, reveal bool) (masked int, err error) {
	if reveal {
		return 0, s.engine.HelmTemplate(ctx, name, w)
	}
	var plain bytes.Buffer
	if err := s.engine.HelmTemplate(ctx, name, &plain); err != nil {
		return 0, err
	}
	return mask.Manifest(w, &plain)
}

// manifestWriter sends what is written as lines of a stream.
type manifestWriter struct{ out *lines }

func (m manifestWriter) Write(p []byte) (int, error) {
	return len(p), m.out.write(manifestLine{YAML: string(p)})
}

// helmOperate answers with a stream: an operation may wait for pods. A caller that
// leaves does not end it.
func (s *server) helmOperate(w http.ResponseWriter, r *http.Request) {
	var op byhand.Operation
	if !s.read(w, r, &op) {
		return
	}
	out := newLines(w)
	defer out.close()
	outcome, err := s.engine.HelmOperate(r.Context(), op, func(p release.Progress) {
		_ = out.write(helmLine{Progress: &p}) // a caller that has left is noticed by its context
	})
	switch {
	case err == nil:
		s.noteWrite(out.write(helmLine{Outcome: &outcome}))
	case !out.begun():
		s.fail(w, err)
	case !errors.Is(err, context.Canceled):
		p, _ := problemOf(err)
		s.noteWrite(out.write(helmLine{problem: p}))
	}
}
