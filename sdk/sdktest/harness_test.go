package sdktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func samples() []applier.Item {
	var items []applier.Item
	for i := range 5 {
		items = append(items, applier.Item{
			File: "all.yaml", Line: i + 1,
			Object: map[string]any{"kind": "Thing", "name": fmt.Sprintf("thing-%d", i), "size": "small"},
		})
	}
	return items
}

func TestApplierSuite(t *testing.T) {
	sdktest.Applier(t, newTarget().plugin(), "memory", nil, samples())
}

// static answers for one registry.
type static struct{ c staticConfig }

type staticConfig struct {
	Host     string        `hcl:"host" doc:"Registry."`
	Password secret.Secret `hcl:"password"`
}

func staticPlugin() sdk.Plugin {
	open := func(_ context.Context, c staticConfig, env sdk.Env) (static, error) {
		env.Log.Info("opened", "host", c.Host, "password", c.Password)
		return static{c}, nil
	}
	return sdk.Plugin{Name: "static", Version: "0.1.0", Kinds: []sdk.Kind{registry.New("static", open, sdk.Doc("One password."))}}
}

func (s static) Credential(_ context.Context, req registry.Request) (registry.Credential, error) {
	if req.Host != s.c.Host {
		return registry.Credential{}, registry.ErrAnonymous
	}
	return registry.Credential{Username: "robot", Password: s.c.Password, Scope: registry.ScopeRegistry, ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func (s static) Tags(_ context.Context, req registry.Request, emit func(registry.Tag)) error {
	for _, name := range []string{"1.0", "1.1"} {
		emit(registry.Tag{Name: name, Digest: "sha256:" + req.Repository})
	}
	return nil
}

func TestRegistrySuite(t *testing.T) {
	config := map[string]any{"host": "reg.example.com", "password": "correct horse"}
	sdktest.Registry(t, staticPlugin(), "static", config, []registry.Request{{Host: "reg.example.com", Repository: "app"}})
}

func TestHostServices(t *testing.T) {
	h := sdktest.New(t, script{resolve: func(ctx context.Context, s *script) (source.Revision, error) {
		ref := host.SecretRef{Name: "deploy", Key: "id"}
		if _, err := s.env.Host.ReadSecret(ctx, ref); !errors.Is(err, host.ErrNoSecret) {
			return source.Revision{}, fmt.Errorf("ReadSecret before: %w", err)
		}
		if err := s.env.Host.WriteSecret(ctx, ref, secret.New("k\xff")); err != nil {
			return source.Revision{}, err
		}
		if _, err := s.env.Host.Credential(ctx, host.CredentialRequest{Host: "unknown"}); !errors.Is(err, host.ErrAnonymous) {
			return source.Revision{}, fmt.Errorf("Credential: %w", err)
		}
		c, err := s.env.Host.Credential(ctx, host.CredentialRequest{Host: "known"})
		if err != nil {
			return source.Revision{}, err
		}
		if _, err := s.env.Host.Credential(ctx, host.CredentialRequest{Host: "known", Refused: c.Password}); !errors.Is(err, host.ErrAnonymous) {
			return source.Revision{}, fmt.Errorf("Credential that was refused: %w", err)
		}
		return source.Revision{ID: c.Username}, s.env.Host.Event(ctx, host.Event{Reason: "KeyGenerated", Message: "a key"})
	}}.plugin(), sdktest.Options{})
	h.Host().SetCredential("known", host.Credential{Username: "me", Password: secret.New("pw\xff")})
	rev, err := h.Source("script", nil).Resolve(t.Context(), source.Revision{})
	if err != nil || rev.ID != "me" {
		t.Fatalf("Resolve = %+v, %v", rev, err)
	}
	if value, _ := h.Host().Secret(host.SecretRef{Name: "deploy", Key: "id"}); value.Reveal() != "k\xff" {
		t.Errorf("the plugin wrote %q", value.Reveal())
	}
	if diff := cmp.Diff([]host.Event{{Reason: "KeyGenerated", Message: "a key"}}, h.Host().Events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestConfigurationErrors(t *testing.T) {
	h := sdktest.New(t, script{}.plugin(), sdktest.Options{})
	for config, want := range map[string]string{
		`{"name": 5}`:     "name: a string is required",
		`{"name": "bad"}`: "name: not this one",
		`{"nome": "x"}`:   "nome: there is no argument or block of this name",
	} {
		_, problems, err := h.Open(client.KindSource, "script", config)
		if err == nil || len(problems) != 1 || problems[0].Error() != want {
			t.Errorf("Open(%s): %v, problems %v; want %q", config, err, problems, want)
		}
	}
	_, problems, err := h.Open(client.KindSource, "script", `{"name": "old"}`)
	if err != nil || len(problems) != 1 || problems.HasErrors() {
		t.Errorf("a warning became %v, %v", problems, err)
	}
}

func TestPanicHurtsOnlyItsCall(t *testing.T) {
	h := sdktest.New(t, script{
		resolve: func(context.Context, *script) (source.Revision, error) { panic("boom") },
		log:     func(context.Context, func(source.Entry)) error { panic("stream boom") },
	}.plugin(), sdktest.Options{})
	src := h.Source("script", nil)
	for range 2 {
		_, err := src.Resolve(t.Context(), source.Revision{})
		if !errors.Is(err, client.ErrPanic) || !strings.Contains(err.Error(), "boom") {
			t.Errorf("Resolve: %v", err)
		}
	}
	if err := src.Log(t.Context(), source.Revision{}, source.Revision{ID: "1"}, func(source.Entry) {}); !errors.Is(err, client.ErrPanic) {
		t.Errorf("Log: %v", err)
	}
	if err := src.Fetch(t.Context(), source.Revision{ID: "1"}, t.TempDir()); err != nil {
		t.Errorf("Fetch after the panics: %v", err)
	}
	if !strings.Contains(h.Log(), "harness_test.go") {
		t.Errorf("the stack is not in the log:\n%s", h.Log())
	}
}

func TestStreams(t *testing.T) {
	const many = 10_000
	var late func(source.Entry)
	h := sdktest.New(t, script{log: func(_ context.Context, emit func(source.Entry)) error {
		late = emit
		for i := range many {
			emit(source.Entry{Revision: source.Revision{ID: fmt.Sprint(i)}, Paths: []string{"caf\xe9"}})
		}
		return nil
	}}.plugin(), sdktest.Options{})
	src := h.Source("script", nil)
	n := 0
	err := src.Log(t.Context(), source.Revision{}, source.Revision{ID: "1"}, func(e source.Entry) {
		if e.Revision.ID != fmt.Sprint(n) || e.Paths[0] != "caf\uFFFD" {
			t.Errorf("entry %d is %+v", n, e)
		}
		n++
	})
	if err != nil || n != many {
		t.Errorf("Log emitted %d, %v", n, err)
	}
	late(source.Entry{}) // must neither panic nor send
}

func TestMessageThatIsTooLarge(t *testing.T) {
	big := strings.Repeat("x", 17<<20)
	h := sdktest.New(t, script{log: func(_ context.Context, emit func(source.Entry)) error {
		emit(source.Entry{Paths: []string{big}})
		return nil
	}}.plugin(), sdktest.Options{})
	src := h.Source("script", nil)
	err := src.Log(t.Context(), source.Revision{}, source.Revision{ID: "1"}, func(source.Entry) {})
	if !sdk.IsPermanent(err) {
		t.Errorf("plugin to host: %v; want a permanent error", err)
	}
	err = src.Fetch(t.Context(), source.Revision{ID: big}, t.TempDir())
	if !sdk.IsPermanent(err) || !strings.Contains(err.Error(), "pass a path instead") {
		t.Errorf("host to plugin: %.200v; want a permanent error", err)
	}
}

func TestCloseCancelsAndWaits(t *testing.T) {
	started, returned := make(chan struct{}), make(chan struct{})
	closed := false
	h := sdktest.New(t, script{
		resolve: func(ctx context.Context, _ *script) (source.Revision, error) {
			close(started)
			<-ctx.Done()
			close(returned)
			return source.Revision{}, context.Cause(ctx)
		},
		close: func() error {
			select {
			case <-returned:
			default:
				t.Error("Close was called while Resolve was running")
			}
			closed = true
			return errors.New("could not remove a file")
		},
	}.plugin(), sdktest.Options{})
	opened, _, err := h.Open(client.KindSource, "script", nil)
	if err != nil {
		t.Fatal(err)
	}
	src := client.NewSource(client.Direct(h.Conn(), opened.Instance))
	resolved := make(chan error, 1)
	go func() {
		_, err := src.Resolve(context.Background(), source.Revision{})
		resolved <- err
	}()
	<-started
	err = h.Plugin().Close(t.Context(), opened.Instance)
	if err == nil || err.Error() != "could not remove a file" || !closed {
		t.Errorf("Close: %v, closed: %t", err, closed)
	}
	if err := <-resolved; err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("Resolve: %v", err)
	}
}

// An instance whose id nobody learns must not stay open.
func TestOpenThatNobodyWaitsFor(t *testing.T) {
	opening, closed := make(chan struct{}), make(chan struct{})
	open := func(ctx context.Context, _ scriptConfig, _ sdk.Env) (*script, error) {
		close(opening)
		<-ctx.Done() // and goes on regardless
		return &script{close: func() error { close(closed); return nil }}, nil
	}
	h := sdktest.New(t, sdk.Plugin{Name: "late", Version: "1.0.0", Kinds: []sdk.Kind{source.New("late", open)}}, sdktest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-opening; cancel() }()
	if _, _, err := h.Plugin().Open(ctx, client.OpenRequest{Kind: "source", Type: "late", Name: "x"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
	<-closed
}

func TestConflictAndRetry(t *testing.T) {
	h := sdktest.New(t, script{
		commit: func(c source.Change) (source.Revision, error) {
			if c.Edits[0].Old != nil || string(c.Edits[0].New) != "new" {
				return source.Revision{}, fmt.Errorf("edits %+v", c.Edits)
			}
			return source.Revision{}, fmt.Errorf("commit: %w", &source.ConflictError{Paths: []string{"a"}})
		},
		resolve: func(context.Context, *script) (source.Revision, error) {
			return source.Revision{}, sdk.RetryAfter(errors.New("busy"), time.Minute)
		},
		fetch: func(context.Context, *script, string) error { return sdk.Permanent(errors.New("never")) },
	}.plugin(), sdktest.Options{})
	src := h.Source("script", nil)
	_, err := src.Commit(t.Context(), source.Change{Edits: []source.Edit{{Path: "a", New: []byte("new")}}})
	if c, ok := errors.AsType[*source.ConflictError](err); !ok || !slices.Equal(c.Paths, []string{"a"}) {
		t.Errorf("Commit: %v", err)
	}
	_, err = src.Resolve(t.Context(), source.Revision{})
	if d, ok := sdk.RetryDelay(err); !ok || d != time.Minute {
		t.Errorf("Resolve: %v", err)
	}
	if err := src.Fetch(t.Context(), source.Revision{ID: "1"}, t.TempDir()); !sdk.IsPermanent(err) {
		t.Errorf("Fetch: %v", err)
	}
	if _, err := src.Verify(t.Context(), source.Revision{ID: "1"}); !errors.Is(err, client.ErrUnsupported) {
		t.Errorf("Verify: %v", err)
	}
}

// repeating is a Caller that runs every idempotent call twice, as a supervisor
// does after a crash.
type repeating struct{ client.Caller }

func (r repeating) Call(ctx context.Context, m client.Method, do func(context.Context, grpc.ClientConnInterface, string) error) error {
	if m.Idempotent {
		if err := r.Caller.Call(ctx, m, do); err != nil {
			return err
		}
	}
	return r.Caller.Call(ctx, m, do)
}

func TestFetchIsRepeatedIntoAnEmptyDirectory(t *testing.T) {
	n := 0
	h := sdktest.New(t, script{fetch: func(_ context.Context, _ *script, dir string) error {
		n++
		return os.WriteFile(filepath.Join(dir, fmt.Sprintf("attempt-%d", n)), nil, 0o600)
	}}.plugin(), sdktest.Options{})
	opened, _, err := h.Open(client.KindSource, "script", nil)
	if err != nil {
		t.Fatal(err)
	}
	src := client.NewSource(repeating{client.Direct(h.Conn(), opened.Instance)})
	dir := t.TempDir()
	if err := src.Fetch(t.Context(), source.Revision{ID: "1"}, dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "attempt-2" {
		t.Errorf("the directory holds %v, %v", entries, err)
	}
}

func TestCapabilities(t *testing.T) {
	h := sdktest.New(t, newTarget().plugin(), sdktest.Options{})
	d, err := h.Plugin().Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{applier.CanListWorkloads, applier.CanKeepSecrets, applier.CanLease, applier.CanMark, applier.CanKeepResources, applier.CanInspect}
	if diff := cmp.Diff(want, d.Kinds[0].Capabilities); diff != "" {
		t.Errorf("described (-want +got):\n%s", diff)
	}
	opened, _, err := h.Open(client.KindApplier, "memory", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, opened.Capabilities); diff != "" {
		t.Errorf("opened (-want +got):\n%s", diff)
	}
}

func TestLease(t *testing.T) {
	h := sdktest.New(t, newTarget().plugin(), sdktest.Options{})
	a := h.Applier("memory", nil)
	ctx, cancel := context.WithCancel(t.Context())
	err := a.Lease(ctx, "leader", "me", cancel)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Lease: %v", err)
	}
	if err := a.Lease(t.Context(), "leader", "you", func() { t.Error("acquired twice") }); err == nil {
		t.Error("the lease was taken twice")
	}
}

func TestUnknownActionIsAnError(t *testing.T) {
	h := sdktest.New(t, sdk.Plugin{Name: "odd", Version: "1.0.0", Kinds: []sdk.Kind{
		applier.New("odd", func(context.Context, struct{}, sdk.Env) (applier.Applier, error) { return odd{newTarget()}, nil }),
	}}, sdktest.Options{})
	_, err := h.Applier("odd", nil).Plan(t.Context(), applier.Set{}, func(applier.Change) { t.Error("emitted") })
	if err == nil || !strings.Contains(err.Error(), `unknown action "explode"`) {
		t.Errorf("Plan: %v", err)
	}
}

type odd struct{ *target }

func (odd) Plan(_ context.Context, _ applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	emit(applier.Change{Action: "explode"})
	return applier.Summary{}, nil
}

func TestEachInstanceHasItsLogLevel(t *testing.T) {
	talk := func(_ context.Context, s *script) (source.Revision, error) {
		s.env.Log.Debug("detail")
		s.env.Log.Warn("warning")
		return source.Revision{ID: "1"}, nil
	}
	for level, want := range map[string]bool{"warn": false, "debug": true} {
		h := sdktest.New(t, script{resolve: talk}.plugin(), sdktest.Options{LogLevel: level})
		if _, err := h.Source("script", nil).Resolve(t.Context(), source.Revision{}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(h.Log(), "detail"); got != want || !strings.Contains(h.Log(), "warning") {
			t.Errorf("level %s:\n%s", level, h.Log())
		}
	}
	h := sdktest.New(t, script{}.plugin(), sdktest.Options{LogLevel: "loud"})
	if _, _, err := h.Open(client.KindSource, "script", nil); !sdk.IsPermanent(err) {
		t.Errorf("Open with an unknown level: %v", err)
	}
}

func TestSecretsAreNotLogged(t *testing.T) {
	h := sdktest.New(t, staticPlugin(), sdktest.Options{})
	c, err := h.Registry("static", map[string]any{"host": "h", "password": "hunter22"}).Credential(t.Context(), registry.Request{Host: "h"})
	if err != nil || c.Password.Reveal() != "hunter22" {
		t.Errorf("Credential: %v, %v", c, err)
	}
	if strings.Contains(h.Log(), "hunter22") || !strings.Contains(h.Log(), secret.Redacted) {
		t.Errorf("log:\n%s", h.Log())
	}
	text, err := json.Marshal(c)
	if err != nil || strings.Contains(string(text), "hunter22") {
		t.Errorf("JSON: %s, %v", text, err)
	}
}
