package sdktest_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/conformance"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// ledger is a source in memory that can be written to. It behaves, but for one
// fault.
type ledger struct {
	fault string

	mu    sync.Mutex
	heads map[string]int // revision by branch, "" being the one that is read
	trees []map[string][]byte
}

func (l *ledger) plugin() sdk.Plugin {
	open := func(context.Context, struct{}, sdk.Env) (*ledger, error) { return l, nil }
	return sdk.Plugin{Name: "ledger", Version: "1.0.0", Kinds: []sdk.Kind{source.New("ledger", open)}}
}

func (l *ledger) head(branch string) source.Revision {
	n, ok := l.heads[branch]
	if !ok {
		n = l.heads[""]
	}
	return source.Revision{ID: fmt.Sprint(n)}
}

func (l *ledger) Resolve(context.Context, source.Revision) (source.Revision, error) {
	return l.Branch(context.Background(), "")
}

func (l *ledger) Branch(_ context.Context, name string) (source.Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == "forgets branches" {
		name = ""
	}
	return l.head(name), nil
}

func (l *ledger) Fetch(_ context.Context, rev source.Revision, dir string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, tree := range l.trees {
		if fmt.Sprint(n) != rev.ID {
			continue
		}
		for path, content := range tree {
			path = filepath.Join(dir, path)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
				return err
			}
		}
		return nil
	}
	return source.ErrGone
}

func (l *ledger) Commit(_ context.Context, c source.Change) (source.Revision, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == "writes branches to the one that is read" {
		c.Branch = ""
	}
	head := l.head(c.Branch)
	var n int
	if _, err := fmt.Sscan(head.ID, &n); err != nil {
		return source.Revision{}, err
	}
	tree, made, conflict := maps.Clone(l.trees[n]), 0, source.ConflictError{}
	for _, e := range c.Edits {
		if !fs.ValidPath(e.Path) || e.Path == "." {
			if l.fault == "panics at paths" {
				panic(e.Path)
			}
			return source.Revision{}, sdk.Permanent(fmt.Errorf("%q is not the path of a file", e.Path))
		}
		have, exists := tree[e.Path]
		is := func(content []byte) bool { return exists == (content != nil) && string(have) == string(content) }
		switch {
		case is(e.New) && l.fault != "commits twice":
		case !is(e.Old) && !is(e.New) && l.fault != "overwrites":
			conflict.Paths = append(conflict.Paths, e.Path)
		case e.New == nil:
			delete(tree, e.Path)
			made++
		default:
			tree[e.Path] = e.New
			made++
		}
	}
	if made > 0 && (l.fault != "is all or nothing" || conflict.Paths == nil) {
		l.trees = append(l.trees, tree)
		l.heads[c.Branch] = len(l.trees) - 1
		head = l.head(c.Branch)
	}
	if conflict.Paths != nil {
		conflict.Written = head
		return source.Revision{}, &conflict
	}
	return head, nil
}

func (l *ledger) Mark(_ context.Context, _ string, rev source.Revision, _ string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var n int
	if _, err := fmt.Sscan(rev.ID, &n); (err != nil || n >= len(l.trees)) && l.fault != "marks anything" {
		return source.ErrGone
	}
	return nil
}

// Each fault of a source that is written to must be found by the check that is
// there for it.
func TestSuiteFindsFaultsOfWriters(t *testing.T) {
	for fault, check := range map[string]string{
		"":                  "",
		"commits twice":     "source-commits-nothing-twice",
		"overwrites":        "source-keeps-what-others-wrote",
		"is all or nothing": "source-keeps-what-others-wrote",
		"panics at paths":   "source-refuses-paths-outside",
		"forgets branches":  "source-proposes-on-a-branch",
		"writes branches to the one that is read": "source-proposes-on-a-branch",
		"marks anything": "source-marks",
	} {
		t.Run(fault, func(t *testing.T) {
			l := &ledger{fault: fault, heads: map[string]int{}, trees: []map[string][]byte{{}}}
			s := &conformance.Subject{Kind: client.KindSource, Type: "ledger", Writable: true}
			failed := sdktest.FailedChecks(t, l.plugin(), s, check)
			if check == "" && len(failed) > 0 || check != "" && len(failed) == 0 {
				t.Errorf("failed are %v, want %q", failed, check)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
