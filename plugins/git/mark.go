package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// marked is what a source knows of one of its markers.
type marked struct {
	tag, commit string
	warned      bool // that somebody else moves it too
}

// Mark makes or moves the annotated tag called name. A revision that it
// points to already costs nothing.
func (s *gitSource) Mark(ctx context.Context, name string, rev source.Revision, message string) error {
	s.marking.Lock()
	defer s.marking.Unlock()
	known := s.marks[name]
	if rev.ID != "" && known.commit == rev.ID {
		return nil
	}
	if s.config.Write == nil {
		return sdk.Permanent(fmt.Errorf("%s: the source is read-only: to mark revisions with a tag add write { } to its block", s.url))
	}
	if !validRefName(name) {
		return sdk.Permanent(fmt.Errorf("%s: %q is not the name of a tag", s.url, name))
	}
	if err := s.ensure(ctx, rev); err != nil {
		return err
	}
	signer, err := s.config.Write.Sign.signer()
	if err != nil {
		return sdk.Permanent(fmt.Errorf("%s: %w", s.url, err))
	}
	f := mirror.Form{Committer: s.config.Write.committer(), Message: strings.TrimSpace(clean(message)) + "\n", Sign: signer}
	done, err := s.mirror.Mark(ctx, s.access, mirror.Mark{Ref: "refs/tags/" + name, Commit: rev.ID, Form: f, Known: known.tag})
	if err != nil {
		return s.explain(ctx, err)
	}
	if o := done.Other; o != nil && (known.tag != "" || o.Tagger.Email != f.Committer.Email) && !known.warned {
		known.warned = true
		s.log.Warn("the marker is moved by somebody else too: each cluster needs a tag of its own",
			"tag", name, "by", printable(o.Tagger.String()), "at", o.Target.String())
	}
	known.tag, known.commit = done.Tag, rev.ID
	if s.marks == nil {
		s.marks = map[string]marked{}
	}
	s.marks[name] = known
	return nil
}

// ensure brings rev into the mirror if it is not there.
func (s *gitSource) ensure(ctx context.Context, rev source.Revision) error {
	_, err := s.mirror.Commit(ctx, rev.ID)
	if errors.Is(err, mirror.ErrUnknown) {
		return s.bring(ctx, rev, false, "")
	}
	if err != nil {
		return fmt.Errorf("%s: commit %s: %w", s.url, rev.ID, err)
	}
	return nil
}
