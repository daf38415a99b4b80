// Package front stands before the registry: it authenticates, limits, injects
// faults, and routes to the fakes of clouds what is theirs.
package front

import (
	"encoding/json"
	"net/http"

	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
)

// Options configure a Front.
type Options struct {
	Auth     *Auth
	Registry http.Handler            // serves the distribution API, without authentication
	Routes   map[string]http.Handler // of the clouds, by pattern of http.ServeMux; not authenticated here
	Native   Native                  // nil: no listing API of its own
}

// Native is a listing API that a registry offers beside that of the
// distribution specification.
type Native interface {
	// Match returns the repository that r asks about, if r is for this API.
	Match(r *http.Request) (repository string, ok bool)
	// Serve answers what Match has accepted. may tells whether who asks may
	// read the repository.
	Serve(w http.ResponseWriter, r *http.Request, repository string, may bool)
}

// Front is the registry as clients see it.
type Front struct {
	options Options
	routes  *http.ServeMux
	faults  faults
	limit   limit
}

// New makes a front without faults and limits.
func New(o Options) *Front {
	f := &Front{options: o, routes: http.NewServeMux()}
	for pattern, h := range o.Routes {
		f.routes.Handle(pattern, h)
	}
	return f
}

// Class tells what a request is for.
func (f *Front) Class(r *http.Request) record.Class {
	if _, pattern := f.routes.Handler(r); pattern != "" {
		return record.Cloud
	}
	if _, ok := f.native(r); ok {
		return record.Native
	}
	return Class(r)
}

// ServeHTTP answers a request: a fault if one matches, 429 if it is one too
// many, else what the registry says.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	class := f.Class(r)
	if fault, ok := f.faults.take(class, r.URL.Path); ok {
		fault.serve(w, r, http.HandlerFunc(f.serve))
		return
	}
	if class != record.Push && !f.limit.allow(w, class) {
		return
	}
	f.serve(w, r)
}

// Faulty returns next with the faults that are set for the class.
func (f *Front) Faulty(class record.Class, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault, ok := f.faults.take(class, r.URL.Path); ok {
			fault.serve(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (f *Front) serve(w http.ResponseWriter, r *http.Request) {
	if h, pattern := f.routes.Handler(r); pattern != "" {
		h.ServeHTTP(w, r)
		return
	}
	auth := f.options.Auth
	if r.URL.Path == TokenPath && auth.mode != AuthNone {
		auth.serveToken(w, r)
		return
	}
	if repository, ok := f.native(r); ok {
		f.options.Native.Serve(w, r, repository, auth.readable(r, repository))
		return
	}
	repository := Repository(r.URL.Path)
	if !auth.allow(r, repository) {
		auth.deny(w, r, repository)
		return
	}
	f.options.Registry.ServeHTTP(w, r)
}

func (f *Front) native(r *http.Request) (repository string, ok bool) {
	if f.options.Native == nil {
		return "", false
	}
	return f.options.Native.Match(r)
}

// writeError answers with an error in the form of the distribution
// specification.
func writeError(w http.ResponseWriter, status int, code, message string) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	writeJSON(w, status, map[string][]item{"errors": {{code, message}}})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error here is a client that has gone
}
