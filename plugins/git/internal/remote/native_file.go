package remote

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// pushFile writes into a repository of this machine as git does: objects
// first, then the ref under git's own lock, since git programs may be at work
// there. A repository that only its hooks or its worktree may guard is left to
// the git program.
func pushFile(t Target, u Update) error {
	repo, err := git.PlainOpen(t.Address.Path)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return fault(t, NotFound, "")
	}
	if err != nil {
		return fault(t, Other, err.Error())
	}
	st, ok := repo.Storer.(*filesystem.Storage)
	if !ok {
		return fault(t, Other, "its storage is not a directory")
	}
	dir := st.Filesystem().Root()
	if why := guarded(dir, repo, u.Ref); why != "" {
		return pushFault(t, Declined, u.Ref, why)
	}
	pack, _, err := Pack(u.Objects)
	if err != nil {
		return pushFault(t, Other, u.Ref, err.Error())
	}
	if err := unpack(st, pack); err != nil {
		return pushFault(t, Other, u.Ref, err.Error())
	}
	return moveRef(t, dir, st, u)
}

// guarded says why ref must not be written without the git program.
func guarded(dir string, repo *git.Repository, ref string) string {
	if c, err := repo.ConfigScoped(config.SystemScope); err != nil || c.Raw.Section("core").HasOption("hooksPath") {
		return "its hooks may stand elsewhere (core.hooksPath), which takes the git program to run"
	}
	if other := inTheWay(repo, ref); other != "" {
		return "there is " + other + ", and git knows no branch below another"
	}
	for _, hook := range []string{"pre-receive", "update", "reference-transaction", "proc-receive", "post-receive", "post-update"} {
		if info, err := os.Stat(filepath.Join(dir, "hooks", hook)); err == nil && info.Mode()&0o111 != 0 {
			return "it has a " + hook + " hook, which takes the git program to run"
		}
	}
	if _, err := repo.Worktree(); errors.Is(err, git.ErrIsBareRepository) {
		return ""
	}
	head, err := repo.Reference(plumbing.HEAD, false)
	if err != nil || head.Target().String() != ref {
		return ""
	}
	if c, err := repo.Config(); err == nil && strings.EqualFold(c.Raw.Section("receive").Option("denyCurrentBranch"), "ignore") {
		return ""
	}
	return "the branch is checked out there"
}

// inTheWay returns a ref that ref would be below, or that would be below ref,
// packed or not. The directories of refs show only those that are not.
func inTheWay(repo *git.Repository, ref string) (found string) {
	refs, err := repo.References()
	if err != nil {
		return ""
	}
	defer refs.Close()
	_ = refs.ForEach(func(r *plumbing.Reference) error { // what cannot be read is in nobody's way
		name := r.Name().String()
		if strings.HasPrefix(ref, name+"/") || strings.HasPrefix(name, ref+"/") {
			found = name
			return storer.ErrStop
		}
		return nil
	})
	return found
}

// moveRef changes a ref if it is what u says, under the lock that git
// programs take.
func moveRef(t Target, dir string, st *filesystem.Storage, u Update) (err error) {
	path := filepath.Join(dir, filepath.FromSlash(u.Ref))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return pushFault(t, Declined, u.Ref, err.Error()) // a branch "a" stands in the way of "a/b"
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if errors.Is(err, os.ErrExist) {
		return pushFault(t, Raced, u.Ref, "another program holds its lock")
	}
	if err != nil {
		return pushFault(t, Declined, u.Ref, err.Error())
	}
	defer func() {
		if err != nil {
			_ = os.Remove(lock.Name()) // err says more
		}
	}()
	_, err = lock.WriteString(u.New + "\n")
	if err = errors.Join(err, lock.Sync(), lock.Close()); err != nil {
		return pushFault(t, Other, u.Ref, err.Error())
	}
	now, err := st.Reference(plumbing.ReferenceName(u.Ref))
	switch {
	case errors.Is(err, plumbing.ErrReferenceNotFound) && u.Old == "":
	case errors.Is(err, plumbing.ErrReferenceNotFound), err == nil && now.Hash().String() != u.Old:
		return pushFault(t, Raced, u.Ref, "")
	case err != nil:
		return pushFault(t, Other, u.Ref, err.Error())
	}
	if err = os.Rename(lock.Name(), path); err != nil {
		return pushFault(t, Declined, u.Ref, err.Error())
	}
	return nil
}
