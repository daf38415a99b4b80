//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// mortalSource and mortalApplier end their process in the middle of the call
// that "do" names, once. All they say names the process and the configured
// file, so that an answer shows who gave it and with which configuration.
type (
	mortalSource  struct{ testSource }
	mortalApplier struct{ testSource }
)

func serveMortal() {
	sdk.Main(sdk.Plugin{Name: "mortal", Version: "1.0.0", Kinds: []sdk.Kind{
		source.New("mortal", func(_ context.Context, c testConfig, env sdk.Env) (*mortalSource, error) {
			return &mortalSource{testSource{c, env}}, nil
		}),
		applier.New("mortal", func(_ context.Context, c testConfig, env sdk.Env) (*mortalApplier, error) {
			return &mortalApplier{testSource{c, env}}, nil
		}),
	}})
}

func (s *testSource) ref() applier.Ref {
	return applier.Ref{Kind: "Process", Name: strconv.Itoa(os.Getpid()), Namespace: s.c.File}
}

// dieOnce ends the process if this is the call to do it in. A stream waits
// with that until the host has got what was emitted.
func (s *testSource) dieOnce(call string, stream bool) error {
	if s.c.Do != call {
		return nil
	}
	return s.once(func() error {
		if stream {
			if _, err := os.ReadFile(seenPipe(s.c.File)); err != nil {
				return err
			}
		}
		os.Exit(7)
		return nil
	}, func() error { return nil })
}

// seenPipe is a named pipe: reading it ends when the host wrote to it.
func seenPipe(file string) string { return file + ".seen" }

func (s *mortalSource) Fetch(_ context.Context, rev source.Revision, dir string) error {
	if err := os.WriteFile(filepath.Join(dir, rev.ID), nil, 0o600); err != nil {
		return err
	}
	if err := s.dieOnce("source.Fetch", false); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, rev.ID), filepath.Join(dir, "whole"))
}

func (s *mortalSource) Watch(_ context.Context, emit func(source.Revision)) error {
	emit(source.Revision{ID: s.ref().Name, Message: s.c.File})
	return s.dieOnce("source.Watch", true)
}

func (a *mortalApplier) Plan(_ context.Context, _ applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	emit(applier.Change{Ref: a.ref(), Action: applier.Create})
	return applier.Summary{}, a.dieOnce("applier.Plan", true)
}

func (a *mortalApplier) Apply(_ context.Context, _ applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	emit(applier.Result{Ref: a.ref(), Outcome: applier.Updated})
	return applier.Summary{}, a.dieOnce("applier.Apply", true)
}

func (a *mortalApplier) Delete(_ context.Context, _ applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	emit(applier.Result{Ref: a.ref(), Outcome: applier.Updated})
	return applier.Summary{}, a.dieOnce("applier.Delete", true)
}

func (a *mortalApplier) Status(_ context.Context, _ string, emit func(applier.ObjectStatus)) error {
	emit(applier.ObjectStatus{Ref: a.ref(), Health: applier.Current})
	return a.dieOnce("applier.Status", true)
}

func (a *mortalApplier) Watch(_ context.Context, _ string, emit func(applier.ObjectStatus)) error {
	emit(applier.ObjectStatus{Ref: a.ref(), Health: applier.Current})
	return a.dieOnce("applier.Watch", true)
}

// mortalCall makes the named call and tells seen what the plugin said.
func mortalCall(ctx context.Context, i *Instance, name string, seen func(applier.Ref)) error {
	var err error
	switch name {
	case "source.Watch":
		return i.Source().Watch(ctx, func(r source.Revision) {
			seen(applier.Ref{Kind: "Process", Name: r.ID, Namespace: r.Message})
		})
	case "applier.Plan":
		_, err = i.Applier().Plan(ctx, applier.Set{}, func(c applier.Change) { seen(c.Ref) })
	case "applier.Apply":
		_, err = i.Applier().Apply(ctx, applier.Set{}, func(r applier.Result) { seen(r.Ref) })
	case "applier.Delete":
		_, err = i.Applier().Delete(ctx, applier.Deletion{}, func(r applier.Result) { seen(r.Ref) })
	case "applier.Status":
		return i.Applier().Status(ctx, "o", func(s applier.ObjectStatus) { seen(s.Ref) })
	case "applier.Watch":
		return i.Applier().Watch(ctx, "o", func(s applier.ObjectStatus) { seen(s.Ref) })
	default:
		return errors.New("no call " + name)
	}
	return err
}

func (h *testHost) openMortal(t *testing.T, kind, call, file string) *Instance {
	t.Helper()
	i, _, err := h.Open(t.Context(), kind, "mortal", kind+".mortal.a", config(t, "do", call, "file", file))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestCrashInTheMiddleOfAStream: what was said before arrives, the error names
// the call, and the same call works in the next process, which knows the
// instance's configuration.
func TestCrashInTheMiddleOfAStream(t *testing.T) {
	t.Parallel()
	for kind, calls := range map[string][]string{
		"source":  {"source.Watch"},
		"applier": {"applier.Plan", "applier.Apply", "applier.Delete", "applier.Status", "applier.Watch"},
	} {
		for _, call := range calls {
			t.Run(call, func(t *testing.T) {
				t.Parallel()
				crashInTheMiddle(t, kind, call)
			})
		}
	}
}

func crashInTheMiddle(t *testing.T, kind, call string) {
	h := newTestHost(t, nil, "mortal")
	file := filepath.Join(t.TempDir(), "f")
	if err := syscall.Mkfifo(seenPipe(file), 0o600); err != nil {
		t.Fatal(err)
	}
	i := h.openMortal(t, kind, call, file)
	process := func() applier.Ref {
		return applier.Ref{Kind: "Process", Name: strconv.Itoa(h.status(t).PID), Namespace: file}
	}
	first, got := process(), []applier.Ref(nil)
	err := mortalCall(t.Context(), i, call, func(r applier.Ref) {
		got = append(got, r)
		if err := os.WriteFile(seenPipe(file), nil, 0); err != nil {
			t.Error(err)
		}
	})
	wantExit(t, err, call)
	if diff := cmp.Diff([]applier.Ref{first}, got); diff != "" {
		t.Errorf("said before the crash (-want +got):\n%s", diff)
	}
	got = nil
	if err := mortalCall(t.Context(), i, call, func(r applier.Ref) { got = append(got, r) }); err != nil {
		t.Fatalf("the call after the crash: %v", err)
	}
	second := process()
	if diff := cmp.Diff([]applier.Ref{second}, got); diff != "" || second == first {
		t.Errorf("said by process %s after the crash of %s (-want +got):\n%s", second.Name, first.Name, diff)
	}
	if n := h.status(t).Restarts; n != 1 {
		t.Errorf("%d restarts, want 1", n)
	}
}

func wantExit(t *testing.T, err error, call string) {
	t.Helper()
	exited, ok := errors.AsType[*ExitedError](err)
	if !ok || !errors.Is(err, ErrPluginExited) || exited.Call != call || exited.Exit.Code != 7 {
		t.Fatalf("error %v (%+v), want the exit with status 7 during %s", err, exited, call)
	}
	wantError(t, err, "plugin mortal ended during "+call+": exit status 7")
}

// TestCrashInTheMiddleOfFetchIsRepeated with an empty directory, and once.
func TestCrashInTheMiddleOfFetchIsRepeated(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "mortal")
	file, dir := filepath.Join(t.TempDir(), "f"), t.TempDir()
	i := h.openMortal(t, "source", "source.Fetch", file)
	fetch := func(id string) error { return i.Source().Fetch(t.Context(), source.Revision{ID: id}, dir) }
	if err := fetch("half"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "whole" {
		t.Errorf("fetched %v, %v; want the file whole", entries, err)
	}
	if n := h.status(t).Restarts; n != 1 {
		t.Errorf("%d restarts, want 1", n)
	}
}
