package storage

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
)

// Content is what Put stores in one repository.
type Content struct {
	Repository string     `json:"repository"`
	Blobs      [][]byte   `json:"blobs"` // base64 in JSON
	Manifests  []Manifest `json:"manifests"`
}

// Manifest is one manifest and its tags.
type Manifest struct {
	MediaType string   `json:"media_type"`
	Body      []byte   `json:"body"` // base64 in JSON
	Tags      []string `json:"tags"`
	// Pushed is when the tags were pushed, as Tags tells it; zero is now.
	Pushed time.Time `json:"pushed"`
	// Raw is a manifest that distribution would refuse, and that is served as
	// it is nevertheless.
	Raw bool `json:"raw"`
}

// extra is what distribution's storage has no place for.
type extra struct {
	mu     sync.RWMutex
	raw    map[reference]Manifest
	pushed map[reference]time.Time
}

type reference struct {
	repository string
	tag        string // "" for what goes by digest only
	digest     digest.Digest
}

// Put stores content directly: thousands of images in the time of some pushes.
// Nothing is checked: a manifest may name what is not there.
func (s *Storage) Put(ctx context.Context, c Content) error {
	for _, blob := range c.Blobs {
		d, err := s.putBlob(ctx, blob)
		if err != nil {
			return err
		}
		if err := s.link(ctx, d, path.Join(repositoryPath(c.Repository), "_layers", algorithmPath(d), "link")); err != nil {
			return err
		}
	}
	for _, m := range c.Manifests {
		if err := s.putManifest(ctx, c.Repository, m); err != nil {
			return fmt.Errorf("%s: %w", c.Repository, err)
		}
	}
	return nil
}

func (s *Storage) putManifest(ctx context.Context, repository string, m Manifest) error {
	d, err := s.putBlob(ctx, m.Body)
	if err != nil {
		return err
	}
	if err := s.link(ctx, d, revisionPath(repository, d)); err != nil {
		return err
	}
	if m.Raw {
		s.extra.setRaw(reference{repository: repository, digest: d}, m)
	}
	for _, tag := range m.Tags {
		if err := s.putTag(ctx, repository, tag, d); err != nil {
			return err
		}
		if !m.Pushed.IsZero() {
			s.extra.setPushed(reference{repository, tag, d}, m.Pushed)
		}
	}
	return nil
}

func (s *Storage) putBlob(ctx context.Context, content []byte) (digest.Digest, error) {
	d := digest.FromBytes(content)
	if err := s.driver.PutContent(ctx, blobPath(d), content); err != nil {
		return "", fmt.Errorf("store %s: %w", d, err)
	}
	return d, nil
}

func (s *Storage) putTag(ctx context.Context, repository, tag string, d digest.Digest) error {
	if !tagPattern.MatchString(tag) {
		return fmt.Errorf("%q is not a tag", tag)
	}
	dir := path.Join(tagsPath(repository), tag)
	if err := s.link(ctx, d, path.Join(dir, "index", algorithmPath(d), "link")); err != nil {
		return err
	}
	return s.link(ctx, d, path.Join(dir, "current/link"))
}

func (s *Storage) link(ctx context.Context, d digest.Digest, at string) error {
	if err := s.driver.PutContent(ctx, at, []byte(d)); err != nil {
		return fmt.Errorf("store a link to %s: %w", d, err)
	}
	return nil
}

// CopyTag makes each of tags name what from, a tag or digest, names.
func (s *Storage) CopyTag(ctx context.Context, repository, from string, tags []string) error {
	d, err := s.resolve(ctx, repository, from)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", repository, from, err)
	}
	for _, tag := range tags {
		if err := s.putTag(ctx, repository, tag, d); err != nil {
			return fmt.Errorf("%s: %w", repository, err)
		}
	}
	return nil
}

// resolve returns the digest that ref, a tag or digest, names in repository.
func (s *Storage) resolve(ctx context.Context, repository, ref string) (digest.Digest, error) {
	link := path.Join(tagsPath(repository), ref, "current/link")
	if d, err := digest.Parse(ref); err == nil {
		link = revisionPath(repository, d)
	} else if !tagPattern.MatchString(ref) {
		return "", fmt.Errorf("%q is neither tag nor digest", ref)
	}
	content, err := s.driver.GetContent(ctx, link)
	if err != nil {
		return "", err
	}
	return digest.Parse(string(content))
}

// serveRaw answers requests for raw manifests and reports whether r is one.
func (s *Storage) serveRaw(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !s.extra.anyRaw() {
		return false
	}
	repository, ref, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
	if !ok {
		return false
	}
	d, err := s.resolve(r.Context(), repository, ref)
	if err != nil {
		return false
	}
	m, ok := s.extra.rawManifest(reference{repository: repository, digest: d})
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Type", m.MediaType)
	h.Set("Content-Length", strconv.Itoa(len(m.Body)))
	h.Set("Docker-Content-Digest", d.String())
	h.Set("Etag", strconv.Quote(d.String()))
	_, _ = w.Write(m.Body) // nothing is sent for HEAD; an error is a client that has gone
	return true
}

func (e *extra) anyRaw() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.raw) > 0
}

func (e *extra) rawManifest(r reference) (Manifest, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	m, ok := e.raw[r]
	return m, ok
}

func (e *extra) setRaw(r reference, m Manifest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.raw == nil {
		e.raw = map[reference]Manifest{}
	}
	e.raw[r] = m
}

func (e *extra) setPushed(r reference, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pushed == nil {
		e.pushed = map[reference]time.Time{}
	}
	e.pushed[r] = at
}

// correct replaces the time at which the file was written by the one that was
// told.
func (e *extra) correct(repository string, tags []cloud.Tag) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if len(e.pushed) == 0 {
		return
	}
	for i, t := range tags {
		if at, ok := e.pushed[reference{repository, t.Name, digest.Digest(t.Digest)}]; ok {
			tags[i].Pushed = at
		}
	}
}
