package mirror

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/sdk/source"
)

// Form is what a commit says beside its tree.
type Form struct {
	Author, Committer object.Signature // without time
	Message           string
	// Sign returns an armored signature of what it is given. It may be nil.
	Sign func(payload []byte) (string, error)
}

// draft is a commit that has not been pushed.
type draft struct {
	Published
	w *writer
}

// draft builds the commit for the remote as it is at at.
func (p *publication) draft(ctx context.Context, w *writer, at tips) (draft, error) {
	if done, err := p.landed(w, at); done || err != nil {
		return draft{Published{Head: name(at.read)}, w}, err
	}
	s, err := p.start(ctx, w, at)
	if err != nil {
		return draft{}, err
	}
	tree, err := w.treeOf(s.parent)
	if err != nil {
		return draft{}, err
	}
	ed := &editor{w: w}
	if len(s.proposed) > 0 {
		ed.settle = p.settle(w, at, s)
	}
	after, err := ed.tree(tree, p.edits, "")
	if err != nil {
		return draft{}, err
	}
	for i, c := range ed.conflicts {
		if slices.Contains(s.diverged, c.Path) {
			ed.conflicts[i].Reason = "it has been changed on both branches"
		}
	}
	d := draft{Published{Conflicts: ed.conflicts, Diverged: s.diverged}, w}
	switch {
	case ed.made > 0:
		var hash plumbing.Hash
		hash, err = w.commit(p.proposal.Form, after, s.parent)
		d.Head, d.New = hash.String(), true
	case len(ed.conflicts) < len(p.proposal.Edits):
		d.Head = name(s.pushed)
	}
	return d, err
}

// landed reports whether the branch that is read holds all edits already, so
// that there is nothing to propose on another one.
func (p *publication) landed(w *writer, at tips) (bool, error) {
	if p.proposal.Branch == p.proposal.Read {
		return false, nil
	}
	tree, err := w.treeOf(at.read)
	if err != nil {
		return false, err
	}
	ed := &editor{w: newWriter(w.store)} // what it makes is not wanted
	_, err = ed.tree(tree, p.edits, "")
	return ed.made == 0 && len(ed.conflicts) == 0, err
}

// settle lets a proposal take the place of an older one that has not been
// merged yet: edits are made from what the branch that is read has, which the
// target branch has changed already. If nobody but us has done that, lines
// that this edit does not touch stay as they were proposed.
func (p *publication) settle(w *writer, at tips, s start) func(source.Edit, *object.TreeEntry) ([]byte, bool, error) {
	return func(e source.Edit, have *object.TreeEntry) ([]byte, bool, error) {
		tree, err := w.treeOf(at.read)
		if err != nil {
			return nil, false, err
		}
		read, err := w.lookup(tree, strings.Split(e.Path, "/"))
		if err != nil || !holds(read, e.Old) {
			return nil, false, err
		}
		own, err := p.own(w, s.proposed, e.Path)
		if err != nil || !own {
			return nil, false, err
		}
		if have == nil {
			return e.New, true, nil
		}
		proposed, err := w.content(have.Hash)
		if err != nil {
			return nil, false, err
		}
		return overlay(e.Old, proposed, e.New), true, nil
	}
}

// commit adds a commit.
func (w *writer) commit(f Form, tree plumbing.Hash, parents ...plumbing.Hash) (plumbing.Hash, error) {
	tree, err := w.root(tree)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	now := time.Now()
	c := &object.Commit{Author: f.Author, Committer: f.Committer, Message: f.Message, TreeHash: tree}
	c.Author.When, c.Committer.When = now, now
	for _, h := range parents {
		if !h.IsZero() {
			c.ParentHashes = append(c.ParentHashes, h)
		}
	}
	if f.Sign != nil {
		if c.PGPSignature, err = signed(f.Sign, c.EncodeWithoutSignature); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	return w.put(c.Encode)
}

// signed signs what encode writes.
func signed(sign func([]byte) (string, error), encode func(plumbing.EncodedObject) error) (string, error) {
	o := &plumbing.MemoryObject{}
	if err := encode(o); err != nil {
		return "", err
	}
	r, err := o.Reader()
	if err != nil {
		return "", err
	}
	payload := make([]byte, o.Size())
	if _, err := r.Read(payload); err != nil {
		return "", err
	}
	return sign(payload)
}

// contains reports whether commit is tip or one of its ancestors.
func contains(ctx context.Context, st store, tip, commit plumbing.Hash) (bool, error) {
	if tip == commit || tip.IsZero() {
		return tip == commit, nil
	}
	missing, err := between(ctx, st, tip.String(), commit.String())
	return err == nil && len(missing) == 0, err
}
