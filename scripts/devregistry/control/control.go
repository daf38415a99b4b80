// Package control is the API with which a test drives the registry. It is JSON
// over HTTP on a port of its own; README.md lists the routes. It also serves
// the registry itself, without authentication, faults and record, to fill it.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/front"
	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
)

// Storage is the registry behind the front.
type Storage interface {
	http.Handler
	Tags(ctx context.Context, repository string) ([]cloud.Tag, error)
	CopyTag(ctx context.Context, repository, from string, tags []string) error
}

// Options are what the API drives.
type Options struct {
	Log     *record.Log
	Front   *front.Front
	Auth    *front.Auth
	Storage Storage
	Clouds  map[string]cloud.Cloud
}

// Handler returns the API.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) { answer(w, o.Log.Entries()) })
	mux.HandleFunc("DELETE /requests", func(w http.ResponseWriter, _ *http.Request) {
		o.Log.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.Handle("PUT /faults", set(o.Front.SetFaults))
	mux.Handle("PUT /limit", set(o.Front.SetLimit))
	mux.Handle("PUT /users", set(o.Auth.SetUsers))
	mux.Handle("PUT /clouds", set(o.configureClouds))
	mux.HandleFunc("POST /tags", o.copyTags)
	mux.HandleFunc("GET /tags/{repository...}", o.listTags)
	mux.Handle("/v2/", o.Storage)
	return mux
}

// set reads a T and hands it to apply, whose error is the client's mistake.
func set[T any](apply func(T) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v T
		if err := decode(r, &v); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := apply(v); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (o Options) configureClouds(knobs map[string]json.RawMessage) error {
	for name, value := range knobs {
		c, ok := o.Clouds[name]
		if !ok {
			return fmt.Errorf("the cloud %q does not run", name)
		}
		if err := c.Configure(value); err != nil {
			return fmt.Errorf("cloud %q: %w", name, err)
		}
	}
	return nil
}

func (o Options) copyTags(w http.ResponseWriter, r *http.Request) {
	var v struct {
		Repository string   `json:"repository"`
		From       string   `json:"from"`
		Tags       []string `json:"tags"`
	}
	if err := decode(r, &v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := o.Storage.CopyTag(r.Context(), v.Repository, v.From, v.Tags); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (o Options) listTags(w http.ResponseWriter, r *http.Request) {
	tags, err := o.Storage.Tags(r.Context(), r.PathValue("repository"))
	switch {
	case errors.Is(err, cloud.ErrNoRepository):
		http.Error(w, err.Error(), http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		answer(w, tags)
	}
}

func decode(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("the body of %s %s: %w", r.Method, r.URL.Path, err)
	}
	return nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an error here is a client that has gone
}
