package rollout

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/render"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Loaded is the desired state of one sync, ready for an applier.
type Loaded struct {
	Items    string    // path of the file with one applier.Item a line
	Objects  int       // in Items
	Files    int       // read
	Problems []Problem // files and documents that were left out
	Complete bool      // Items holds everything that is wanted
	Digest   string    // of all of this: loads with equal digests ask for the same
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
	return write(res, dir)
}

// LoadRendered is Load for what a renderer has made of a tree. Objects and
// problems are named by the files of the tree that they come from; warnings of
// the renderer are among the problems. What was not rendered at all is not for
// LoadRendered: nothing must be taken for gone then.
func LoadRendered(ctx context.Context, r render.Rendered, dir string, o manifest.Options) (*Loaded, error) {
	o.Paths, o.Tree, o.Origin = nil, "", r.Origin
	res, err := manifest.Load(ctx, r.Dir, o)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	res.Problems = append(slices.Clone(r.Problems), res.Problems...)
	res.Complete = res.Complete && !r.Problems.HasErrors()
	return write(res, dir)
}

// write writes the objects of res to dir.
func write(res manifest.Result, dir string) (*Loaded, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	l := &Loaded{
		Items:   filepath.Join(dir, "objects.jsonl"),
		Objects: len(res.Objects), Files: res.Files, Problems: Problems(res.Problems), Complete: res.Complete,
		Digest: digest(&res),
	}
	if err := res.WriteItems(l.Items); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return l, nil
}

// digest adds to what the objects are where they stand, which reports tell.
func digest(res *manifest.Result) string {
	h := sha256.New()
	_, _ = io.WriteString(h, res.Digest) // a hash takes everything
	for _, o := range res.Objects {
		_, _ = fmt.Fprintf(h, "\n%s:%d", o.File, o.Line)
	}
	for _, p := range res.Problems {
		_, _ = fmt.Fprintf(h, "\n%v", p.Error())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Carry returns the report of a run that had nothing to do, because rev loads
// to the same objects as the run that r reports.
func (r *Report) Carry(req Request) *Report {
	c := *r
	c.Revision, c.Tree = req.Revision, req.Tree
	c.Started = time.Now().UTC()
	c.Finished = c.Started
	c.Objects = make([]Object, 0, len(r.Objects))
	for _, o := range r.Objects {
		switch o.Outcome {
		case applier.Deleted:
			continue
		case applier.Created, applier.Updated, applier.Recreated:
			o.Outcome, o.Reason = applier.Unchanged, ""
		}
		if o.Outcome == applier.Unchanged {
			o.Action = applier.None
		}
		c.Objects = append(c.Objects, o)
	}
	c.count()
	return &c
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
