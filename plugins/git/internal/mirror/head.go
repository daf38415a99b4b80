package mirror

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// FetchDefault brings the remote's default branch up to date. It returns its
// full name, or HEAD if the remote does not tell it.
//
// To learn the name takes a list of all refs. It is remembered, and the list
// asked for again only when that branch and HEAD are not the same any more.
func (m *Mirror) FetchDefault(ctx context.Context, a Access) (ref string, r Result, err error) {
	note := filepath.Join(m.dir, "default-branch")
	refs := []string{"HEAD"}
	noted, _ := os.ReadFile(note) // absent or unreadable: not known
	if name := string(noted); strings.HasPrefix(name, "refs/heads/") {
		refs = append(refs, name)
	}
	results, err := m.Fetch(ctx, a, refs...)
	if err != nil {
		return "", Result{}, err
	}
	head := results["HEAD"]
	if head.Err != nil {
		return "HEAD", head, nil
	}
	if len(refs) == 2 && results[refs[1]] == head {
		return refs[1], head, nil
	}
	l, err := m.List(ctx, a)
	if err != nil {
		return "", Result{}, err
	}
	if l.Head == "" {
		return "HEAD", head, nil
	}
	if err := os.WriteFile(note, []byte(l.Head), 0o600); err != nil {
		a.Log.Debug("default branch cannot be noted", "error", err)
	}
	return l.Head, head, nil
}

// List asks the remote for all its refs, with fresh credentials if the old
// ones are refused.
func (m *Mirror) List(ctx context.Context, a Access) (remote.Listing, error) {
	t, err := a.Target(ctx, false)
	if err != nil {
		return remote.Listing{}, err
	}
	l, err := a.Transport.List(ctx, t)
	if f, ok := errors.AsType[*remote.Fault](err); !ok || f.Kind != remote.Denied {
		return l, err
	}
	if t, err = a.Target(ctx, true); err != nil {
		return remote.Listing{}, err
	}
	return a.Transport.List(ctx, t)
}
