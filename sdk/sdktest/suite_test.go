package sdktest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/conformance"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// faulty is a source that breaks one rule.
type faulty struct {
	fault string
	count *atomic.Int64
	env   sdk.Env
}

type faultyConfig struct {
	Token secret.Secret `hcl:"token,optional"`
}

func faultyPlugin(fault string, stuck chan struct{}) sdk.Plugin {
	count := &atomic.Int64{}
	p := sdk.Plugin{Name: "faulty", Version: "1.0.0"}
	open := func(_ context.Context, c faultyConfig, env sdk.Env) (source.Source, error) {
		f := &faulty{fault, count, env}
		switch fault {
		case "logs its token":
			env.Log.Info("opened", "token", c.Token.Reveal())
		case "ignores cancellation":
			return &deaf{f, stuck}, nil
		case "closes badly":
			return &unclosable{f}, nil
		}
		return f, nil
	}
	if fault == "has no version" {
		p.Version = "latest"
	}
	p.Kinds = []sdk.Kind{source.New("faulty", open)}
	return p
}

func (f *faulty) Resolve(context.Context, source.Revision) (source.Revision, error) {
	if f.fault == "changes its mind" {
		return source.Revision{ID: fmt.Sprint(f.count.Add(1))}, nil
	}
	return source.Revision{ID: "1"}, nil
}

func (f *faulty) Fetch(_ context.Context, rev source.Revision, dir string) error {
	if rev.ID != "1" && f.fault != "takes any revision" && f.fault != "changes its mind" {
		return source.ErrGone
	}
	switch f.fault {
	case "writes beside":
		return os.WriteFile(dir+".tmp", nil, 0o600)
	case "links out":
		return os.Symlink("../../../etc/passwd", filepath.Join(dir, "link"))
	case "fetches differently":
		return os.WriteFile(filepath.Join(dir, "n"), fmt.Append(nil, f.count.Add(1)), 0o600)
	}
	return nil
}

type deaf struct {
	*faulty
	stuck chan struct{}
}

func (d *deaf) Resolve(_ context.Context, previous source.Revision) (source.Revision, error) {
	if previous.ID != "" {
		<-d.stuck
	}
	return source.Revision{ID: "1"}, nil
}

type unclosable struct{ *faulty }

func (*unclosable) Close() error { return fmt.Errorf("stuck") }

// greedy is a credential provider that answers for everything.
type greedy struct{}

func (greedy) Credential(context.Context, registry.Request) (registry.Credential, error) {
	return registry.Credential{Username: "x"}, nil
}

// Each fault must be found by the check that is there for it.
func TestSuiteFindsFaults(t *testing.T) {
	tests := []struct {
		fault string
		check string
	}{
		{"", ""},
		{"has no version", "describes-itself"},
		{"changes its mind", "source-resolves-the-same-twice"},
		{"fetches differently", "source-fetches-the-same-twice"},
		{"writes beside", "source-fetches-the-same-twice"},
		{"links out", "source-fetches-the-same-twice"},
		{"takes any revision", "source-refuses-unknown-revision"},
		{"logs its token", "keeps-secrets-out-of-the-log"},
		{"ignores cancellation", "source-returns-when-cancelled"},
		{"closes badly", "opens-and-closes"},
	}
	for _, tc := range tests {
		t.Run(tc.fault, func(t *testing.T) {
			stuck := make(chan struct{})
			p := faultyPlugin(tc.fault, stuck)
			s := &conformance.Subject{Kind: client.KindSource, Type: "faulty", Config: json.RawMessage(`{"token": "t0ken-value"}`)}
			failed := FailedChecks(t, p, s, tc.check)
			close(stuck)
			if tc.check == "" && len(failed) > 0 {
				t.Errorf("a plugin without a fault fails %v", failed)
			}
			if tc.check != "" && !slices.Contains(failed, tc.check) {
				t.Errorf("failed are %v, want %s among them", failed, tc.check)
			}
			_ = s.Close() // the fault may be in closing
		})
	}
}

func TestSuiteFindsGreedyProvider(t *testing.T) {
	open := func(context.Context, struct{}, sdk.Env) (greedy, error) { return greedy{}, nil }
	p := sdk.Plugin{Name: "greedy", Version: "1.0.0", Kinds: []sdk.Kind{registry.New("greedy", open)}}
	s := &conformance.Subject{
		Kind: client.KindRegistry, Type: "greedy", Images: []registry.Request{{Host: "h"}},
		Start: func(context.Context) (*conformance.Process, error) { return start(t, p) },
	}
	var failed []string
	conformance.Run(t.Context(), s, func(r conformance.Result) {
		if r.Outcome == conformance.Failed {
			failed = append(failed, r.Name)
		}
	})
	want := []string{"registry-passes-on-what-is-not-its", "registry-answers"}
	if !slices.Equal(failed, want) {
		t.Errorf("failed %v, want %v", failed, want)
	}
}

// careless is a provider for consumers that gives to others what it found for
// one: to everybody, or to those of another namespace.
type careless struct{ toDaemon bool }

func (c careless) Credential(_ context.Context, req registry.Request) (registry.Credential, error) {
	if req.Host != "h" || req.Consumer.Namespace == "" && !c.toDaemon {
		return registry.Credential{}, registry.ErrAnonymous
	}
	return registry.Credential{Username: "x", Password: secret.New("password")}, nil
}

func (careless) ForConsumers() {}

func TestSuiteFindsCarelessProviders(t *testing.T) {
	const check = "registry-keeps-consumers-apart"
	for _, toDaemon := range []bool{true, false} {
		open := func(context.Context, struct{}, sdk.Env) (careless, error) { return careless{toDaemon}, nil }
		p := sdk.Plugin{Name: "careless", Version: "1.0.0", Kinds: []sdk.Kind{registry.New("careless", open)}}
		s := &conformance.Subject{
			Kind: client.KindRegistry, Type: "careless",
			Images: []registry.Request{{Host: "h", Consumer: registry.Consumer{Namespace: "n"}}},
		}
		if failed := FailedChecks(t, p, s, ""); !slices.Equal(failed, []string{check}) {
			t.Errorf("to the daemon %t: failed %v, want %s alone", toDaemon, failed, check)
		}
		_ = s.Close() // it has nothing to close
	}
}

// FailedChecks starts p, runs the check of that name, or all, and returns which
// failed.
func FailedChecks(t *testing.T, p sdk.Plugin, s *conformance.Subject, only string) []string {
	s.Start = func(context.Context) (*conformance.Process, error) { return start(&lenient{T: t}, p) }
	var failed []string
	for _, c := range conformance.Checks(s.Kind) {
		if only != "" && only != c.Name {
			continue
		}
		l := &lenient{T: t}
		done := make(chan struct{})
		go func() { defer close(done); c.Run(l, s) }()
		<-done
		if l.failed.Load() {
			failed = append(failed, c.Name)
		}
	}
	return failed
}

// lenient is a T that remembers failures instead of failing.
type lenient struct {
	*testing.T
	failed atomic.Bool
}

func (l *lenient) Errorf(format string, args ...any) {
	l.Logf(strings.TrimSuffix(format, "\n"), args...)
	l.failed.Store(true)
}

func (l *lenient) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	runtime.Goexit()
}

func (l *lenient) Skipf(format string, args ...any) {
	l.Logf(format, args...)
	runtime.Goexit()
}
