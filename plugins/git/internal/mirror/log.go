package mirror

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Log calls emit for each commit that to has and from has not, oldest first,
// with the paths that it changes against its first parent. An empty from
// means to alone. Commits that the mirror does not hold are ErrUnknown.
func (m *Mirror) Log(ctx context.Context, from, to string, emit func(*object.Commit, []string)) error {
	using, err := waitLock(ctx, m.useLock(), syscall.LOCK_SH)
	if err != nil {
		return err
	}
	defer using.release()
	st := m.open()
	defer st.close()
	commits, err := between(ctx, st, from, to)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return ErrUnknown
	}
	if err != nil {
		return err
	}
	for _, c := range slices.Backward(commits) {
		paths, err := touched(ctx, st, c)
		if err != nil {
			return fmt.Errorf("commit %s: %w", c.Hash, err)
		}
		emit(c, paths)
	}
	return nil
}

// between returns the commits reachable from to and not from from, newest
// first.
func between(ctx context.Context, st store, from, to string) ([]*object.Commit, error) {
	tip, err := st.commit(plumbing.NewHash(to))
	if err != nil {
		return nil, err
	}
	if from == "" {
		return []*object.Commit{tip}, nil
	}
	base, err := st.commit(plumbing.NewHash(from))
	if err != nil {
		return nil, err
	}
	w := &walk{store: st, known: map[plumbing.Hash]bool{}}
	w.add(tip, false)
	w.add(base, true)
	return w.run(ctx)
}

// walk goes back in time from several commits at once. A commit is known when
// the base has it too; it is visited after its children, unless clocks were
// wrong: then it is visited again when it turns out to be known, and the walk
// goes on for a while after it seems to have ended. If clocks were wrong for
// longer than that, some commits too many are returned, never too few.
type walk struct {
	store store
	queue byTime
	known map[plumbing.Hash]bool // every commit that was queued; true: the base has it
	open  int                    // queued commits that are not known to the base
}

func (w *walk) add(c *object.Commit, known bool) {
	was, seen := w.known[c.Hash]
	switch {
	case !seen:
		w.known[c.Hash] = known
		heap.Push(&w.queue, c)
		if !known {
			w.open++
		}
	case known && !was:
		w.known[c.Hash] = true
		if w.queued(c.Hash) {
			w.open--
		} else {
			heap.Push(&w.queue, c)
		}
	}
}

func (w *walk) queued(h plumbing.Hash) bool {
	return slices.ContainsFunc(w.queue, func(c *object.Commit) bool { return c.Hash == h })
}

func (w *walk) run(ctx context.Context) ([]*object.Commit, error) {
	const slack = 64 // commits, for clocks that were wrong
	var out []*object.Commit
	for left := slack; len(w.queue) > 0 && (w.open > 0 || left > 0); {
		if w.open == 0 {
			left--
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c := heap.Pop(&w.queue).(*object.Commit)
		known := w.known[c.Hash]
		if !known {
			w.open--
			out = append(out, c)
		}
		for _, h := range c.ParentHashes {
			p, err := object.GetCommit(w.store, h)
			if err != nil {
				return nil, err
			}
			w.add(p, known)
		}
	}
	return slices.DeleteFunc(out, func(c *object.Commit) bool { return w.known[c.Hash] }), nil
}

// byTime is a heap of commits, the newest on top.
type byTime []*object.Commit

func (q byTime) Len() int           { return len(q) }
func (q byTime) Less(i, j int) bool { return q[i].Committer.When.After(q[j].Committer.When) }
func (q byTime) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *byTime) Push(x any)        { *q = append(*q, x.(*object.Commit)) }
func (q *byTime) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// touched lists the paths that c adds, changes or deletes.
func touched(ctx context.Context, st store, c *object.Commit) ([]string, error) {
	tree, err := object.GetTree(st, c.TreeHash)
	if err != nil {
		return nil, err
	}
	parent := &object.Tree{}
	if len(c.ParentHashes) > 0 {
		p, err := object.GetCommit(st, c.ParentHashes[0])
		if err != nil {
			return nil, err
		}
		if parent, err = object.GetTree(st, p.TreeHash); err != nil {
			return nil, err
		}
	}
	changes, err := object.DiffTreeContext(ctx, parent, tree)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, ch := range changes {
		for _, name := range []string{ch.From.Name, ch.To.Name} {
			if name != "" && !slices.Contains(paths[max(len(paths)-1, 0):], name) {
				paths = append(paths, name)
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), nil
}
