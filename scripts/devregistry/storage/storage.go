// Package storage is the registry itself: distribution's, in this process, on
// memory or a directory. Beside its HTTP API it offers what that has not: the
// push times of tags, many images at once, and broken ones.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"sync"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/base"
	"github.com/distribution/distribution/v3/registry/storage/driver/factory"
	"github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
)

// maxThreads bounds how many files are open at once.
const maxThreads = 200

// Storage is a registry without authentication. It is safe for concurrent use.
type Storage struct {
	driver driver.StorageDriver
	app    *handlers.App
	extra  extra
}

// Open makes a registry on dir, or on memory if dir is empty. Its log goes to
// log. Close it.
func Open(ctx context.Context, dir string, log io.Writer) (s *Storage, err error) {
	logrus.SetOutput(log) // distribution has one log for the process
	registerDriver()
	m := newMemory()
	s = &Storage{driver: m}
	checked := driver.StorageDriver(&base.Base{StorageDriver: m})
	if dir != "" {
		checked = filesystem.New(filesystem.DriverParameters{RootDirectory: dir, MaxThreads: maxThreads})
		s.driver = checked
	}
	defer func() {
		if p := recover(); p != nil { // that is how NewApp reports errors
			err = fmt.Errorf("start the registry: %v", p)
		}
	}()
	s.app = handlers.NewApp(ctx, config(checked))
	return s, nil
}

func config(d driver.StorageDriver) *configuration.Configuration {
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			driverName:    {"driver": d},
			"delete":      {"enabled": true},
			"cache":       {"blobdescriptor": "inmemory"},
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		},
		Catalog: configuration.Catalog{MaxEntries: 1000},
		Tags:    configuration.Tags{MaxTags: 1000},
	}
	c.HTTP.RelativeURLs = true
	c.HTTP.Secret = "uploads that go on after a restart are not needed here"
	c.Validation.Disabled = true // an index may name images that are not there
	return c
}

// ServeHTTP serves the registry's API.
func (s *Storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.serveRaw(w, r) {
		s.app.ServeHTTP(w, r)
	}
}

// Close ends what runs in the background.
func (s *Storage) Close() error { return s.app.Shutdown() }

const driverName = "devregistry"

// registerDriver makes distribution use a driver that exists already, which is
// shared with this package.
var registerDriver = sync.OnceFunc(func() { factory.Register(driverName, existing{}) })

type existing struct{}

func (existing) Create(_ context.Context, parameters map[string]any) (driver.StorageDriver, error) {
	return parameters["driver"].(driver.StorageDriver), nil
}

// Tags lists the tags of repository by name. The error is
// cloud.ErrNoRepository if there is no such repository.
func (s *Storage) Tags(ctx context.Context, repository string) ([]cloud.Tag, error) {
	dirs, err := s.driver.List(ctx, tagsPath(repository))
	if errors.As(err, new(driver.PathNotFoundError)) {
		return nil, fmt.Errorf("%s: %w", repository, cloud.ErrNoRepository)
	}
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", repository, err)
	}
	slices.Sort(dirs)
	tags := make([]cloud.Tag, 0, len(dirs))
	for _, dir := range dirs {
		tag, err := s.tag(ctx, dir)
		if errors.As(err, new(driver.PathNotFoundError)) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read the tag %s of %s: %w", path.Base(dir), repository, err)
		}
		tags = append(tags, tag)
	}
	s.extra.correct(repository, tags)
	return tags, nil
}

func (s *Storage) tag(ctx context.Context, dir string) (cloud.Tag, error) {
	link := path.Join(dir, "current/link")
	content, err := s.driver.GetContent(ctx, link)
	if err != nil {
		return cloud.Tag{}, err
	}
	info, err := s.driver.Stat(ctx, link)
	if err != nil {
		return cloud.Tag{}, err
	}
	return cloud.Tag{Name: path.Base(dir), Digest: string(content), Pushed: info.ModTime().UTC()}, nil
}

// Blob returns the content of a blob or manifest, whatever repository it is in.
func (s *Storage) Blob(ctx context.Context, d string) ([]byte, error) {
	parsed, err := digest.Parse(d)
	if err != nil {
		return nil, err
	}
	return s.driver.GetContent(ctx, blobPath(parsed))
}
