package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// prepare makes the repository ready for a fetch: it creates or rebuilds it,
// and removes what a killed git left. The caller holds the fetch lock.
func (m *Mirror) prepare(ctx context.Context, a Access) error {
	now := time.Now()
	_ = os.Chtimes(m.dir, now, now) // for dropUnused; a stale time costs a clone at worst
	if _, err := os.Stat(m.repo); errors.Is(err, fs.ErrNotExist) {
		return m.create()
	}
	if err := m.framework(); err != nil {
		a.Log.Warn("mirror is damaged and is built again", "url", a.URL, "cause", err)
		return m.rebuild(ctx)
	}
	return m.tidy()
}

// create makes an empty repository, complete or not at all.
func (m *Mirror) create() error {
	tmp, err := os.MkdirTemp(m.dir, "new-")
	if err != nil {
		return err
	}
	if _, err := git.PlainInit(tmp, true); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, m.repo)
}

// Rebuild throws away what the mirror holds, for a reader that found it
// damaged. The next Fetch brings it anew.
func (m *Mirror) Rebuild(ctx context.Context) error {
	fetching, err := waitLock(ctx, m.fetchLock(), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer fetching.release()
	if err := m.rebuild(ctx); err != nil {
		return err
	}
	return m.settle(ctx, true)
}

// rebuild puts an empty repository in the place of the one that is there,
// which is kept aside until settle. It waits until nobody reads.
func (m *Mirror) rebuild(ctx context.Context) error {
	alone, err := waitLock(ctx, m.useLock(), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer alone.release()
	m.forget()
	if err := os.RemoveAll(m.aside()); err != nil {
		return err
	}
	if err := os.Rename(m.repo, m.aside()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return m.create()
}

// settle ends a rebuild: it deletes the old repository, or, if the new one
// could not be filled, puts it back. The fault may have been the server's.
func (m *Mirror) settle(ctx context.Context, filled bool) error {
	if filled {
		return os.RemoveAll(m.aside())
	}
	alone, err := waitLock(ctx, m.useLock(), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer alone.release()
	m.forget()
	if _, err := os.Lstat(m.aside()); err != nil {
		return nil // there was none
	}
	if err := os.RemoveAll(m.repo); err != nil {
		return err
	}
	return os.Rename(m.aside(), m.repo)
}

// aside is where the old repository is during a rebuild.
func (m *Mirror) aside() string { return filepath.Join(m.dir, "old") }

// forget drops what is known about the repository's content.
func (m *Mirror) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.verified)
}

// framework checks the files without which git does not take the directory
// for a repository.
func (m *Mirror) framework() error {
	for _, name := range []string{"HEAD", "config"} {
		info, err := os.Stat(filepath.Join(m.repo, name))
		if err != nil {
			return err
		}
		if info.Size() == 0 {
			return fmt.Errorf("%s is empty", name)
		}
	}
	for _, name := range []string{"objects", "refs"} {
		if _, err := os.ReadDir(filepath.Join(m.repo, name)); err != nil {
			return err
		}
	}
	return nil
}

// tidy removes locks and half-written files: whoever wrote them in a fetch is
// dead, since the fetch lock is held. Objects of commits are written by users
// of the mirror: theirs stay while there is any. It looks only where git leaves
// them.
func (m *Mirror) tidy() error {
	patterns := []string{"*.lock", "new-*", "objects/??/tmp_obj_*", "objects/tmp_objdir-*", "objects/pack/.tmp-*"}
	if alone, err := tryLock(m.useLock(), syscall.LOCK_EX); err == nil {
		defer alone.release()
		patterns = append(patterns, "objects/pack/tmp_*")
	}
	stale := []string{m.aside()} // of a rebuild that was killed
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(m.repo, pattern))
		if err != nil {
			return err
		}
		stale = append(stale, found...)
	}
	err := filepath.WalkDir(filepath.Join(m.repo, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".lock") {
			stale = append(stale, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// damaged reads the tips of the mirror, and returns what is wrong with them.
func (m *Mirror) damaged() error {
	if err := m.framework(); err != nil {
		return err
	}
	st := m.open()
	defer st.close()
	refs, err := st.IterReferences()
	if err != nil {
		return err
	}
	return refs.ForEach(func(r *plumbing.Reference) error {
		if r.Type() != plumbing.HashReference {
			return nil
		}
		c, err := st.commit(r.Hash())
		if errors.Is(err, ErrNotCommit) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.Name(), err)
		}
		_, err = object.GetTree(st, c.TreeHash)
		return err
	})
}

// maintainer is a transport that can pack a repository's loose objects.
type maintainer interface {
	Maintain(ctx context.Context, t remote.Target, dir string) error
}

// maintain keeps the number of files small. It gives way to readers.
func (m *Mirror) maintain(ctx context.Context, a Access) {
	mt, ok := a.Transport.(maintainer)
	if !ok || !m.untidy() {
		return
	}
	alone, err := tryLock(m.useLock(), syscall.LOCK_EX)
	if err != nil {
		return
	}
	defer alone.release()
	t, err := a.Target(ctx, false)
	if err == nil {
		err = mt.Maintain(ctx, t, m.repo)
	}
	if err != nil && ctx.Err() == nil {
		a.Log.Warn("mirror cannot be packed", "error", err)
	}
}

// untidy guesses from one of the 256 directories whether there are many loose
// objects, and counts packs.
func (m *Mirror) untidy() bool {
	const loosePerDirectory, packs = 16, 40
	loose, _ := os.ReadDir(filepath.Join(m.repo, "objects", "17")) // absent: none
	if len(loose) > loosePerDirectory {
		return true
	}
	found, _ := filepath.Glob(filepath.Join(m.repo, "objects", "pack", "*.pack")) // the pattern is well formed
	return len(found) > packs
}

// dropUnused deletes mirrors, but for keep, that no process has fetched into
// for a long time: their source or credential is gone.
func (p *Pool) dropUnused(keep string) {
	const long = 14 * 24 * time.Hour
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return // nothing to clean up
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || e.Name() == keep || !e.IsDir() || time.Since(info.ModTime()) < long {
			continue
		}
		m := &Mirror{dir: filepath.Join(p.dir, e.Name())}
		l, err := tryLock(m.useLock(), syscall.LOCK_EX)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(m.dir) // what stays is tried again at the next start
		l.release()
	}
}
