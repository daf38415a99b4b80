package mirror

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// update runs one fetch of refs, repairing what can be repaired.
func (m *Mirror) update(ctx context.Context, a Access, refs []string) (map[string]Result, error) {
	fetching, err := waitLock(ctx, m.fetchLock(), syscall.LOCK_EX)
	if err != nil {
		return nil, err
	}
	defer fetching.release()
	target, err := a.Target(ctx, false)
	if err != nil {
		return nil, err
	}
	if err := m.prepare(ctx, a); err != nil {
		return nil, localFault(target, err)
	}
	u := &update{mirror: m, access: a, target: target, results: map[string]Result{}}
	err = u.fetch(ctx, slices.Clone(refs))
	if u.rebuilt {
		err = errors.Join(err, m.settle(context.WithoutCancel(ctx), err == nil))
	}
	if err != nil {
		return nil, err
	}
	if err := u.read(refs); err != nil {
		return nil, localFault(target, err)
	}
	m.maintain(ctx, a)
	return u.results, nil
}

type update struct {
	mirror    *Mirror
	access    Access
	target    remote.Target
	results   map[string]Result
	refreshed bool // the credentials have been read anew
	rebuilt   bool // the mirror has been built anew
}

// fetch brings refs, leaving out those that do not exist, until nothing is
// left to do or to repair.
func (u *update) fetch(ctx context.Context, refs []string) error {
	for len(refs) > 0 {
		err := u.once(ctx, refs)
		if err == nil {
			err = u.verify(refs)
		}
		if f, ok := errors.AsType[*remote.Fault](err); ok && f.Kind == remote.RefMissing && slices.Contains(refs, f.Ref) {
			if err = u.missing(ctx, f); err == nil {
				refs = slices.DeleteFunc(refs, func(r string) bool { return r == f.Ref })
				continue
			}
		}
		if err == nil {
			return nil
		}
		if rerr := u.repair(ctx, err); rerr != nil {
			return rerr
		}
	}
	return nil
}

// missing records the Result of a ref that the remote does not name. A commit
// may still be there, behind a branch or tag.
func (u *update) missing(ctx context.Context, f *remote.Fault) error {
	u.results[f.Ref] = Result{Err: f}
	if !plumbing.IsHash(f.Ref) {
		return nil
	}
	if err := u.fetchAll(ctx); err != nil {
		return err
	}
	switch _, err := u.mirror.Commit(ctx, f.Ref); {
	case err == nil:
		u.results[f.Ref] = Result{Hash: f.Ref}
	case !errors.Is(err, ErrUnknown):
		return u.corrupt(f.Ref, err)
	}
	return nil
}

func (u *update) once(ctx context.Context, refs []string) error {
	using, err := waitLock(ctx, u.mirror.useLock(), syscall.LOCK_SH)
	if err != nil {
		return err
	}
	defer using.release()
	specs := make([]remote.Spec, len(refs))
	for i, r := range refs {
		specs[i] = remote.Spec{Source: r, Local: localRef(r)}
	}
	return u.access.Transport.Fetch(ctx, u.target, u.mirror.repo, specs)
}

// verify reads the commits that refs have come to. Those that were read
// before are not read again: a poll without news costs nothing here.
func (u *update) verify(refs []string) error {
	st := u.mirror.open()
	defer st.close()
	for _, r := range refs {
		ref, err := st.Reference(plumbing.ReferenceName(localRef(r)))
		if err != nil {
			return u.corrupt(r, err)
		}
		if u.mirror.isVerified(r, ref.Hash()) {
			continue
		}
		c, err := st.commit(ref.Hash())
		if err == nil {
			_, err = object.GetTree(st, c.TreeHash)
		}
		if err != nil && !errors.Is(err, ErrNotCommit) {
			return u.corrupt(r, err)
		}
		u.mirror.setVerified(r, ref.Hash())
	}
	return nil
}

func (m *Mirror) isVerified(ref string, hash plumbing.Hash) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.verified[ref] == hash
}

func (m *Mirror) setVerified(ref string, hash plumbing.Hash) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.verified[ref] = hash
}

func (u *update) corrupt(ref string, err error) error {
	return &remote.Fault{Kind: remote.Corrupt, URL: u.target.Address.String(), Detail: remote.DescribeRef(ref) + ": " + err.Error()}
}

// repair removes the cause of err, once for each cause. It returns an error
// if there is nothing to repair, or if that fails.
func (u *update) repair(ctx context.Context, err error) error {
	f, ok := errors.AsType[*remote.Fault](err)
	if !ok {
		return err
	}
	switch {
	case f.Kind == remote.Denied && !u.refreshed:
		u.refreshed = true
		t, rerr := u.access.Target(ctx, true)
		if rerr != nil {
			return rerr
		}
		if reflect.DeepEqual(t.Credentials, u.target.Credentials) {
			return err
		}
		u.target = t
		return nil
	case u.rebuilt:
		return err
	case f.Kind == remote.Corrupt, f.Kind == remote.Other && u.mirror.damaged() != nil:
		u.rebuilt = true
		u.access.Log.Warn("mirror is damaged and is built again", "url", f.URL, "cause", f.Detail)
		return u.mirror.rebuild(ctx)
	}
	return err
}

// fetchAll brings all branches and tags.
func (u *update) fetchAll(ctx context.Context) error {
	const perFetch = 200 // keeps the argument list short
	l, err := u.access.Transport.List(ctx, u.target)
	if err != nil {
		return err
	}
	var names []string
	for name := range l.Refs {
		if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for some := range slices.Chunk(names, perFetch) {
		if err := u.once(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// read fills in the hashes of the refs that have been brought.
func (u *update) read(refs []string) error {
	st := u.mirror.open()
	defer st.close()
	for _, r := range refs {
		if _, done := u.results[r]; done {
			continue
		}
		ref, err := st.Reference(plumbing.ReferenceName(localRef(r)))
		if err != nil {
			return fmt.Errorf("read back %s: %w", r, err)
		}
		u.results[r] = Result{Hash: ref.Hash().String()}
	}
	return nil
}

// localFault names t and tells a full disk.
func localFault(t remote.Target, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	f := &remote.Fault{Kind: remote.Other, URL: t.Address.String(), Detail: "mirror: " + err.Error()}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		f.Kind, f.Detail = remote.DiskFull, ""
	}
	return f
}

// contextFault words the end of a caller's context.
func contextFault(ctx context.Context, url string) error {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return ctx.Err()
	}
	return &remote.Fault{Kind: remote.Timeout, URL: url, Detail: "the deadline of the call has passed"}
}
