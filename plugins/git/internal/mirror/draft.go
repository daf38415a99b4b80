package mirror

import (
	"context"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Form is what a commit says beside its tree.
type Form struct {
	Author, Committer object.Signature // without time
	Message           string
	// Sign returns an armored signature of what it is given. It may be nil.
	Sign func(payload []byte) (string, error)
}

// draft builds the commit for the remote as it is at at, in w.
func (p *publication) draft(ctx context.Context, w *writer, at tips) (Published, error) {
	s, err := p.proposal.start(ctx, w, at)
	if err != nil {
		return Published{}, err
	}
	tree, err := w.treeOf(s.parent)
	if err != nil {
		return Published{}, err
	}
	ed := &editor{w: w}
	after, err := ed.tree(tree, p.edits, "")
	if err != nil {
		return Published{}, err
	}
	for i, c := range ed.conflicts {
		if slices.Contains(s.diverged, c.Path) {
			ed.conflicts[i].Reason = "it has been changed on both branches"
		}
	}
	d := Published{Conflicts: ed.conflicts, Diverged: s.diverged}
	switch {
	case ed.made > 0:
		var hash plumbing.Hash
		hash, err = w.commit(p.proposal.Form, after, time.Now(), s.parent)
		d.Head, d.New = hash.String(), true
	case len(ed.conflicts) == 0 || len(ed.conflicts) < len(p.proposal.Edits):
		d.Head = name(s.pushed)
	}
	return d, err
}

// commit adds a commit.
func (w *writer) commit(f Form, tree plumbing.Hash, when time.Time, parents ...plumbing.Hash) (plumbing.Hash, error) {
	tree, err := w.root(tree)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	c := &object.Commit{Author: f.Author, Committer: f.Committer, Message: f.Message, TreeHash: tree}
	c.Author.When, c.Committer.When = when, when
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
