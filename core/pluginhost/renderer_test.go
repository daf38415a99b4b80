//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// scribe is a renderer that is killed in the middle of the call that "do"
// names, once, and that says its token.
type scribe struct{ testSource }

// plainScribe cannot update.
type plainScribe struct{ s *scribe }

func serveScribe() {
	sdk.Main(sdk.Plugin{Name: "scribe", Version: "1.0.0", Kinds: []sdk.Kind{
		renderer.New("scribe", func(_ context.Context, c testConfig, env sdk.Env) (*scribe, error) {
			return &scribe{testSource{c, env}}, nil
		}),
		renderer.New("plain", func(_ context.Context, c testConfig, env sdk.Env) (plainScribe, error) {
			return plainScribe{&scribe{testSource{c, env}}}, nil
		}),
	}})
}

func (s *scribe) killed(call string) error {
	if s.c.Do != call {
		return nil
	}
	return s.once(func() error { return syscall.Kill(os.Getpid(), syscall.SIGKILL) }, func() error { return nil })
}

func (p plainScribe) Render(ctx context.Context, req renderer.Request) (renderer.Result, error) {
	return p.s.Render(ctx, req)
}

func (s *scribe) Render(_ context.Context, req renderer.Request) (renderer.Result, error) {
	half := filepath.Join(req.Out, "half.yaml")
	if err := os.WriteFile(half, nil, 0o600); err != nil {
		return renderer.Result{}, err
	}
	if err := s.killed("render"); err != nil {
		return renderer.Result{}, err
	}
	warning := diag.Diagnostic{Severity: diag.Warning, Summary: "with " + s.c.Token.Reveal(), Subject: &diag.Range{File: "x"}}
	return renderer.Result{Diagnostics: diag.List{warning}}, os.Rename(half, filepath.Join(req.Out, "whole.yaml"))
}

func (s *scribe) Update(_ context.Context, req renderer.UpdateRequest) (renderer.UpdateResult, error) {
	if err := s.killed("update"); err != nil {
		return renderer.UpdateResult{}, err
	}
	return renderer.UpdateResult{Errors: make([]string, len(req.Changes)-1, len(req.Changes))}, errors.New("not with " + s.c.Token.Reveal())
}

func (h *testHost) openScribe(t *testing.T, typ, do string) *Instance {
	t.Helper()
	i, _, err := h.Open(t.Context(), "renderer", typ, "renderer."+typ+".a",
		config(t, "do", do, "file", filepath.Join(t.TempDir(), "f"), "token", "sesame-open"))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestKilledWhileRendering: the call is repeated, once, with an empty
// directory.
func TestKilledWhileRendering(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "scribe")
	i, out := h.openScribe(t, "scribe", "render"), t.TempDir()
	res, err := i.Renderer().Render(t.Context(), renderer.Request{Dir: t.TempDir(), Paths: []string{"."}, Out: out})
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(out)
	if err != nil || len(entries) != 1 || entries[0].Name() != "whole.yaml" {
		t.Errorf("rendered %v, %v; want the file whole.yaml", entries, err)
	}
	if n := h.status(t).Restarts; n != 1 {
		t.Errorf("%d restarts, want 1", n)
	}
	if got := res.Diagnostics[0].Summary; got != "with (redacted)" {
		t.Errorf("the warning is %q", got)
	}
}

// TestKilledWhileUpdating: what the first process has done to the copy is not
// known, so that the call is not repeated.
func TestKilledWhileUpdating(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "scribe")
	u := h.openScribe(t, "scribe", "update").Renderer().(renderer.Updater)
	req := renderer.UpdateRequest{Request: renderer.Request{Dir: t.TempDir(), Paths: []string{"."}, Out: t.TempDir()}, Changes: make([]renderer.Change, 1)}
	if _, err := u.Update(t.Context(), req); !errors.Is(err, ErrPluginExited) {
		t.Errorf("error %v, want that the plugin ended", err)
	}
	if _, err := u.Update(t.Context(), req); err == nil || !strings.Contains(err.Error(), "not with (redacted)") {
		t.Errorf("error %v", err)
	}
}

func TestRendererUpdatesIfItCan(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "scribe")
	if _, ok := h.openScribe(t, "plain", "").Renderer().(renderer.Updater); ok {
		t.Error("a renderer that cannot update is an Updater")
	}
	if _, ok := h.openScribe(t, "scribe", "").Renderer().(renderer.Updater); !ok {
		t.Error("a renderer that can update is none")
	}
}

// TestRenderersStopWhenIdle, and come back on demand.
func TestRenderersStopWhenIdle(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.rare = 20 * time.Millisecond }, "scribe")
	i := h.openScribe(t, "scribe", "")
	h.awaitState(t, Stopped)
	if _, err := i.Renderer().Render(t.Context(), renderer.Request{Dir: t.TempDir(), Paths: []string{"."}, Out: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if st := h.status(t); st.Restarts != 0 {
		t.Errorf("%d restarts; stopping when idle is no accident", st.Restarts)
	}
}
