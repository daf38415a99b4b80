// Package charts finds charts, downloads them, and checks that they are what
// they should be.
//
// A chart comes from an HTTP(S) repository, from an OCI registry, or from a
// directory of a tree of files, whose dependencies come from any of these.
// Indexes and archives are kept on disk and shared by all releases: an index is
// asked for with its ETag, and of what stands in it about the chart, versions,
// digests and URLs are read, so that one of 30 MB costs little more memory than
// one of 30 kB; an archive is known by its digest. Both belong to the repository that delivered them and to the
// credentials that they were delivered to: others ask for themselves.
package charts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/host"
)

// Options of a Store.
type Options struct {
	Dir       string        // for indexes and archives; empty: a temporary one
	Host      host.Services // answers with credentials of OCI registries
	UserAgent string
	MaxIndex  int64 // bytes
	MaxChart  int64 // bytes, of an archive
}

// Store is safe for concurrent use.
type Store struct {
	Options
	temporary bool

	mu      sync.Mutex
	clients map[string]*http.Client
	indexes map[string]*index
	sums    map[string]sum // of archives whose index has none, by URL
}

// New makes a Store.
func New(o Options) (*Store, error) {
	s := &Store{Options: o, clients: map[string]*http.Client{}, indexes: map[string]*index{}, sums: map[string]sum{}}
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "sluice-charts-*")
		if err != nil {
			return nil, err
		}
		s.Dir, s.temporary = dir, true
	}
	for _, name := range []string{"index", "archive"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close drops idle connections, and the directory if it was temporary.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.clients {
		c.CloseIdleConnections()
	}
	if s.temporary {
		return os.RemoveAll(s.Dir)
	}
	return nil
}

// Resolve implements helm.Helm.
func (s *Store) Resolve(ctx context.Context, ref helm.ChartRef) (helm.Chart, error) {
	if ref.Tree != "" {
		return s.resolveTree(ctx, ref)
	}
	found, err := s.find(ctx, ref)
	if err != nil {
		return helm.Chart{}, err
	}
	return helm.Chart{Ref: ref, Version: found.version, Digest: found.digest}, nil
}

// Pull implements helm.Helm.
func (s *Store) Pull(ctx context.Context, c helm.Chart, dir string) error {
	if c.Ref.Tree != "" {
		if err := s.pullTree(ctx, c, dir); err != nil {
			return err
		}
		return weigh(name(c.Ref), dir, mostTree)
	}
	ref := c.Ref
	ref.Version = c.Version
	archive, err := s.archive(ctx, ref, c.Digest)
	if err != nil {
		return err
	}
	if err := extract(archive, dir, unpacked*s.MaxChart); err != nil {
		return sdk.Permanent(fmt.Errorf("chart %s: %w", name(ref), err))
	}
	return weigh(name(ref), dir, unpacked*s.MaxChart)
}

// unpacked is how many times larger than its archive at most a chart may be.
const unpacked = 4

// found is an exact chart of a repository.
type found struct {
	version string
	digest  string
	url     string // of the archive, as the index has it; empty for OCI
}

// find resolves a chart of a repository.
func (s *Store) find(ctx context.Context, ref helm.ChartRef) (found, error) {
	where, err := s.locate(ref, ref.Repository)
	if err != nil {
		return found{}, sdk.Permanent(fmt.Errorf("chart %s: %w", name(ref), err))
	}
	var f found
	if where.oci() {
		f, err = s.findArtifact(ctx, ref, where)
	} else {
		f, err = s.findEntry(ctx, ref, where)
	}
	if err != nil {
		return found{}, fmt.Errorf("chart %s: %w", name(ref), err)
	}
	return f, nil
}

// archive returns the path of the archive of an exact chart, whose digest it
// has checked, and, with a keyring, the signature.
func (s *Store) archive(ctx context.Context, ref helm.ChartRef, digest string) (string, error) {
	where, err := s.locate(ref, ref.Repository)
	if err != nil {
		return "", sdk.Permanent(fmt.Errorf("chart %s: %w", name(ref), err))
	}
	var path string
	if where.oci() {
		path, err = s.pullArtifact(ctx, ref, where, digest)
	} else {
		path, err = s.pullEntry(ctx, ref, where, digest)
	}
	if err != nil {
		return "", fmt.Errorf("chart %s: %w", name(ref), err)
	}
	return path, nil
}

// name of a chart for people.
func name(ref helm.ChartRef) string {
	switch {
	case ref.Tree != "":
		return ref.Path
	case ref.Version == "":
		return ref.Name
	}
	return ref.Name + " " + ref.Version
}

var errDigest = errors.New("the digest is not the one that was resolved")
