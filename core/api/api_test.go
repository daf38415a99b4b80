package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shopEngine is an engine with one sync, called app["a/b"].
type shopEngine struct {
	Engine // what the tests do not ask
	node   engine.Node
	bus    *event.Bus
	dead   bool
}

const shopID = `sync.app["a/b"]`

func newShop(t *testing.T) *shopEngine {
	t.Helper()
	bus, err := event.New(event.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bus.Close)
	since := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	return &shopEngine{bus: bus, node: engine.Node{ID: shopID, State: engine.Ready, Reason: "3 objects", Revision: "r1", Since: since, Objects: 3}}
}

func (s *shopEngine) CredentialMetrics() credentials.Metrics {
	return credentials.Metrics{Providers: []credentials.ProviderMetrics{{Provider: "registry_credential.ecr.prod", Counters: credentials.Counters{Requests: 3}, Expiry: -1}}}
}

func (s *shopEngine) ImageMetrics() images.Metrics {
	return images.Metrics{Hosts: map[string]images.HostMetrics{"quay.io": {Repositories: 2, Scans: 5}}}
}

func (s *shopEngine) ImageBudget() []limit.Budget {
	return []limit.Budget{{Host: "quay.io", Requests: 7, Throttled: 1}}
}

func (s *shopEngine) UpdateMetrics() updates.Metrics {
	return updates.Metrics{Commits: 4, Failed: 1, Jobs: map[string]int{jobs.Succeeded: 2}}
}

func (s *shopEngine) Alive() bool           { return !s.dead }
func (s *shopEngine) Status() engine.Status { return engine.Status{Nodes: []engine.Node{s.node}} }

func (s *shopEngine) find(names ...string) error {
	for _, n := range names {
		if n != shopID {
			return fmt.Errorf("%q is not in the configuration: %w", n, refusal.ErrNotFound)
		}
	}
	return nil
}

func (s *shopEngine) Node(name string) (engine.Detail, error) {
	return engine.Detail{Node: s.node, Report: &rollout.Report{Owner: "app"}}, s.find(name)
}

func (s *shopEngine) Sync(_ context.Context, req engine.SyncRequest) ([]string, error) {
	return []string{shopID}, s.find(req.Names...)
}

func (s *shopEngine) SyncAndWait(_ context.Context, req engine.SyncRequest, progress func(engine.Progress)) ([]engine.Detail, error) {
	if err := s.find(req.Names...); err != nil {
		return nil, err
	}
	for i := range 3 {
		progress(engine.Progress{Node: shopID, Progress: rollout.Progress{Step: rollout.StepApply, Done: i + 1, Total: 3}})
	}
	if s.dead {
		return nil, fmt.Errorf("stopping: %w", refusal.ErrConflict)
	}
	return []engine.Detail{{Node: s.node}}, nil
}

func (s *shopEngine) Suspend(_ context.Context, req engine.SuspendRequest) ([]string, error) {
	s.node.State = engine.Suspended
	s.node.Suspension = &engine.Suspension{By: req.By, Reason: req.Reason, Until: req.Until}
	return req.Names, s.find(req.Names...)
}

func (s *shopEngine) Resume(_ context.Context, req engine.ResumeRequest) ([]string, error) {
	if s.node.State != engine.Suspended {
		return nil, fmt.Errorf("not suspended: %w", refusal.ErrConflict)
	}
	s.node.State = engine.Ready
	return req.Names, nil
}

func (s *shopEngine) Approve(_ context.Context, req engine.ApproveRequest) (string, error) {
	return "abc", s.find(req.Name)
}

func (s *shopEngine) Why(_ context.Context, target, namespace string) (engine.Explanation, error) {
	return engine.Explanation{Target: target, Lines: []string{"in " + namespace}}, nil
}

func (s *shopEngine) Events(ctx context.Context, q engine.EventQuery, fn func(event.Event) error) error {
	for sub := s.bus.Subscribe(q.Since, nil); ; {
		if !q.Follow && s.bus.Last() == q.Since {
			return nil
		}
		ev, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if err := fn(ev); err != nil {
			return err
		}
		if !q.Follow && ev.Seq == s.bus.Last() {
			return nil
		}
	}
}

func (s *shopEngine) Plugins() []pluginhost.PluginStatus {
	return []pluginhost.PluginStatus{{Plugin: "git", PID: 7, Restarts: 2}}
}

func (s *shopEngine) ConfigStatus() engine.ConfigStatus { return engine.ConfigStatus{OK: true} }

func (s *shopEngine) Reload(context.Context) (engine.ConfigStatus, error) {
	return engine.ConfigStatus{Problems: []rollout.Problem{{Severity: "error", Summary: "bad"}}}, nil
}

// serve starts the API of e and returns its address and a client.
func serve(t *testing.T, e Engine) (string, *Client) {
	t.Helper()
	return serveHandler(t, NewHandler(e, "1.2.3", slog.New(slog.DiscardHandler)))
}

func serveHandler(t *testing.T, h http.Handler) (string, *Client) {
	t.Helper()
	address := "unix://" + filepath.Join(t.TempDir(), "run", "api.sock")
	l, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	stop := Serve(l, h, slog.New(slog.DiscardHandler))
	c, err := NewClient(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return address, c
}

func TestRoundTrips(t *testing.T) {
	e := newShop(t)
	_, c := serve(t, e)
	ctx := t.Context()

	st, err := c.Status(ctx)
	if diff := cmp.Diff(e.Status(), st); err != nil || diff != "" {
		t.Errorf("status: %v %s", err, diff)
	}
	d, err := c.Node(ctx, shopID)
	if err != nil || d.Node.ID != shopID || d.Report == nil {
		t.Errorf("node: %+v, %v", d, err)
	}
	until := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
	ids, err := c.Suspend(ctx, engine.SuspendRequest{Names: []string{shopID}, By: "ann", Until: until})
	if err != nil || !cmp.Equal(ids, []string{shopID}) || !e.node.Suspension.Until.Equal(until) {
		t.Errorf("suspend: %v, %v", ids, err)
	}
	if _, err = c.Resume(ctx, engine.ResumeRequest{Names: []string{shopID}}); err != nil {
		t.Errorf("resume: %v", err)
	}
	if digest, err := c.Approve(ctx, engine.ApproveRequest{Name: shopID}); err != nil || digest != "abc" {
		t.Errorf("approve: %q, %v", digest, err)
	}
	x, err := c.Why(ctx, "deployment/web", "shop & co")
	if err != nil || x.Target != "deployment/web" || x.Lines[0] != "in shop & co" {
		t.Errorf("why: %+v, %v", x, err)
	}
	if p, err := c.Plugins(ctx); err != nil || len(p) != 1 || p[0].PID != 7 {
		t.Errorf("plugins: %+v, %v", p, err)
	}
	if cs, err := c.Reload(ctx); err != nil || cs.OK || len(cs.Problems) != 1 {
		t.Errorf("reload: %+v, %v", cs, err)
	}
	if cs, err := c.Config(ctx); err != nil || !cs.OK {
		t.Errorf("config: %+v, %v", cs, err)
	}
	if v, err := c.Version(ctx); err != nil || v != "1.2.3" {
		t.Errorf("version: %q, %v", v, err)
	}
}

// The fields of a node that programs rely on are always there.
func TestStatusContract(t *testing.T) {
	e := newShop(t)
	e.node = engine.Node{ID: "sync.shop"}
	_, c := serve(t, e)
	body, err := c.do(t.Context(), http.MethodGet, "/v1/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var got struct{ Nodes []map[string]any }
	if err := json.NewDecoder(body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"id", "state", "reason", "revision", "since", "objects", "failed"} {
		if _, ok := got.Nodes[0][field]; !ok {
			t.Errorf("no field %q in %v", field, got.Nodes[0])
		}
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	_, c := serve(t, newShop(t))
	ctx := t.Context()
	_, notFound := c.Node(ctx, "nope")
	_, conflict := c.Resume(ctx, engine.ResumeRequest{Names: []string{shopID}})
	_, waited := c.SyncAndWait(ctx, engine.SyncRequest{Names: []string{"nope"}}, nil)
	_, unknown := ask[versionAnswer](ctx, c, http.MethodGet, "/v2/status", nil)
	for _, tt := range []struct {
		err, want error
		text      string
	}{
		{notFound, refusal.ErrNotFound, `"nope" is not in the configuration`},
		{conflict, refusal.ErrConflict, "not suspended"},
		{waited, refusal.ErrNotFound, `"nope"`},
		{unknown, nil, "is it of the same version?"},
	} {
		if tt.err == nil || tt.want != nil && !errors.Is(tt.err, tt.want) || !strings.Contains(tt.err.Error(), tt.text) {
			t.Errorf("%v, want %v with %q", tt.err, tt.want, tt.text)
		}
	}
}

func TestBadRequests(t *testing.T) {
	_, c := serve(t, newShop(t))
	for name, tt := range map[string]struct {
		method, path string
		body         any
	}{
		"unknown field":  {http.MethodPost, "/v1/suspend", map[string]any{"nmaes": []string{"x"}}},
		"wrong type":     {http.MethodPost, "/v1/approve", map[string]any{"name": 7}},
		"too large":      {http.MethodPost, "/v1/sync", map[string]any{"by": strings.Repeat("x", 2<<20)}},
		"bad since":      {http.MethodGet, "/v1/events?since=yesterday", nil},
		"negative limit": {http.MethodGet, "/v1/events?limit=-1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ask[idsAnswer](t.Context(), c, tt.method, tt.path, tt.body); !errors.Is(err, refusal.ErrInvalid) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSyncStreams(t *testing.T) {
	e := newShop(t)
	_, c := serve(t, e)
	ids, err := c.Sync(t.Context(), engine.SyncRequest{Names: []string{shopID}})
	if err != nil || !cmp.Equal(ids, []string{shopID}) {
		t.Errorf("sync: %v, %v", ids, err)
	}
	var done []int
	details, err := c.SyncAndWait(t.Context(), engine.SyncRequest{}, func(p engine.Progress) { done = append(done, p.Done) })
	if err != nil || len(details) != 1 || details[0].Node.ID != shopID {
		t.Errorf("%+v, %v", details, err)
	}
	if diff := cmp.Diff([]int{1, 2, 3}, done); diff != "" {
		t.Error(diff)
	}
	e.dead = true
	if _, err := c.SyncAndWait(t.Context(), engine.SyncRequest{}, nil); !errors.Is(err, refusal.ErrConflict) {
		t.Errorf("a failure in the middle of the stream: %v", err)
	}
}

func TestEvents(t *testing.T) {
	e := newShop(t)
	_, c := serve(t, e)
	e.bus.Publish(event.Event{Node: shopID, Reason: "applied", Message: "1"})
	var got []string
	collect := func(ev event.Event) error {
		got = append(got, ev.Message)
		return nil
	}
	if err := c.Events(t.Context(), EventQuery{}, collect); err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	err := c.Events(t.Context(), EventQuery{Follow: true}, func(ev event.Event) error {
		got = append(got, ev.Message)
		if ev.Message == "2" {
			return enough
		}
		e.bus.Publish(event.Event{Message: "2"})
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]string{"1", "1", "2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFollowersEndWithTheServer(t *testing.T) {
	e := newShop(t)
	address := "unix://" + filepath.Join(t.TempDir(), "s")
	l, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	stop := Serve(l, NewHandler(e, "", log), log)
	c, err := NewClient(address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e.bus.Publish(event.Event{Message: "1"})
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- c.Events(t.Context(), EventQuery{Follow: true}, func(event.Event) error { close(began); return nil })
	}()
	<-began
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "has gone away") {
		t.Errorf("the follower ends with %v", err)
	}
}

func TestProbes(t *testing.T) {
	e := newShop(t)
	_, c := serve(t, e)
	read := func(path string) (string, error) {
		body, err := c.do(t.Context(), http.MethodGet, path, nil)
		if err != nil {
			return "", err
		}
		defer body.Close()
		b, err := io.ReadAll(body)
		return string(b), err
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if text, err := read(path); err != nil || text != "ok\n" {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
	e.dead = true
	if _, err := read("/readyz"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("readyz of one that stops: %v", err)
	}
	text, err := read("/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`sluice_node_state{node="sync.app[\"a/b\"]",state="ready"} 1`,
		`sluice_node_objects{node="sync.app[\"a/b\"]"} 3`,
		`sluice_plugin_restarts_total{plugin="git"} 2`,
		`sluice_build_info{version="1.2.3"} 1`,
		`sluice_credential_requests_total{provider="registry_credential.ecr.prod"} 3`,
		`sluice_image_scans_total{host="quay.io"} 5`,
		`sluice_updates_written_total 4`,
		`sluice_rollouts_failed_total 1`,
		`sluice_jobs{state="succeeded"} 2`,
		`sluice_helm_release_info{node="release.ghost",namespace="demo",name="ghost",chart="ghost",version="1.2.3",app_version="",status="deployed"} 1`,
		`sluice_helm_release_state{node="release.ghost",namespace="demo",name="ghost",state="in_sync"} 1`,
		`sluice_helm_release_revision{node="release.new",namespace="demo",name="new"} 0`,
		`sluice_helm_operations_total{kind="install",result="failed"} 1`,
		`sluice_registry_throttled_total{host="quay.io",credential=""} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s in\n%s", line, text)
		}
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "api.sock")
	address := "unix://" + path
	l, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode of the directory %v, %v", info.Mode(), err)
	}
	if _, err := Listen(t.Context(), address); err == nil || !strings.Contains(err.Error(), "a daemon listens") {
		t.Errorf("a second daemon: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays: %v", err)
	}

	// What a killed daemon leaves: a socket where nobody answers.
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	l, err = Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
}

func TestListenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"tcp://localhost:1":                   "want unix:///absolute/path",
		"unix://relative":                     "want unix:///absolute/path",
		"unix:///" + strings.Repeat("x", 200): "too long",
		"unix://" + file:                      "is not a socket",
	} {
		if _, err := Listen(t.Context(), address); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", address, err, want)
		}
	}
}

func TestUnreachable(t *testing.T) {
	c, err := NewClient("unix://" + filepath.Join(t.TempDir(), "none.sock"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(t.Context())
	if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "is the daemon running?") {
		t.Errorf("error %v", err)
	}
}
