package mirror

import (
	"context"
	"strings"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// start is the commit on which a proposal is built.
type start struct {
	parent   plumbing.Hash
	pushed   plumbing.Hash // the parent, or, if that is a merge commit of ours, its first parent
	diverged []string
}

// start chooses where a commit for a target branch goes:
//
//   - The branch does not exist, or the branch that is read has all of it:
//     on the head of the branch that is read.
//   - It has commits of its own: on its head, after a merge commit if the
//     branch that is read has moved on and no file has been changed on both.
//
// So the branch only ever moves forward, and never gets stuck: when it has
// been merged it goes on from there, also after a squashed merge. The same
// heads give the same merge commit.
func (p Proposal) start(ctx context.Context, w *writer, at tips) (start, error) {
	if p.Branch == p.Read || at.branch.IsZero() {
		return start{parent: at.read, pushed: at.read}, nil
	}
	proposed, err := between(ctx, w.store, at.read.String(), at.branch.String())
	if err != nil || len(proposed) == 0 {
		return start{parent: at.read, pushed: at.read}, err
	}
	s := start{parent: at.branch, pushed: at.branch}
	news, err := between(ctx, w.store, at.branch.String(), at.read.String())
	if err != nil || len(news) == 0 {
		return s, err
	}
	base, err := parted(w.store, proposed)
	if err != nil {
		return s, err
	}
	m := &merger{w: w, ours: proposed, theirs: news}
	tree, err := m.commits(ctx, base, at.branch, at.read)
	if err != nil || len(m.conflicts) > 0 {
		s.diverged = m.conflicts
		return s, err
	}
	f := p.Form
	f.Author = f.Committer
	f.Message = "Merge branch '" + short(p.Read) + "' into " + short(p.Branch) + "\n"
	s.parent, err = w.commit(f, tree, latest(proposed, news), at.branch, at.read)
	return s, err
}

// latest is the time of the youngest commit.
func latest(sides ...[]*object.Commit) time.Time {
	var t time.Time
	for _, commits := range sides {
		for _, c := range commits {
			if c.Committer.When.After(t) {
				t = c.Committer.When
			}
		}
	}
	return t
}

func short(ref string) string { return strings.TrimPrefix(ref, "refs/heads/") }

// Start returns the commit that Publish would build on now. It may be a merge
// commit that has not been pushed. Edits and the message of p do not matter.
func (m *Mirror) Start(ctx context.Context, a Access, p Proposal) (string, error) {
	at, err := p.fetch(ctx, m, a)
	if err != nil {
		return "", err
	}
	using, err := waitLock(ctx, m.useLock(), syscall.LOCK_SH)
	if err != nil {
		return "", err
	}
	defer using.release()
	st := m.open()
	defer st.close()
	w := newWriter(st)
	s, err := p.start(ctx, w, at)
	if err != nil {
		return "", err
	}
	_, err = w.flush()
	return name(s.parent), err
}
