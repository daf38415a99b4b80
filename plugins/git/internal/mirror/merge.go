package mirror

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// merger merges trees file by file, and reads no files: of two different
// versions one is taken only if it is certain which is the newer.
type merger struct {
	w            *writer
	ours, theirs []*object.Commit // since the two sides parted, newest first
	conflicts    []string
}

// parted returns the newest commit that both sides have: of the parents of
// what only one side has, that are the other's too, the one of the last merge.
// It is nil for histories that share nothing.
func parted(st store, only []*object.Commit) (*object.Commit, error) {
	mine := map[plumbing.Hash]bool{}
	for _, c := range only {
		mine[c.Hash] = true
	}
	var newest *object.Commit
	for _, c := range only {
		for _, h := range c.ParentHashes {
			if mine[h] {
				continue
			}
			p, err := object.GetCommit(st, h)
			if err != nil {
				return nil, err
			}
			if newest == nil || p.Committer.When.After(newest.Committer.When) {
				newest = p
			}
		}
	}
	return newest, nil
}

// commits merges the trees of two commits that parted at base.
func (m *merger) commits(ctx context.Context, base *object.Commit, ours, theirs plumbing.Hash) (plumbing.Hash, error) {
	var from plumbing.Hash
	if base != nil {
		from = base.TreeHash
	}
	ourTree, err := m.w.treeOf(ours)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	theirTree, err := m.w.treeOf(theirs)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return m.tree(ctx, "", from, ourTree, theirTree)
}

// tree merges three trees and returns the result.
func (m *merger) tree(ctx context.Context, at string, base, ours, theirs plumbing.Hash) (plumbing.Hash, error) {
	if err := ctx.Err(); err != nil {
		return plumbing.ZeroHash, err
	}
	var sides [3][]object.TreeEntry
	for i, h := range []plumbing.Hash{base, ours, theirs} {
		var err error
		if sides[i], err = m.w.entries(h); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	out := map[string]*object.TreeEntry{}
	for _, name := range names(sides[1], sides[2]) {
		var err error
		out[name], err = m.entry(ctx, path.Join(at, name), find(sides[0], name), find(sides[1], name), find(sides[2], name))
		if err != nil {
			return plumbing.ZeroHash, err
		}
	}
	return m.w.tree(listed(out))
}

// names lists the names of all entries, each once, in order.
func names(sides ...[]object.TreeEntry) []string {
	var all []string
	for _, entries := range sides {
		for _, e := range entries {
			all = append(all, e.Name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// entry merges what stands at one path; nil is nothing.
func (m *merger) entry(ctx context.Context, at string, base, ours, theirs *object.TreeEntry) (*object.TreeEntry, error) {
	switch {
	case same(ours, theirs), same(base, theirs):
		return ours, nil
	case same(base, ours):
		return theirs, nil
	case isDir(ours) && isDir(theirs):
		var from plumbing.Hash
		if isDir(base) {
			from = base.Hash
		}
		hash, err := m.tree(ctx, at, from, ours.Hash, theirs.Hash)
		if err != nil || hash.IsZero() {
			return nil, err
		}
		return &object.TreeEntry{Mode: filemode.Dir, Hash: hash}, nil
	}
	if had, err := m.had(m.theirs, at, ours); had || err != nil {
		return theirs, err // theirs grew out of ours: a squashed merge
	}
	if had, err := m.had(m.ours, at, theirs); had || err != nil {
		return ours, err
	}
	m.conflicts = append(m.conflicts, at)
	return ours, nil
}

// had reports whether one of the commits holds e at a path: then the side that
// they are of has seen this version, and what it has now is newer.
func (m *merger) had(commits []*object.Commit, at string, e *object.TreeEntry) (bool, error) {
	for _, c := range commits {
		have, err := m.w.lookup(c.TreeHash, strings.Split(at, "/"))
		if err != nil || same(have, e) {
			return err == nil, err
		}
	}
	return false, nil
}

func same(a, b *object.TreeEntry) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Hash == b.Hash && a.Mode == b.Mode
}

func isDir(e *object.TreeEntry) bool { return e != nil && e.Mode == filemode.Dir }
