package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Commit publishes the edits of c as one commit on top of what the branch has
// then, and never moves a branch anywhere else than forward.
func (s *gitSource) Commit(ctx context.Context, c source.Change) (source.Revision, error) {
	p, err := s.proposal(ctx, c)
	if err != nil {
		return source.Revision{}, err
	}
	var done mirror.Published
	err = s.onBranch(ctx, &p, c, func() (err error) {
		done, err = s.mirror.Publish(ctx, s.access, p)
		return err
	})
	if errors.Is(err, mirror.ErrInvalid) {
		return source.Revision{}, sdk.Permanent(fmt.Errorf("%s: %w", s.url, err))
	}
	if err != nil {
		return source.Revision{}, s.explain(ctx, err)
	}
	if len(done.Diverged) > 0 {
		s.log.Warn("branch cannot be brought up to date, because files differ on both sides: merge it by hand",
			"branch", shortRef(p.Branch), "with", shortRef(p.Read), "count", len(done.Diverged), "first", done.Diverged[0])
	}
	rev, err := s.published(ctx, p.Branch, done)
	if err != nil || len(done.Conflicts) == 0 {
		return rev, err
	}
	return rev, conflict(done.Conflicts, rev)
}

// Branch is what a Commit to a branch would build on. If that takes a merge
// commit, it is made in the mirror only.
func (s *gitSource) Branch(ctx context.Context, name string) (source.Revision, error) {
	c := source.Change{Branch: name}
	p, err := s.proposal(ctx, c)
	if err != nil {
		return source.Revision{}, err
	}
	var start string
	err = s.onBranch(ctx, &p, c, func() (err error) {
		start, err = s.mirror.Start(ctx, s.access, p)
		return err
	})
	if err != nil {
		return source.Revision{}, s.explain(ctx, err)
	}
	return s.published(ctx, p.Branch, mirror.Published{Head: start})
}

// published is the revision of what has been published; zero if nothing was.
func (s *gitSource) published(ctx context.Context, branch string, done mirror.Published) (source.Revision, error) {
	if done.Head == "" {
		return source.Revision{}, nil
	}
	c, err := s.mirror.Commit(ctx, done.Head)
	if err != nil {
		return source.Revision{}, fmt.Errorf("%s: commit %s: %w", s.url, done.Head, err)
	}
	rev := s.revision(c)
	rev.Ref = shortRef(branch)
	if done.New {
		s.log.Info("commit pushed", "branch", rev.Ref, "commit", rev.ID)
	}
	return rev, nil
}

// conflict makes the error of edits that could not be made. Reasons stand in
// its text only.
func conflict(conflicts []mirror.Conflict, written source.Revision) error {
	e := &source.ConflictError{Written: written}
	var reasons []string
	for _, c := range conflicts {
		e.Paths = append(e.Paths, c.Path)
		if c.Reason != "" {
			reasons = append(reasons, c.Path+": "+c.Reason)
		}
	}
	if len(reasons) == 0 {
		return e
	}
	return fmt.Errorf("%w (%s)", e, strings.Join(reasons, "; "))
}

// proposal is what c asks for, or why it is refused.
func (s *gitSource) proposal(ctx context.Context, c source.Change) (mirror.Proposal, error) {
	w, err := s.writable()
	if err != nil {
		return mirror.Proposal{}, err
	}
	p := mirror.Proposal{Edits: c.Edits}
	if p.Form, err = s.form(w, c); err != nil {
		return p, sdk.Permanent(fmt.Errorf("%s: %w", s.url, err))
	}
	if c.Branch != "" && !validRefName(c.Branch) {
		return p, sdk.Permanent(fmt.Errorf("%s: %q is not the name of a branch", s.url, c.Branch))
	}
	if p.Read, err = s.readBranch(ctx, false); err != nil {
		return p, s.explain(ctx, err)
	}
	p.Target(c.Branch)
	return p, nil
}

// writable returns how to write, or says what to do so that it is allowed.
func (s *gitSource) writable() (*Write, error) {
	switch {
	case s.config.Tag != "" || s.config.Commit != "":
		return nil, sdk.Permanent(fmt.Errorf("%s: the source is read-only, because it follows a tag or a commit: follow a branch and add write { } to its block", s.url))
	case s.config.Write == nil:
		return nil, sdk.Permanent(fmt.Errorf("%s: the source is read-only: add write { } to its block", s.url))
	}
	return s.config.Write, nil
}

func (s *gitSource) form(w *Write, c source.Change) (mirror.Form, error) {
	f := mirror.Form{Committer: w.committer()}
	var ok bool
	if f.Author, ok = person(cmp.Or(c.Author, w.Author)); !ok {
		return f, fmt.Errorf("the author %q is not a name with a mail address", c.Author)
	}
	signer, err := w.Sign.signer()
	if err != nil {
		return f, err
	}
	f.Sign = signer
	f.Message, err = w.message(c)
	return f, err
}

func (w *Write) committer() object.Signature {
	p, _ := person(cmp.Or(w.Committer, w.Author)) // Validate has looked
	return p
}

// readBranch is the full name of the branch that the source follows; fresh
// asks the server for its default branch, if it is that.
func (s *gitSource) readBranch(ctx context.Context, fresh bool) (string, error) {
	if ref := s.followed(); ref != "" {
		return ref, nil
	}
	s.mu.Lock()
	ref := s.lastRef
	s.mu.Unlock()
	if fresh || ref == "" {
		var r mirror.Result
		var err error
		if ref, r, err = s.mirror.FetchDefault(ctx, s.access); err == nil {
			err = r.Err
		}
		if err != nil {
			return "", err
		}
	}
	if !strings.HasPrefix(ref, "refs/heads/") {
		return "", sdk.Permanent(fmt.Errorf("%s: the server does not tell the name of its default branch: set branch", s.url))
	}
	return ref, nil
}

// onBranch does what concerns p, and does it once more with what can be known
// only after a failure: that a repository without any branch gets its first
// commit, on the configured branch; that the default branch has another name.
func (s *gitSource) onBranch(ctx context.Context, p *mirror.Proposal, c source.Change, do func() error) error {
	err := do()
	f, ok := errors.AsType[*remote.Fault](err)
	if !ok || f.Kind != remote.RefMissing || f.Ref != p.Read {
		return err
	}
	if s.followed() == "" {
		var rerr error
		if p.Read, rerr = s.readBranch(ctx, true); rerr != nil {
			return rerr
		}
		p.Target(c.Branch)
		return do()
	}
	l, lerr := s.mirror.List(ctx, s.access)
	if lerr != nil || len(l.Refs) > 0 || len(c.Edits) == 0 {
		return err
	}
	p.First = true
	return do()
}
