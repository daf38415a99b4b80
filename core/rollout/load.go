package rollout

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-gitops/sluice/core/manifest"
)

// Loaded is the desired state of one sync, ready for an applier.
type Loaded struct {
	Items    string    // path of the file with one applier.Item a line
	Objects  int       // in Items
	Files    int       // read
	Problems []Problem // files and documents that were left out
	Complete bool      // Items holds everything that is wanted
}

// Load reads the objects that o selects of the tree at root and writes them to
// dir, which it makes. A bad file or document is a Problem and leaves the load
// incomplete; the error is about the load as a whole. Load may replace what an
// earlier Load wrote to the same dir.
func Load(ctx context.Context, root, dir string, o manifest.Options) (*Loaded, error) {
	res, err := manifest.Load(ctx, root, o)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	l := &Loaded{
		Items:   filepath.Join(dir, "objects.jsonl"),
		Objects: len(res.Objects), Files: res.Files, Problems: Problems(res.Problems), Complete: res.Complete,
	}
	if err := res.WriteItems(l.Items); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return l, nil
}

// FailedReport is the report of a run that ended before there was a plan. l
// may be nil.
func FailedReport(req Request, l *Loaded, err error) *Report {
	r := &Run{req: req, progress: serial(nil)}
	r.report = Report{Owner: req.Owner, Revision: req.Revision, Tree: req.Tree}
	if l != nil {
		r.report.Problems = l.Problems
		r.report.Counts.Wanted = l.Objects
	}
	r.fail(err)
	return r.Finish(context.Background())
}
