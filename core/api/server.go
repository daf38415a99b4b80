package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/refusal"
)

// What a request may send, and how long it may take.
const (
	maxBody     = 1 << 20
	bodyTimeout = 30 * time.Second
)

// server answers requests from an engine.
type server struct {
	engine  Engine
	version string
	log     *slog.Logger
}

// NewHandler returns the API of e. version is the program's.
func NewHandler(e Engine, version string, log *slog.Logger) http.Handler {
	s := &server{engine: e, version: version, log: log}
	m := http.NewServeMux()
	m.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, e.Status(), nil) })
	m.HandleFunc("GET /v1/status/{id...}", s.node)
	m.HandleFunc("POST /v1/sync", s.sync)
	m.HandleFunc("POST /v1/suspend", s.suspend)
	m.HandleFunc("POST /v1/resume", s.resume)
	m.HandleFunc("POST /v1/approve", s.approve)
	m.HandleFunc("GET /v1/why", s.why)
	m.HandleFunc("GET /v1/events", s.events)
	m.HandleFunc("GET /v1/plugins", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, pluginsAnswer{e.Plugins()}, nil) })
	m.HandleFunc("GET /v1/config", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, e.ConfigStatus(), nil) })
	m.HandleFunc("GET /v1/version", func(w http.ResponseWriter, _ *http.Request) { s.answer(w, versionAnswer{version}, nil) })
	m.HandleFunc("POST /v1/reload", s.reload)
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { s.text(w, http.StatusOK, "ok\n") })
	m.HandleFunc("GET /readyz", s.ready)
	m.HandleFunc("GET /metrics", s.metrics)
	s.routeImages(m)
	s.routeReleases(m)
	s.routeHelm(m)
	return http.MaxBytesHandler(m, maxBody)
}

func (s *server) node(w http.ResponseWriter, r *http.Request) {
	d, err := s.engine.Node(r.PathValue("id"))
	s.answer(w, d, err)
}

func (s *server) suspend(w http.ResponseWriter, r *http.Request) {
	var req engine.SuspendRequest
	if !s.read(w, r, &req) {
		return
	}
	ids, err := s.engine.Suspend(r.Context(), req)
	s.answer(w, idsAnswer{ids}, err)
}

func (s *server) resume(w http.ResponseWriter, r *http.Request) {
	var req engine.ResumeRequest
	if !s.read(w, r, &req) {
		return
	}
	ids, err := s.engine.Resume(r.Context(), req)
	s.answer(w, idsAnswer{ids}, err)
}

func (s *server) approve(w http.ResponseWriter, r *http.Request) {
	var req engine.ApproveRequest
	if !s.read(w, r, &req) {
		return
	}
	digest, err := s.engine.Approve(r.Context(), req)
	s.answer(w, approveAnswer{digest}, err)
}

func (s *server) why(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	x, err := s.engine.Why(r.Context(), q.Get("target"), q.Get("namespace"))
	s.answer(w, x, err)
}

func (s *server) reload(w http.ResponseWriter, r *http.Request) {
	st, err := s.engine.Reload(r.Context())
	s.answer(w, st, err)
}

func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if !s.engine.Alive() {
		s.text(w, http.StatusServiceUnavailable, "starting or stopping\n")
		return
	}
	s.text(w, http.StatusOK, "ok\n")
}

// sync answers at once, or with a stream if the caller waits.
func (s *server) sync(w http.ResponseWriter, r *http.Request) {
	var req syncRequest
	if !s.read(w, r, &req) {
		return
	}
	if !req.Wait {
		ids, err := s.engine.Sync(r.Context(), req.SyncRequest)
		s.answer(w, idsAnswer{ids}, err)
		return
	}
	out := newLines(w)
	defer out.close()
	details, err := s.engine.SyncAndWait(r.Context(), req.SyncRequest, func(p engine.Progress) {
		_ = out.write(syncLine{Progress: &p}) // a caller that has left is noticed by its context
	})
	if err != nil && !out.begun() {
		s.fail(w, err)
		return
	}
	last := syncLine{Result: details, Done: true}
	if err != nil {
		last.problem, _ = problemOf(err)
	}
	s.noteWrite(out.write(last))
}

func (s *server) events(w http.ResponseWriter, r *http.Request) {
	q, err := eventQuery(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	out := newLines(w)
	defer out.close()
	if q.Follow {
		out.start() // tells that the stream is open before there is an event
	}
	err = s.engine.Events(r.Context(), q, func(ev event.Event) error { return out.write(eventLine{Event: &ev}) })
	switch {
	case err == nil:
		out.start()
	case !out.begun():
		s.fail(w, err)
	case r.Context().Err() == nil && !errors.Is(err, event.ErrClosed):
		p, _ := problemOf(err)
		s.noteWrite(out.write(eventLine{problem: p}))
	}
}

func eventQuery(r *http.Request) (engine.EventQuery, error) {
	v := r.URL.Query()
	q := engine.EventQuery{Node: v.Get("node"), Follow: v.Get("follow") == "true"}
	var err error
	if text := v.Get("since"); text != "" {
		if q.Since, err = strconv.ParseUint(text, 10, 64); err != nil {
			return q, fmt.Errorf("since %q: want the number of an event: %w", text, refusal.ErrInvalid)
		}
	}
	if text := v.Get("limit"); text != "" {
		if q.Limit, err = strconv.Atoi(text); err != nil || q.Limit < 0 {
			return q, fmt.Errorf("limit %q: want a count: %w", text, refusal.ErrInvalid)
		}
	}
	return q, nil
}

// read decodes the body; it answers and returns false if that fails. The limit
// is on the body alone: one for the whole connection would end streams.
func (s *server) read(w http.ResponseWriter, r *http.Request, v any) bool {
	body := http.NewResponseController(w)
	err := body.SetReadDeadline(time.Now().Add(bodyTimeout))
	if err == nil {
		dec := json.NewDecoder(r.Body)
		dec.DisallowUnknownFields()
		err = dec.Decode(v)
		s.noteWrite(body.SetReadDeadline(time.Time{}))
	}
	if err == nil || errors.Is(err, io.EOF) {
		return true
	}
	s.fail(w, fmt.Errorf("request body: %w: %w", err, refusal.ErrInvalid))
	return false
}

func (s *server) answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		s.fail(w, err)
		return
	}
	s.json(w, http.StatusOK, v)
}

func (s *server) fail(w http.ResponseWriter, err error) {
	p, status := problemOf(err)
	s.json(w, status, p)
}

func (s *server) json(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	s.noteWrite(json.NewEncoder(w).Encode(v))
}

func (s *server) text(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, err := io.WriteString(w, text)
	s.noteWrite(err)
}

// noteWrite logs an answer that could not be sent: the caller has left.
func (s *server) noteWrite(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Debug("answer not sent", "err", err)
	}
}

// lines writes a stream of JSON lines. It is safe for concurrent use, also by
// somebody who goes on when the request has ended, once it is closed.
type lines struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	enc     *json.Encoder
	started bool
	closed  bool
}

var errClosed = errors.New("the request has ended")

func newLines(w http.ResponseWriter) *lines { return &lines{w: w, enc: json.NewEncoder(w)} }

func (l *lines) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head()
}

// head sends the header once. l.mu is held.
func (l *lines) head() {
	if l.started {
		return
	}
	l.started = true
	l.w.Header().Set("Content-Type", "application/jsonl")
	l.w.WriteHeader(http.StatusOK)
	l.flush()
}

func (l *lines) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.started
}

// close ends the stream: a ResponseWriter must not be used once its handler has
// returned.
func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

func (l *lines) write(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	l.head()
	if err := l.enc.Encode(v); err != nil {
		return err
	}
	l.flush()
	return nil
}

func (l *lines) flush() {
	if f, ok := l.w.(http.Flusher); ok {
		f.Flush()
	}
}
