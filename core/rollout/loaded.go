package rollout

import "context"

// Loaded is the desired state of one sync, ready for an applier.
type Loaded struct {
	Items    string    // path of the file with one applier.Item a line
	Objects  int       // in Items
	Files    int       // read
	Problems []Problem // files and documents that were left out
	Complete bool      // Items holds everything that is wanted
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
