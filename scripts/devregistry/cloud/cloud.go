// Package cloud is the seam between the registry and the fakes of clouds: what
// a fake gets, and what it offers. A fake checks what the real one checks, and
// lets what it issues expire.
package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/gate"
)

// Options are what a fake gets.
type Options struct {
	Gate     *gate.Gate    // where it registers the registry credentials that it issues
	Life     time.Duration // how long these are valid, until Configure says otherwise
	Registry string        // host:port of the registry
	URL      string        // http or https URL of it, without a path
	Dir      string        // an existing directory of its own for key and token files; removed at the end
	Log      *slog.Logger
	// Tags lists a repository's tags, for the cloud's own listing API. The
	// error is ErrNoRepository for one that is not there.
	Tags func(ctx context.Context, repository string) ([]Tag, error)
}

// Tag is one tag as the registry has it.
type Tag struct {
	Name      string    `json:"name"`
	Digest    string    `json:"digest"`
	Pushed    time.Time `json:"pushed"`
	MediaType string    `json:"media_type,omitempty"`
	Size      int64     `json:"size,omitempty"` // of the manifest
}

// Cloud is the fake of one cloud. Methods may be called concurrently.
type Cloud interface {
	// Endpoints are the servers of the cloud by name ("aws", "imds"), each of
	// which gets a free port of its own. Names are unique over all clouds.
	Endpoints() map[string]Endpoint
	// Routes are what the cloud serves on the registry's own host, before
	// anything is authenticated, by pattern of http.ServeMux ("POST
	// /oauth2/exchange").
	Routes() map[string]http.Handler
	// Start tells the URL of each endpoint, before any request is served, and
	// returns the environment with which an SDK finds them.
	Start(urls map[string]string) (env map[string]string, err error)
	// Challenge is the WWW-Authenticate header with which the registry answers
	// who has no credential for repository (empty for the ping): Basic as ECR,
	// or Bearer with a realm among Routes. "" stands for the registry's own
	// Bearer challenge, whose token endpoint takes what the gate knows.
	Challenge(repository string) string
	// Configure changes the knobs of the fake: the value under its name in
	// PUT /clouds. What is left out gets its initial value.
	Configure(knobs json.RawMessage) error
}

// Endpoint is one server of a cloud.
type Endpoint struct {
	Handler http.Handler
	TLS     bool // serve https, with a certificate of the registry's authority for 127.0.0.1 and localhost
}

// ErrNoRepository says that the registry has no such repository.
var ErrNoRepository = errors.New("no such repository")
