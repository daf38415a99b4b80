package edit

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// scanned is what a file holds, with all its objects.
type scanned struct {
	found  Found
	parsed int // documents
}

// scan reads the documents of a file that may hold what Found names.
func scan(data []byte, o Options, relevant screen) (s scanned) {
	text, line, err := document.Text(data)
	if err != nil {
		s.problem(max(line, 1), "the file is not text: "+err.Error(), "")
		return s
	}
	for c := range document.Split(text) {
		if c.Empty() || !relevant.in(c.Text) {
			continue
		}
		s.parsed++
		d, err := parse(c, o)
		if err != nil {
			p := part{chunk: c, err: err}
			s.problem(p.errorLine(), err.Error(), "Its images are not known, and not updated.")
		}
		s.take(d)
	}
	return s
}

// screen tells by a quick look whether a document may hold anything that Found
// names: parsing takes a hundred times as long, and most of the large documents
// of a repository are others, such as CRDs and dashboards.
type screen struct {
	kind *regexp.Regexp
	all  bool
}

// newScreen returns a screen for the kinds that have images. A kind that is an
// alias, or merged in, may be any.
func newScreen(o Options) screen {
	names := []string{`\*`}
	for key := range podPaths {
		_, kind, _ := strings.Cut(key, "/")
		names = append(names, kind)
	}
	names = append(names, "HelmRelease", "FluxHelmRelease")
	for _, k := range o.Kinds {
		names = append(names, regexp.QuoteMeta(k.Kind))
	}
	slices.Sort(names)
	kinds := strings.Join(slices.Compact(names), "|")
	return screen{all: o.Values != "", kind: regexp.MustCompile(`kind["']?\s*:[^:{}\[\],#]{0,60}(?:` + kinds + `)`)}
}

func (s screen) in(text []byte) bool {
	return s.all || mayHaveMarkers(text) || bytes.Contains(text, []byte("images")) && bytes.Contains(text, []byte("name")) ||
		bytes.Contains(text, []byte("<<")) || s.kind.Match(text)
}

// take adds what a document holds.
func (s *scanned) take(d *doc) {
	for _, o := range d.objects {
		if w, ok := o.workload(); ok {
			s.found.Workloads = append(s.found.Workloads, w)
		}
	}
	for _, m := range d.markers().list {
		s.found.Markers = append(s.found.Markers, m.Marker)
	}
	s.found.Problems = append(s.found.Problems, d.markers().problems...)
	_, entries := d.kustomized()
	s.found.Kustomize = append(s.found.Kustomize, entries...)
	number(s.found.Kustomize)
}

func (s *scanned) problem(line int, summary, detail string) {
	s.found.Problems = append(s.found.Problems, diag.Diagnostic{Summary: summary, Detail: detail,
		Subject: &diag.Range{Start: diag.Pos{Line: line}, End: diag.Pos{Line: line}}})
}
