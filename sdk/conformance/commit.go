package conformance

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// commitChecks write to the source, if the Subject allows it.
var commitChecks = []Check{
	{"source-commits", withWritable(source.CanCommit, commits)},
	{"source-commits-nothing-twice", withWritable(source.CanCommit, commitsNothingTwice)},
	{"source-keeps-what-others-wrote", withWritable(source.CanCommit, keepsWhatOthersWrote)},
	{"source-refuses-paths-outside", withWritable(source.CanCommit, refusesPathsOutside)},
	{"source-proposes-on-a-branch", withWritable(source.CanBranch, proposesOnABranch)},
	{"source-marks", withWritable(source.CanMark, marks)},
}

// withWritable runs a check on an open source that may be written to and has a
// capability.
func withWritable(capability string, check func(t T, s openSource)) func(T, *Subject) {
	return func(t T, s *Subject) {
		if !s.Writable {
			t.Skipf("nobody has said that the source may be written to")
		}
		withSource(func(t T, o openSource) {
			if !slices.Contains(o.caps, capability) {
				t.Skipf("the source lacks the capability %s", capability)
			}
			check(t, o)
		})(t, s)
	}
}

func (s openSource) commit(t T, branch string, edits ...source.Edit) source.Revision {
	t.Helper()
	rev, err := s.Commit(t.Context(), source.Change{
		Edits: edits, Branch: branch, Message: "Check the source", Trailers: map[string]string{"Checked-By": "conformance"},
	})
	if err != nil {
		t.Fatalf("Commit: %v", err)
	}
	return rev
}

// content returns a file of a revision, nil if there is none.
func (s openSource) content(t T, rev source.Revision, path string) []byte {
	t.Helper()
	dir := t.TempDir()
	if err := s.Fetch(t.Context(), rev, dir); err != nil {
		t.Fatalf("Fetch: %v", err)
	}
	content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%v", err)
	}
	return content
}

// fresh is the path of a file that does not exist.
func fresh() string { return "conformance/" + rand.Text() + "/file" }

// commits makes, changes and deletes a file, and looks each time.
func commits(t T, s openSource) {
	path := fresh()
	var old []byte
	for _, content := range [][]byte{[]byte("one\r\n"), []byte("\x00two\xff"), {}, nil} {
		before := s.resolve(t)
		rev := s.commit(t, "", source.Edit{Path: path, Old: old, New: content})
		if rev.ID == before.ID {
			t.Errorf("Commit of %q over %q returned the revision that was there", content, old)
		}
		if now := s.resolve(t); now.ID != rev.ID {
			t.Errorf("Commit returned %s, but the newest revision is %s", rev.ID, now.ID)
		}
		if have := s.content(t, rev, path); !bytes.Equal(have, content) {
			t.Errorf("after the commit of %q the file holds %q", content, have)
		}
		old = content
	}
}

// commitsNothingTwice repeats a commit, as a host does that has lost the
// answer.
func commitsNothingTwice(t T, s openSource) {
	e := source.Edit{Path: fresh(), New: []byte("one")}
	first := s.commit(t, "", e)
	if again := s.commit(t, "", e); again.ID != first.ID {
		t.Errorf("the same Commit again made the revision %s", again.ID)
	}
	s.commit(t, "", source.Edit{Path: e.Path, Old: e.New})
}

// keepsWhatOthersWrote commits an edit of what does not stand there beside one
// that can be made.
func keepsWhatOthersWrote(t T, s openSource) {
	good, bad := source.Edit{Path: fresh(), New: []byte("good")}, source.Edit{Path: fresh(), New: []byte("theirs")}
	s.commit(t, "", bad)
	change := source.Change{Edits: []source.Edit{good, {Path: bad.Path, Old: []byte("other"), New: []byte("ours")}}}
	_, err := s.Commit(t.Context(), change)
	c, ok := errors.AsType[*source.ConflictError](err)
	if !ok {
		t.Fatalf("Commit over what somebody else has written: %v; want a *source.ConflictError", err)
	}
	if !slices.Equal(c.Paths, []string{bad.Path}) {
		t.Errorf("conflicts in %q, want only %q", c.Paths, bad.Path)
	}
	now := s.resolve(t)
	if c.Written.ID != now.ID {
		t.Errorf("the conflict says that %q holds the other edit; the newest revision is %s", c.Written.ID, now.ID)
	}
	if have := s.content(t, now, bad.Path); string(have) != "theirs" {
		t.Errorf("what somebody else had written is now %q", have)
	}
	if have := s.content(t, now, good.Path); string(have) != "good" {
		t.Errorf("the other edit was not made: %q", have)
	}
	s.commit(t, "", source.Edit{Path: good.Path, Old: good.New}, source.Edit{Path: bad.Path, Old: bad.New})
}

func refusesPathsOutside(t T, s openSource) {
	before := s.resolve(t)
	for _, path := range []string{"", ".", "..", "../x", "a/../../x", "/x", "a//x", "a/"} {
		_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{{Path: path, New: []byte("x")}}})
		if _, conflict := errors.AsType[*source.ConflictError](err); !conflict && (!isClean(err) || !plug.IsPermanent(err)) {
			t.Errorf("Commit of the path %q: %v; want a conflict or a permanent error", path, err)
		}
	}
	if now := s.resolve(t); now.ID != before.ID {
		t.Errorf("something was written: %s", now.ID)
	}
}

// proposesOnABranch commits to a branch, which must not touch the one that is
// read.
func proposesOnABranch(t T, s openSource) {
	before, branch := s.resolve(t), "conformance-"+rand.Text()
	base, err := s.Branch(t.Context(), branch)
	if err != nil {
		t.Fatalf("Branch: %v", err)
	}
	if base.ID != before.ID {
		t.Errorf("a branch that does not exist starts at %s, want %s", base.ID, before.ID)
	}
	path := fresh()
	rev := s.commit(t, branch, source.Edit{Path: path, New: []byte("one")})
	if now := s.resolve(t); now.ID != before.ID {
		t.Errorf("a Commit to another branch moved the one that is read to %s", now.ID)
	}
	if base, err = s.Branch(t.Context(), branch); err != nil || base.ID != rev.ID {
		t.Errorf("after a Commit the branch is at %s, %v; want %s", base.ID, err, rev.ID)
	}
	next := s.commit(t, branch, source.Edit{Path: path, Old: []byte("one"), New: []byte("two")})
	if have := s.content(t, next, path); string(have) != "two" {
		t.Errorf("the branch holds %q", have)
	}
}

// marks moves a marker, twice to each place.
func marks(t T, s openSource) {
	name, first := "conformance-"+rand.Text(), s.resolve(t)
	revisions := []source.Revision{first, first}
	if slices.Contains(s.caps, source.CanCommit) {
		second := s.commit(t, "", source.Edit{Path: fresh(), New: []byte("one")})
		revisions = append(revisions, second, second, first)
	}
	for _, rev := range revisions {
		if err := s.Mark(t.Context(), name, rev, "conformance"); err != nil {
			t.Errorf("Mark %s: %v", rev.ID, err)
		}
	}
	if err := s.Mark(t.Context(), name, source.Revision{ID: "no-such-revision"}, ""); err == nil {
		t.Errorf("Mark of an unknown revision succeeded")
	} else if !isClean(err) {
		t.Errorf("Mark of an unknown revision: %v; want an error of the plugin", err)
	}
}
