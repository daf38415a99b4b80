package writeback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

const (
	// maxTries bounds how often one commit meets files that changed meanwhile
	// before it is put off like any other failure.
	maxTries = 10
	// pause is the mean of what is waited between two of them, so that two
	// writers do not keep meeting.
	pause = 100 * time.Millisecond
)

// commit writes batch, and concludes what ended of it. An error says why the
// rest has not; it is tried again later.
func (q *Queue) commit(ctx context.Context, l lane, batch []*entry) error {
	slices.SortFunc(batch, bySeq)
	rest, err := q.tryAll(ctx, l, batch)
	if err == nil || !sdk.IsPermanent(err) {
		return err
	}
	q.refuse(l, rest, err)
	return nil
}

func (q *Queue) tryAll(ctx context.Context, l lane, batch []*entry) (rest []*entry, err error) {
	repo, err := q.o.Open(l.source, l.branch)
	if err != nil {
		return batch, err
	}
	t := &try{q: q, lane: l, repo: repo}
	fresh := slices.ContainsFunc(batch, func(e *entry) bool { return e.tried })
	for range maxTries {
		conflict, failed := t.run(ctx, fresh, batch)
		batch, fresh, err = q.unended(batch), true, conflict
		if failed != nil || conflict == nil {
			return batch, failed
		}
		if !q.sleep(ctx, time.Duration(2*q.o.Rand()*float64(pause)), nil) {
			return batch, cmp.Or(context.Cause(ctx), ErrClosed)
		}
	}
	return batch, fmt.Errorf("gave up after %d tries: %w", maxTries, err)
}

// refuse ends entries that nobody will ever write.
func (q *Queue) refuse(l lane, entries []*entry, err error) {
	for _, e := range entries {
		q.end(e, Outcome{Err: err.Error(), Refused: true})
	}
	q.conclude(l, entries)
}

// end sets the outcome of e.
func (q *Queue) end(e *entry, o Outcome) {
	o.ID, o.At = e.change.ID, time.Now()
	q.mu.Lock()
	defer q.mu.Unlock()
	e.outcome = &o
}

// try makes attempts at a commit.
type try struct {
	q    *Queue
	lane lane
	repo Repository
}

// unended returns what of batch has not ended and does not wait alone.
func (q *Queue) unended(batch []*entry) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(batch), func(e *entry) bool { return e.outcome != nil || !e.hold.IsZero() })
}

// run takes a tree, makes the edits of batch on it, and commits them. That
// something cannot be done or is done already is believed of a fresh tree only.
// conflict says that files changed meanwhile and that what they hold has to be
// tried again.
func (t *try) run(ctx context.Context, fresh bool, batch []*entry) (conflict, err error) {
	tree, err := t.repo.Head(ctx, fresh)
	if err != nil {
		return nil, err
	}
	if tree.Release != nil {
		defer tree.Release()
	}
	p := t.q.plan(ctx, tree, batch)
	if err := context.Cause(ctx); err != nil {
		return nil, err // what the editor says of a cut off call does not count
	}
	if !fresh && p.doubtful() {
		return t.run(ctx, true, batch)
	}
	t.q.hold(t.lane, p)
	t.endWithout(p, tree.Revision)
	if len(p.files) == 0 {
		return nil, nil
	}
	if err := t.q.recordTry(t.lane, p.writers()); err != nil {
		return nil, err
	}
	rev, err := t.repo.Commit(ctx, t.q.sourceChange(t.lane, p))
	conflicted, isConflict := errors.AsType[*source.ConflictError](err)
	switch {
	case isConflict && len(conflicted.Paths) > 0:
		if conflicted.Written.ID != "" {
			t.endWritten(p, conflicted.Written, conflicted.Paths)
		}
		return conflicted, nil
	case err != nil:
		return nil, err
	}
	t.endWritten(p, rev, nil)
	return nil, nil
}

// endWithout ends the changes that need no file to change: all their edits
// failed, or stand there already.
func (t *try) endWithout(p *plan, rev source.Revision) {
	var done []*entry
	for _, i := range p.items {
		if i.state != planned || len(i.files) > 0 {
			continue
		}
		o := Outcome{Errors: i.errors(), Withdrawn: i.withdrawn()}
		switch failed := i.failed(); {
		case failed == len(i.errs):
			o.Err = i.summary()
		default:
			o.Revision, o.Unchanged = rev, !i.tried
		}
		t.q.end(i.entry, o)
		done = append(done, i.entry)
	}
	t.q.conclude(t.lane, done)
}

// endWritten ends the changes that are in rev: those none of whose files is
// among conflicts.
func (t *try) endWritten(p *plan, rev source.Revision, conflicts []string) {
	var done []*entry
	for _, i := range p.items {
		if i.state != planned || len(i.files) == 0 || i.touches(conflicts) {
			continue
		}
		t.q.end(i.entry, Outcome{Revision: rev, Errors: i.errors(), Withdrawn: i.withdrawn()})
		done = append(done, i.entry)
	}
	t.q.conclude(t.lane, done)
}

// retryDelay is what err asks for, or the queue's own back-off.
func retryDelay(err error, backoff time.Duration) time.Duration {
	if d, ok := sdk.RetryDelay(err); ok {
		return max(d, 0)
	}
	return backoff
}
