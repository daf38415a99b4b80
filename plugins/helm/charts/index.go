package charts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// fresh is how long an index is believed without asking: many releases of one
// repository are looked at in a row.
const fresh = 30 * time.Second

// index is that of one repository. Its file is on disk; in memory is where
// each chart stands in it.
type index struct {
	turn    chan struct{} // holds one token: who has it may use the rest
	file    string
	entries map[string]span    // nil: not read yet
	known   map[string][]entry // what was read of it
	checked time.Time
	stamp
}

// stamp is what a server is asked with whether a file has changed.
type stamp struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
}

func (s stamp) header() http.Header {
	h := http.Header{}
	if s.ETag != "" {
		h.Set("If-None-Match", s.ETag)
	} else if s.Modified != "" {
		h.Set("If-Modified-Since", s.Modified)
	}
	return h
}

func stampOf(h http.Header) stamp { return stamp{h.Get("ETag"), h.Get("Last-Modified")} }

// entriesOf returns the versions of a chart, from an index that is fresh.
func (s *Store) entriesOf(ctx context.Context, where location, chart string) ([]entry, error) {
	at := where
	at.URL = where.JoinPath("index.yaml")
	at.asked = strings.TrimSuffix(where.asked, "/") + "/index.yaml"
	i := s.index(at)
	select {
	case <-i.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { i.turn <- struct{}{} }()
	if err := s.refresh(ctx, i, at); err != nil {
		return nil, err
	}
	there, ok := i.entries[chart]
	if !ok {
		return nil, missing(at, chart, i.entries)
	}
	return i.read(chart, there)
}

func missing(at location, chart string, entries map[string]span) error {
	err := fmt.Errorf("%s has no chart %q", at, chart)
	if near := diag.Nearest(chart, slices.Sorted(maps.Keys(entries))); near != "" {
		err = fmt.Errorf("%w: did you mean %q?", err, near)
	}
	return err
}

// index returns the one of a URL, as the credentials see it.
func (s *Store) index(at location) *index {
	key := at.identity()
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.indexes[key]
	if i == nil {
		i = &index{turn: make(chan struct{}, 1), file: filepath.Join(s.Dir, "index", key)}
		i.turn <- struct{}{}
		s.indexes[key] = i
	}
	return i
}

// refresh downloads an index unless it has not changed.
func (s *Store) refresh(ctx context.Context, i *index, at location) error {
	if _, err := os.Stat(i.file); err != nil { // too many others were used since
		i.entries = nil
	}
	if i.entries != nil && time.Since(i.checked) < fresh {
		return nil
	}
	if i.entries == nil {
		i.restore()
	}
	resp, err := s.get(ctx, at, i.header())
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusNotModified {
		i.checked = time.Now()
		return os.Chtimes(i.file, i.checked, i.checked) // used: see tidy
	}
	if err := s.renew(i, resp); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return s.tidyIndexes()
}

// renew takes up a new index. Its stamp is the last thing to be written, and the
// old one the first to go: it must never stand beside another index.
func (s *Store) renew(i *index, resp *http.Response) error {
	if err := os.Remove(i.file + ".stamp"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	i.stamp = stamp{}
	if err := download(resp, i.file, s.MaxIndex); err != nil {
		return err
	}
	if err := i.scan(); err != nil {
		return err
	}
	i.stamp, i.checked = stampOf(resp.Header), time.Now()
	text, err := json.Marshal(i.stamp)
	if err != nil {
		return err
	}
	return replace(i.file+".stamp", bytes.NewReader(text))
}

// tidyIndexes bounds what is kept: each change of credentials makes an index
// of its own.
func (s *Store) tidyIndexes() error {
	if err := tidy(filepath.Join(s.Dir, "index"), mostKept); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.indexes, func(_ string, i *index) bool {
		_, err := os.Stat(i.file)
		return errors.Is(err, fs.ErrNotExist) && len(i.turn) == 1 // nobody is about to make it
	})
	return nil
}

// restore takes up what an earlier process has left.
func (i *index) restore() {
	i.stamp = stamp{}
	text, err := os.ReadFile(i.file + ".stamp")
	if err != nil || json.Unmarshal(text, &i.stamp) != nil || i.scan() != nil {
		i.stamp = stamp{}
	}
}

// scan finds where the charts stand in the file.
func (i *index) scan() error {
	f, err := os.Open(i.file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	entries, err := scan(f)
	i.entries, i.known = entries, map[string][]entry{}
	return err
}

// mostKnown versions of an index stay in memory.
const mostKnown = 20_000

// read returns the versions at a span. They must not be changed.
func (i *index) read(chart string, at span) ([]entry, error) {
	if list, ok := i.known[chart]; ok {
		return list, nil
	}
	f, err := os.Open(i.file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	parse := readYAML
	if at.json {
		parse = readJSON
	}
	list, err := parse(io.NewSectionReader(f, at.from, at.length))
	if err != nil {
		return nil, fmt.Errorf("the index's entry of chart %q is malformed: %w", chart, err)
	}
	all := len(list)
	for _, other := range i.known {
		all += len(other)
	}
	if all > mostKnown {
		clear(i.known)
	}
	if len(list) <= mostKnown {
		i.known[chart] = list
	}
	return list, nil
}

// findEntry resolves a chart of an HTTP(S) repository.
func (s *Store) findEntry(ctx context.Context, ref helm.ChartRef, where location) (found, error) {
	if ref.Name == "" {
		return found{}, fmt.Errorf("%s: which chart of it?", where)
	}
	entries, err := s.entriesOf(ctx, where, ref.Name)
	if err != nil {
		return found{}, err
	}
	versions := make([]string, len(entries))
	for i, e := range entries {
		versions[i] = e.Version
	}
	i, err := pick(versions, ref.Version)
	if err != nil {
		return found{}, fmt.Errorf("%s: %w", where, err)
	}
	e := entries[i]
	if len(e.URLs) == 0 {
		return found{}, fmt.Errorf("%s: the index names no URL for version %s", where, e.Version)
	}
	f := found{version: e.Version, digest: "sha256:" + strings.TrimPrefix(e.Digest, "sha256:"), url: e.URLs[0]}
	if e.Digest == "" {
		f.digest, err = s.sumOf(ctx, ref, where, f)
	}
	return f, err
}
