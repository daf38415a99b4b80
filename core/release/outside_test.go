package release

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// silent accepts operations, and answers none.
type silent struct{ helm.Helm }

func (silent) Rollback(ctx context.Context, _ helm.Rollback, _ func(helm.Event)) (helm.Revision, error) {
	<-ctx.Done()
	return helm.Revision{}, ctx.Err()
}

func (silent) Uninstall(ctx context.Context, _ helm.Uninstall, _ func(helm.Event)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (silent) Test(ctx context.Context, _ helm.Test, _ func(helm.Event)) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestGuardedIsBounded: an operation by hand that nobody answers ends as one of a run
// does, and says why.
func TestGuardedIsBounded(t *testing.T) {
	ops := map[string]func(context.Context, helm.Helm) error{
		"rollback": func(ctx context.Context, h helm.Helm) error {
			_, err := h.Rollback(ctx, helm.Rollback{Ref: ghost, Timeout: time.Minute}, nil)
			return err
		},
		"uninstall": func(ctx context.Context, h helm.Helm) error {
			return h.Uninstall(ctx, helm.Uninstall{Ref: ghost, Timeout: time.Minute}, nil)
		},
		"test": func(ctx context.Context, h helm.Helm) error {
			return h.Test(ctx, helm.Test{Ref: ghost, Timeout: time.Minute}, nil)
		},
	}
	for name, do := range ops {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, g *rig) {
				g.host.Helm = silent{g.host.Helm}
				began := time.Now()
				err := do(t.Context(), g.runner.Guarded(g.host).Helm)
				if took := time.Since(began); took != 3*time.Minute {
					t.Errorf("took %s", took)
				}
				if err == nil || !strings.Contains(err.Error(), "not done within 3m0s") {
					t.Errorf("got %v", err)
				}
				if g.runner.marks.has(g.host.Name, ghost) {
					t.Error("the mark stays, though nothing is locked")
				}
			})
		})
	}
}

// TestGuardedIsMarked: what was killed by hand leaves a lock that the next run knows
// for our own.
func TestGuardedIsMarked(t *testing.T) {
	bubble(t, func(t *testing.T, g *rig) {
		later(g.run(t.Context()))
		g.killed = 1
		_, err := g.runner.Guarded(g.host).Helm.Rollback(t.Context(), helm.Rollback{Ref: ghost, To: 1}, nil)
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
		if !g.runner.marks.has(g.host.Name, ghost) {
			t.Error("nobody knows whose the lock is")
		}
		g.expect("in_sync: unlock upgrade", "superseded failed deployed")
	})
}
