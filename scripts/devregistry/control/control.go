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
	"github.com/sluice-gitops/sluice/scripts/devregistry/gate"
	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
	"github.com/sluice-gitops/sluice/scripts/devregistry/storage"
)

// Options are what the API drives.
type Options struct {
	Log     *record.Log
	Front   *front.Front
	Auth    *front.Auth
	Storage *storage.Storage
	Gate    *gate.Gate
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
	mux.HandleFunc("GET /issued", func(w http.ResponseWriter, _ *http.Request) { answer(w, append([]gate.Secret{}, o.Gate.Issued()...)) })
	mux.Handle("PUT /faults", body(func(_ context.Context, v []front.Fault) error { return o.Front.SetFaults(v) }))
	mux.Handle("PUT /limit", body(func(_ context.Context, v front.Limit) error { return o.Front.SetLimit(v) }))
	mux.Handle("PUT /users", body(func(_ context.Context, v []front.User) error { return o.Auth.SetUsers(v) }))
	mux.Handle("PUT /clouds", body(o.configureClouds))
	mux.Handle("POST /tags", body(o.copyTags))
	mux.Handle("POST /content", body(o.Storage.Put))
	mux.HandleFunc("GET /tags/{repository...}", o.listTags)
	mux.Handle("/v2/", o.Storage)
	return mux
}

// body reads a T and hands it to apply, whose error is the client's mistake.
func body[T any](apply func(context.Context, T) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v T
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		err := d.Decode(&v)
		if err == nil {
			err = apply(r.Context(), v)
		}
		if err != nil {
			http.Error(w, fmt.Sprintf("%s %s: %s", r.Method, r.URL.Path, err), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (o Options) configureClouds(_ context.Context, knobs map[string]json.RawMessage) error {
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

type copyTags struct {
	Repository string   `json:"repository"`
	From       string   `json:"from"` // tag or digest
	Tags       []string `json:"tags"`
}

func (o Options) copyTags(ctx context.Context, c copyTags) error {
	return o.Storage.CopyTag(ctx, c.Repository, c.From, c.Tags)
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

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an error here is a client that has gone
}
