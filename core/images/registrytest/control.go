package registrytest

import (
	"slices"
	"time"
)

// Request is one that the registry, or a fake cloud, has answered.
type Request struct {
	Time   time.Time `json:"time"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Query  string    `json:"query"`
	Class  string    `json:"class"` // ping, token, tags, manifest-head, manifest-get, blob, native, cloud, push or other
	Status int       `json:"status"`
	Bytes  int64     `json:"bytes"` // of the body
	Auth   string    `json:"auth"`  // none, basic or bearer
	User   string    `json:"user"`
}

// Requests returns what was answered since Reset, the last 200,000 at most.
func (r *Registry) Requests() []Request {
	r.t.Helper()
	var out []Request
	r.must("GET", "/requests", nil, &out)
	return out
}

// Count returns how many requests of the classes were answered since Reset; of
// all without any.
func (r *Registry) Count(classes ...string) int {
	r.t.Helper()
	n := 0
	for _, q := range r.Requests() {
		if len(classes) == 0 || slices.Contains(classes, q.Class) {
			n++
		}
	}
	return n
}

// Counts returns the number of requests by class since Reset, for cmp.Diff.
func (r *Registry) Counts() map[string]int {
	r.t.Helper()
	out := map[string]int{}
	for _, q := range r.Requests() {
		out[q.Class]++
	}
	return out
}

// Reset forgets all requests.
func (r *Registry) Reset() {
	r.t.Helper()
	r.must("DELETE", "/requests", nil, nil)
}

// Fault changes the answers to requests of a class whose path matches. Of
// several the first that matches counts.
type Fault struct {
	Class string `json:"class,omitempty"` // empty: any
	Path  string `json:"path,omitempty"`  // regular expression
	Skip  int    `json:"skip,omitempty"`  // how many pass first
	Count int    `json:"count,omitempty"` // how many are hit then; 0: all

	Status int               `json:"status,omitempty"` // 0: what the registry says
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body,omitempty"`
	Delay  string            `json:"delay,omitempty"` // "100ms"
	Cut    bool              `json:"cut,omitempty"`   // half of the body, then the connection closes
}

// SetFaults replaces all faults; without any, the registry is as it should be.
func (r *Registry) SetFaults(faults ...Fault) {
	r.t.Helper()
	r.must("PUT", "/faults", nonNil(faults), nil)
}

// Limit is how much the registry answers before it answers 429. The zero Limit
// is none.
type Limit struct {
	RPS        float64 `json:"rps,omitempty"`
	Burst      int     `json:"burst,omitempty"`
	RetryAfter string  `json:"retry_after,omitempty"` // seconds (default), date, body (as GHCR) or none

	Pulls  int    `json:"pulls,omitempty"`  // manifests in Window, with Docker Hub's headers
	Window string `json:"window,omitempty"` // "6h"
}

// SetLimit replaces the limit.
func (r *Registry) SetLimit(l Limit) {
	r.t.Helper()
	r.must("PUT", "/limit", l, nil)
}

// User may read and write repositories. The one without a name is who comes
// without credentials.
type User struct {
	Name         string   `json:"name"`
	Password     string   `json:"password"`
	Repositories []string `json:"repositories,omitempty"` // globs; none: all
}

// SetUsers replaces all users.
func (r *Registry) SetUsers(users ...User) {
	r.t.Helper()
	r.must("PUT", "/users", nonNil(users), nil)
}

// SetCloud sets the knobs of a fake cloud, which are its own.
func (r *Registry) SetCloud(name string, knobs any) {
	r.t.Helper()
	r.must("PUT", "/clouds", map[string]any{name: knobs}, nil)
}

// Tag is one tag as the registry has it.
type Tag struct {
	Name   string    `json:"name"`
	Digest string    `json:"digest"`
	Pushed time.Time `json:"pushed"`
}

// Tags lists the tags of a repository by name.
func (r *Registry) Tags(repository string) []Tag {
	r.t.Helper()
	var out []Tag
	r.must("GET", "/tags/"+repository, nil, &out)
	return out
}

// ManyTags makes each of tags name what from, a tag or digest, names.
func (r *Registry) ManyTags(repository, from string, tags []string) {
	r.t.Helper()
	r.must("POST", "/tags", map[string]any{"repository": repository, "from": from, "tags": nonNil(tags)}, nil)
}

// Untag deletes a tag.
func (r *Registry) Untag(repository, tag string) {
	r.t.Helper()
	r.must("DELETE", "/v2/"+repository+"/manifests/"+tag, nil, nil)
}

// nonNil makes a nil slice an empty list in JSON.
func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
