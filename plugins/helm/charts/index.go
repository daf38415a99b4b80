package charts

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"crypto/sha256"
	"net/http"

	"sigs.k8s.io/yaml"

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
	entries map[string]span // nil: not read yet
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

// span is where the versions of a chart stand in an index.
type span struct {
	from, length int64
	json         bool // a list; else a YAML map with the chart's name
}

// entry is one version in an index.
type entry struct {
	Version string   `json:"version"`
	Digest  string   `json:"digest"`
	URLs    []string `json:"urls"`
}

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
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	err := fmt.Errorf("%s has no chart %q", at, chart)
	if near := diag.Nearest(chart, names); near != "" {
		err = fmt.Errorf("%w: did you mean %q?", err, near)
	}
	return err
}

// index returns the one of a URL, as the credentials see it.
func (s *Store) index(at location) *index {
	key := fmt.Sprintf("%x", sha256.Sum256([]byte(at.URL.String()+"\x00"+at.auth.Username+"\x00"+at.auth.Password.Reveal())))
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
		return nil
	}
	if err := download(resp, i.file, s.MaxIndex); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if err := i.scan(); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	i.stamp, i.checked = stampOf(resp.Header), time.Now()
	text, err := json.Marshal(i.stamp)
	if err != nil {
		return err
	}
	return replace(i.file+".stamp", bytes.NewReader(text))
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
	i.entries = entries
	return err
}

// read returns the versions at a span.
func (i *index) read(chart string, at span) ([]entry, error) {
	f, err := os.Open(i.file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.NewSectionReader(f, at.from, at.length))
	if err != nil {
		return nil, err
	}
	var list []entry
	if at.json {
		err = json.Unmarshal(text, &list)
	} else {
		var m map[string][]entry
		err = yaml.Unmarshal(text, &m)
		for _, list = range m {
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the index's entry of chart %q is malformed: %w", chart, err)
	}
	return list, nil
}

// scan finds where the charts stand in an index, without reading what it says
// about them. An index that is YAML must be in block style, with plain or
// quoted names, as every program writes it.
func scan(r io.ReadSeeker) (map[string]span, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	first, err := buffered.Peek(1)
	if err != nil {
		return nil, errors.New("the index is empty")
	}
	if first[0] == '{' {
		return scanJSON(buffered)
	}
	return scanYAML(buffered)
}

func scanJSON(r io.Reader) (map[string]span, error) {
	entries := map[string]span{}
	malformed := func(err error) error { return fmt.Errorf("the index is not valid JSON: %w", err) }
	d := json.NewDecoder(r)
	if _, err := d.Token(); err != nil {
		return nil, malformed(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, malformed(err)
		}
		if name != "entries" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return nil, malformed(err)
			}
			continue
		}
		if open, err := d.Token(); err != nil || open != json.Delim('{') {
			return nil, errors.New("the index's entries are no map")
		}
		for d.More() {
			chart, err := d.Token()
			if err != nil {
				return nil, malformed(err)
			}
			var list json.RawMessage
			if err := d.Decode(&list); err != nil {
				return nil, malformed(err)
			}
			text, _ := chart.(string)
			end := d.InputOffset()
			entries[text] = span{end - int64(len(list)), int64(len(list)), true}
		}
		if _, err := d.Token(); err != nil {
			return nil, malformed(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed(err)
	}
	return entries, nil
}

// scanner is the state of scanYAML.
type scanner struct {
	entries map[string]span
	inside  bool // entries
	indent  int  // of the charts' names; zero: not seen yet
	chart   string
	start   int64
}

func scanYAML(r *bufio.Reader) (map[string]span, error) {
	s := scanner{entries: map[string]span{}}
	seen := false
	var at int64
	for {
		line, whole, err := head(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(line) > 0 {
			if err := s.line(line, at); err != nil {
				return nil, err
			}
			seen = seen || s.inside
		}
		at += whole
		if err != nil {
			break
		}
	}
	s.close(at)
	if !seen {
		return nil, errors.New("the index has no entries: is this a chart repository?")
	}
	return s.entries, nil
}

// longestHead is how much of a line is looked at.
const longestHead = 4 << 10

// head returns the beginning of the next line, and how long all of it is.
func head(r *bufio.Reader) (line []byte, whole int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if whole += int64(len(part)); len(line) < longestHead {
			line = append(line, part[:min(len(part), longestHead-len(line))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, whole, err
		}
	}
}

// line takes up the line that begins at an offset.
func (s *scanner) line(line []byte, at int64) error {
	text := strings.TrimRight(string(line), " \r\n")
	trimmed := strings.TrimLeft(text, " ")
	indent := len(text) - len(trimmed)
	switch {
	case trimmed == "" || trimmed[0] == '#':
		return nil
	case indent == 0 && trimmed[0] != '-':
		s.close(at)
		key, rest, _ := strings.Cut(trimmed, ":")
		s.inside = unquote(key) == "entries"
		if rest = strings.TrimSpace(rest); s.inside && rest != "" && rest != "{}" && rest[0] != '#' {
			return errors.New("the index's entries are not in block style")
		}
		return nil
	case !s.inside || trimmed[0] == '-':
		return nil
	case s.indent == 0:
		s.indent = indent
	}
	if indent == s.indent {
		s.close(at)
		key, _, ok := strings.Cut(trimmed, ":")
		if !ok {
			return fmt.Errorf("the index is malformed at byte %d", at)
		}
		s.chart, s.start = unquote(key), at
	}
	return nil
}

// close ends the chart that was begun.
func (s *scanner) close(at int64) {
	if s.chart != "" {
		s.entries[s.chart] = span{from: s.start, length: at - s.start}
	}
	s.chart = ""
}

func unquote(key string) string { return strings.Trim(strings.TrimSpace(key), `"'`) }

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
