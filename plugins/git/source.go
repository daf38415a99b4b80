package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// limits of a tree: a repository beyond them is no place for manifests.
var limits = mirror.Limits{Entries: 1_000_000, Bytes: 2 << 30}

// gitSource is one branch, tag or commit of a repository. It implements
// source.Source and source.Logger, in commit.go source.Committer and
// source.Brancher, and in mark.go source.Marker.
type gitSource struct {
	config Config
	url    string // for people: without credentials
	mirror *mirror.Mirror
	access mirror.Access
	log    hclog.Logger

	mu       sync.Mutex
	lastRef  string // of the last Resolve: the full name,
	lastHash string // the hash of what it points to,
	last     source.Revision

	marking sync.Mutex
	marks   map[string]marked // by name
}

var _ interface {
	source.Source
	source.Logger
	source.Committer
	source.Brancher
	source.Marker
} = (*gitSource)(nil)

// Resolve fetches the one ref. A commit that the mirror holds costs no
// request.
func (s *gitSource) Resolve(ctx context.Context, previous source.Revision) (source.Revision, error) {
	ref, hash, err := s.resolve(ctx)
	if err != nil {
		return source.Revision{}, s.explain(ctx, err)
	}
	if rev, known := s.remembered(ref, hash); known {
		return rev, nil
	}
	c, err := s.mirror.Commit(ctx, hash)
	if errors.Is(err, mirror.ErrNotCommit) {
		return source.Revision{}, sdk.Permanent(fmt.Errorf("%s: %s: %w", s.url, remote.DescribeRef(ref), err))
	}
	if err != nil && ctx.Err() == nil {
		c, err = s.again(ctx, err)
	}
	if err != nil {
		return source.Revision{}, s.explain(ctx, fmt.Errorf("%s: %s: %w", s.url, remote.DescribeRef(ref), err))
	}
	rev := s.revision(c)
	rev.Ref = shortRef(ref)
	if previous.ID != "" && previous.ID != rev.ID {
		s.log.Debug("new revision", "ref", rev.Ref, "from", previous.ID, "to", rev.ID)
	}
	s.remember(ref, hash, rev)
	return rev, nil
}

// resolve returns the full name of what is followed and the hash that it has
// now.
func (s *gitSource) resolve(ctx context.Context) (ref, hash string, err error) {
	var r mirror.Result
	ref = s.followed()
	switch {
	case ref == "":
		ref, r, err = s.mirror.FetchDefault(ctx, s.access)
	case s.config.Commit != "" && s.holds(ctx, ref):
		return ref, ref, nil
	default:
		var results map[string]mirror.Result
		results, err = s.mirror.Fetch(ctx, s.access, ref)
		r = results[ref]
	}
	if err == nil {
		err = r.Err
	}
	return ref, r.Hash, err
}

// again builds the mirror anew, from which a commit could not be read that
// should be in it.
func (s *gitSource) again(ctx context.Context, cause error) (*object.Commit, error) {
	s.log.Warn("mirror is damaged and is built again", "url", s.url, "cause", cause)
	if err := s.mirror.Rebuild(ctx); err != nil {
		return nil, err
	}
	_, hash, err := s.resolve(ctx)
	if err != nil {
		return nil, err
	}
	return s.mirror.Commit(ctx, hash)
}

// holds reports whether the commit is at hand, so that nobody need be asked.
func (s *gitSource) holds(ctx context.Context, commit string) bool {
	if _, known := s.remembered(commit, commit); known {
		return true
	}
	_, err := s.mirror.Commit(ctx, commit)
	return err == nil
}

// remembered returns what Resolve returned last, if nothing has changed.
func (s *gitSource) remembered(ref, hash string) (source.Revision, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.lastRef == ref && s.lastHash == hash && hash != ""
}

func (s *gitSource) remember(ref, hash string, rev source.Revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastRef, s.lastHash, s.last = ref, hash, rev
}

// followed is the full name of the configured ref, or "" for the default
// branch.
func (s *gitSource) followed() string {
	switch c := s.config; {
	case c.Branch != "":
		return "refs/heads/" + c.Branch
	case c.Tag != "":
		return "refs/tags/" + c.Tag
	default:
		return strings.ToLower(c.Commit)
	}
}

func shortRef(ref string) string {
	return strings.TrimPrefix(strings.TrimPrefix(ref, "refs/heads/"), "refs/tags/")
}

func (s *gitSource) revision(c *object.Commit) source.Revision {
	subject, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	return source.Revision{
		ID:      c.Hash.String(),
		Time:    c.Committer.When,
		Author:  printable(c.Author.String()),
		Message: printable(subject),
		URL:     s.url,
	}
}

// printable makes a committer's text fit for the wire and for terminals:
// valid UTF-8 on one line, without control characters, and not too long.
func printable(s string) string {
	const most = 500
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return strings.TrimSpace(s)
}

// Fetch writes the tree of rev into dir. It needs the network only if the
// mirror does not hold rev any more.
func (s *gitSource) Fetch(ctx context.Context, rev source.Revision, dir string) error {
	x, err := s.mirror.Export(ctx, rev.ID, dir, limits)
	if errors.Is(err, mirror.ErrUnknown) || errors.Is(err, mirror.ErrDamaged) {
		if err := s.bring(ctx, rev, errors.Is(err, mirror.ErrDamaged), dir); err != nil {
			return err
		}
		x, err = s.mirror.Export(ctx, rev.ID, dir, limits)
	}
	switch {
	case errors.Is(err, mirror.ErrUnknown):
		return fmt.Errorf("%s: commit %s: %w", s.url, rev.ID, source.ErrGone)
	case errors.Is(err, mirror.ErrUnsafe):
		return sdk.Permanent(fmt.Errorf("%s: commit %s: %w", s.url, rev.ID, err))
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: no space left on the disk for the tree of commit %s: make room", s.url, rev.ID)
	case err != nil:
		return fmt.Errorf("%s: commit %s: %w", s.url, rev.ID, err)
	}
	s.report(rev, x)
	return nil
}

// bring gets the commit rev into the mirror again: by its hash, or failing
// that with the ref that is followed.
func (s *gitSource) bring(ctx context.Context, rev source.Revision, damaged bool, dir string) error {
	if damaged {
		s.log.Warn("mirror is damaged and is built again", "url", s.url)
		if err := s.mirror.Rebuild(ctx); err != nil {
			return fmt.Errorf("%s: mirror: %w", s.url, err)
		}
		if err := empty(dir); err != nil {
			return err
		}
	}
	results, err := s.mirror.Fetch(ctx, s.access, rev.ID)
	if err == nil {
		err = results[rev.ID].Err
	}
	if f, ok := errors.AsType[*remote.Fault](err); ok && f.Kind == remote.RefMissing {
		return fmt.Errorf("%s: commit %s: %w", s.url, rev.ID, source.ErrGone)
	}
	if err != nil {
		return s.explain(ctx, err)
	}
	return nil
}

// report logs what of the tree is not as a worktree would have it.
func (s *gitSource) report(rev source.Revision, x mirror.Exported) {
	s.log.Debug("exported", "commit", rev.ID, "files", x.Files)
	if len(x.Submodules) > 0 {
		s.log.Warn("submodules are not followed", "commit", rev.ID, "count", len(x.Submodules), "first", x.Submodules[0])
	}
	if len(x.LFS) > 0 {
		s.log.Warn("files are Git LFS pointers; their content is not fetched", "commit", rev.ID, "count", len(x.LFS), "first", x.LFS[0])
	}
}

// Log tells the commits between two revisions and the paths that each
// touches.
func (s *gitSource) Log(ctx context.Context, from, to source.Revision, emit func(source.Entry)) error {
	err := s.mirror.Log(ctx, from.ID, to.ID, func(c *object.Commit, paths []string) {
		for i, p := range paths {
			paths[i] = strings.ToValidUTF8(p, "\uFFFD") // others do not cross the wire
		}
		emit(source.Entry{Revision: s.revision(c), Paths: paths})
	})
	if errors.Is(err, mirror.ErrUnknown) {
		return fmt.Errorf("%s: history from %q to %q: %w", s.url, from.ID, to.ID, source.ErrGone)
	}
	if err != nil {
		return fmt.Errorf("%s: history: %w", s.url, err)
	}
	return nil
}

// explain adds to a failure what helps, and tells the host when to try again.
func (s *gitSource) explain(ctx context.Context, err error) error {
	f, ok := errors.AsType[*remote.Fault](err)
	if !ok {
		return err
	}
	if f.Kind == remote.RefMissing {
		f = s.explainMissing(ctx, f)
	}
	switch {
	case f.Kind == remote.Busy:
		return sdk.RetryAfter(f, cmp.Or(f.After, time.Minute))
	case f.Kind.Temporary():
		return f
	}
	return sdk.Permanent(f)
}

// explainMissing says whether the repository is empty, and which names are
// like the missing one.
func (s *gitSource) explainMissing(ctx context.Context, missing *remote.Fault) *remote.Fault {
	l, err := s.mirror.List(ctx, s.access)
	if err != nil {
		return missing // it is true, if not the whole truth
	}
	f := *missing
	switch {
	case len(l.Refs) == 0:
		f.Kind = remote.Empty
	case f.Ref == "HEAD":
		f.Detail = "its HEAD points to a branch that does not exist: set branch"
	default:
		f.Detail = didYouMean(f.Ref, l)
	}
	return &f
}

// empty removes what a failed export left in dir.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
