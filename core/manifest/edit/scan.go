package edit

import (
	"bytes"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// scanned is what a file holds, with all its objects.
type scanned struct {
	found  Found
	parsed int // documents
}

// scan reads the documents of a file that may hold what Found names.
func scan(data []byte, o Options) (s scanned) {
	text, line, err := document.Text(data)
	if err != nil {
		s.problem(max(line, 1), "the file is not text: "+err.Error(), "")
		return s
	}
	hints := scanHints(o)
	for c := range document.Split(text) {
		if c.Empty() || !containsAny(c.Text, hints) {
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

// scanHints are strings of which a document has one if it holds anything that
// Found names.
func scanHints(o Options) [][]byte {
	hints := [][]byte{[]byte("$sluice"), []byte("$imagepolicy"), []byte("HelmRelease"), []byte("images"),
		[]byte("Pod"), []byte("ReplicationController"), []byte("Deployment"), []byte("DaemonSet"),
		[]byte("StatefulSet"), []byte("ReplicaSet"), []byte("Job")}
	for _, k := range o.Kinds {
		hints = append(hints, []byte(k.Kind))
	}
	return hints
}

func containsAny(text []byte, words [][]byte) bool {
	for _, w := range words {
		if bytes.Contains(text, w) {
			return true
		}
	}
	return false
}

// take adds what a document holds.
func (s *scanned) take(d *doc) {
	for _, o := range d.objects {
		if w, ok := o.workload(); ok {
			s.found.Workloads = append(s.found.Workloads, w)
		}
	}
	markers, problems := d.markers()
	for _, m := range markers {
		s.found.Markers = append(s.found.Markers, m.Marker)
	}
	s.found.Problems = append(s.found.Problems, problems...)
	for _, e := range d.kustomizeImages() {
		s.found.Kustomize = append(s.found.Kustomize, d.kustomizeImage(e))
	}
}

func (s *scanned) problem(line int, summary, detail string) {
	s.found.Problems = append(s.found.Problems, diag.Diagnostic{Summary: summary, Detail: detail,
		Subject: &diag.Range{Start: diag.Pos{Line: line}, End: diag.Pos{Line: line}}})
}
