// Package dialect gives the registry the listing APIs that well-known services
// have beside, or in place of, that of the distribution specification. Answers
// have the fields that the services document, in their forms, with what the
// registry knows.
package dialect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/front"
)

// Storage is where a dialect finds what it lists.
type Storage interface {
	http.Handler
	// Tags returns the tags of repository; cloud.ErrNoRepository if there is none.
	Tags(ctx context.Context, repository string) ([]cloud.Tag, error)
	// Blob returns the content of a blob or manifest by its digest.
	Blob(ctx context.Context, digest string) ([]byte, error)
}

// Names are the dialects that there are.
func Names() []string { return []string{"dockerhub", "google", "harbor", "quay"} }

// New returns what serves the distribution API and, unless it is nil, what
// serves the other one. The empty name is no dialect.
func New(name string, s Storage) (http.Handler, front.Native, error) {
	switch name {
	case "":
		return s, nil, nil
	case "google":
		return google{s}, nil, nil
	case "quay":
		return s, quay{s}, nil
	case "harbor":
		return s, harbor{s}, nil
	case "dockerhub":
		return s, hub{s}, nil
	}
	return nil, nil, fmt.Errorf("there is no dialect %q", name)
}

// image is what a manifest says of itself and of what is in it.
type image struct {
	mediaType string
	size      int64 // of all that is pulled; of an index, its own
	config    config
	children  []descriptor
}

type descriptor struct {
	Digest   string `json:"digest"`
	Size     int64  `json:"size"`
	Platform struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	} `json:"platform"`
}

type config struct {
	Created      time.Time `json:"created"`
	OS           string    `json:"os"`
	Architecture string    `json:"architecture"`
}

func (i image) isIndex() bool { return len(i.children) > 0 }

// read reads the manifest of that digest. What is missing or broken is left
// out: the services list such images too.
func read(ctx context.Context, s Storage, digest string) image {
	var m struct {
		MediaType string       `json:"mediaType"`
		Config    descriptor   `json:"config"`
		Layers    []descriptor `json:"layers"`
		Manifests []descriptor `json:"manifests"`
	}
	body, err := s.Blob(ctx, digest)
	if err != nil || json.Unmarshal(body, &m) != nil {
		return image{}
	}
	i := image{mediaType: m.MediaType, size: int64(len(body)) + m.Config.Size, children: m.Manifests}
	for _, l := range m.Layers {
		i.size += l.Size
	}
	if content, err := s.Blob(ctx, m.Config.Digest); err == nil {
		_ = json.Unmarshal(content, &i.config) // a config that is none says nothing
	}
	return i
}

// newestFirst sorts tags by the time of their push.
func newestFirst(tags []cloud.Tag) {
	slices.SortStableFunc(tags, func(a, b cloud.Tag) int { return b.Pushed.Compare(a.Pushed) })
}

// page is what a client has asked for: the part from start to end.
type page struct {
	number, size int
	start, end   int
	more         bool
}

// pageOf reads the number of the page, from 1, and cuts total things into
// pages.
func pageOf(number string, size, total int) page {
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 {
		n = 1
	}
	p := page{number: n, size: size, start: min(total, (n-1)*size)}
	p.end = min(total, p.start+size)
	p.more = p.end < total
	return p
}

// sizeOf reads the size of a page.
func sizeOf(value string, otherwise, most int) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return otherwise
	}
	return min(n, most)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // an error here is a client that has gone
}

// statusOf is how an error of Storage.Tags is answered.
func statusOf(err error) int {
	if errors.Is(err, cloud.ErrNoRepository) {
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}
