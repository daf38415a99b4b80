package mirror

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// Mark is a tag that is moved along.
type Mark struct {
	Ref    string // full name
	Commit string
	Form   Form   // its Committer is the tagger
	Known  string // the tag's hash as far as the caller knows, "" if it does not
}

// Marked tells what became of a Mark.
type Marked struct {
	Tag   string      // hash of the tag that stands there now
	Other *object.Tag // what stood there, if it was not Known; without annotation only Target is set
}

// Mark makes an annotated tag or moves it, if it does not point to the commit
// already. The server replaces only what this call knows to stand there; if
// that is not what the caller knew, Marked tells.
func (m *Mirror) Mark(ctx context.Context, a Access, mark Mark) (Marked, error) {
	const most = 10
	out, old := Marked{}, mark.Known
	for lost := 1; ; lost++ {
		if old == "" || lost > 1 {
			now, err := m.tagAt(ctx, a, mark.Ref)
			if err != nil {
				return out, err
			}
			old = ""
			if now != nil {
				old = now.Hash.String()
				if now.Name != "" && now.Target.String() == mark.Commit {
					return Marked{Tag: old}, nil
				}
				if old != mark.Known {
					out.Other = now
				}
			}
		}
		tag, err := m.moveTag(ctx, a, mark, old)
		if err == nil {
			out.Tag = tag
			return out, nil
		}
		if f, ok := errors.AsType[*remote.Fault](err); !ok || f.Kind != remote.Raced || lost == most {
			return out, err
		}
		if err := pause(ctx, a.URL, lost); err != nil {
			return out, err
		}
	}
}

// tagAt fetches a tag. One without annotation has no name; nil is none.
func (m *Mirror) tagAt(ctx context.Context, a Access, ref string) (*object.Tag, error) {
	results, err := m.Fetch(ctx, a, ref)
	if err != nil {
		return nil, err
	}
	r := results[ref]
	if f, ok := errors.AsType[*remote.Fault](r.Err); ok && f.Kind == remote.RefMissing {
		return nil, nil
	}
	if r.Err != nil {
		return nil, r.Err
	}
	using, err := waitLock(ctx, m.useLock(), syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer using.release()
	st := m.open()
	defer st.close()
	hash := plumbing.NewHash(r.Hash)
	tag, err := object.GetTag(st, hash)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return &object.Tag{Hash: hash, Target: hash}, nil
	}
	return tag, err
}

// moveTag makes the tag and pushes it in the place of old.
func (m *Mirror) moveTag(ctx context.Context, a Access, mark Mark, old string) (string, error) {
	using, err := waitLock(ctx, m.useLock(), syscall.LOCK_SH)
	if err != nil {
		return "", err
	}
	defer using.release()
	st := m.open()
	defer st.close()
	w := newWriter(st)
	tag, err := w.tag(mark)
	if err != nil {
		return "", err
	}
	u := remote.Update{Ref: mark.Ref, Old: old, New: tag.String()}
	if u.Objects, err = w.flush(); err != nil {
		return "", err
	}
	if err := m.push(ctx, a, u); err != nil {
		return "", err
	}
	m.advance(u)
	return u.New, nil
}

// tag adds an annotated tag of a commit.
func (w *writer) tag(mark Mark) (plumbing.Hash, error) {
	t := &object.Tag{
		Name: strings.TrimPrefix(mark.Ref, "refs/tags/"), Tagger: mark.Form.Committer, Message: mark.Form.Message,
		TargetType: plumbing.CommitObject, Target: plumbing.NewHash(mark.Commit),
	}
	t.Tagger.When = time.Now()
	if mark.Form.Sign != nil {
		var err error
		if t.PGPSignature, err = signed(mark.Form.Sign, t.EncodeWithoutSignature); err != nil {
			return plumbing.ZeroHash, err
		}
	}
	return w.put(t.Encode)
}
