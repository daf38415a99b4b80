package images

import (
	"context"
	"errors"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the image scanner is closed")

// Scanner scans. See the package comment. It is safe for concurrent use.
type Scanner struct{ opts Options }

// New returns a scanner without targets. The caller owes it a Close.
func New(o Options) (*Scanner, error) {
	if o.Credentials == nil || o.Client == nil || o.Cache == nil {
		return nil, errors.New("an image scanner needs credentials, a client and a cache")
	}
	return &Scanner{opts: o}, nil
}

// Configure replaces the settings. It does not block.
func (s *Scanner) Configure(settings Settings) { panic("not yet") }

// SetTargets replaces what runs; it does not block. What a cluster lost for a
// moment and has again keeps its times.
func (s *Scanner) SetTargets(targets []Target) { panic("not yet") }

// Scan lists the repositories of targets now, each once, and reads what their
// policies need; it waits until all are done or ctx ends. It joins what is
// under way, and goes before what is due. Targets need not be among those of
// SetTargets. progress, which may be nil, gets each result as it comes, from
// one goroutine. Results are in the order of repositories.
func (s *Scanner) Scan(ctx context.Context, targets []Target, progress func(Result)) []Result {
	panic("not yet")
}

// Resolve reads the images of some tags of target's repository unless they are
// known, for people to look at. Tags that cannot be read have a Problem in the
// View; the error is about the repository.
func (s *Scanner) Resolve(ctx context.Context, target Target, tags []string) error { panic("not yet") }

// Known returns what is known of target's repository. It sends nothing to a
// registry; it may ask the broker which credential the target has. Without a
// listing the View has no tags and says why.
func (s *Scanner) Known(ctx context.Context, target Target) (View, error) { panic("not yet") }

// Status tells of each repository that is scanned, in the order of names.
func (s *Scanner) Status() []RepositoryStatus { panic("not yet") }

// Metrics returns figures for each host.
func (s *Scanner) Metrics() Metrics { panic("not yet") }

// Close ends what is under way and waits for it. Scan and Resolve return
// ErrClosed then.
func (s *Scanner) Close(ctx context.Context) error { panic("not yet") }
