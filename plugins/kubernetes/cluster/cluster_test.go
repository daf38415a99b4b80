package cluster

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const twoContexts = `apiVersion: v1
kind: Config
current-context: CURRENT
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts:
- {name: production, context: {cluster: c, user: u, namespace: shop}}
- {name: staging, context: {cluster: c, user: u}}
`

func kubeconfig(t *testing.T, current string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(strings.Replace(twoContexts, "CURRENT", current, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConnect(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("kind: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	tests := []struct {
		name       string
		options    Options
		path, want string // of the diagnostic; empty: it works
	}{
		{"context", Options{Kubeconfig: kubeconfig(t, "staging"), Context: "production"}, "", ""},
		{"typing mistake", Options{Kubeconfig: kubeconfig(t, "staging"), Context: "prodction"}, "context", `no context "prodction": Did you mean "production"?`},
		{"other context", Options{Kubeconfig: kubeconfig(t, "staging"), Context: "moon"}, "context", "It has: production, staging."},
		{"no current context", Options{Kubeconfig: kubeconfig(t, `""`)}, "context", "no current context: Set context to one of: production, staging."},
		{"current context that is not there", Options{Kubeconfig: kubeconfig(t, "gone")}, "context", `the kubeconfig has no context "gone", which it calls the current one: Set context to one of: production, staging.`},
		{"no file", Options{Kubeconfig: "/does/not/exist"}, "kubeconfig", "/does/not/exist does not exist"},
		{"broken file", Options{Kubeconfig: broken}, "kubeconfig", "cannot be read"},
		{"not in a cluster", Options{InCluster: true}, "in_cluster", "not running in a cluster"},
		{"nothing at all", Options{}, "", "no cluster: there is no kubeconfig, and this is not a pod"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := Connect(tt.options)
			if tt.want == "" {
				if err != nil || c.Namespace != "shop" {
					t.Fatalf("%+v, %v; want namespace shop", c, err)
				}
				c.Close()
				return
			}
			list, ok := diag.From(err)
			if !ok || list[0].Path.String() != tt.path || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a diagnostic at %q with %q", err, tt.path, tt.want)
			}
		})
	}
}

// answers serves one handler for each request in turn, the last one for ever.
func answers(t *testing.T, handlers ...http.HandlerFunc) (c *http.Client, url string, seen *atomic.Int64) {
	t.Helper()
	seen = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(seen.Add(1)) - 1
		handlers[min(n, len(handlers)-1)](w, r)
	}))
	base := &http.Transport{}
	t.Cleanup(func() { base.CloseIdleConnections(); s.Close() })
	return &http.Client{Transport: newTransport(base, newFlow(), &pulse{})}, s.URL, seen
}

func code(n int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(n)
	}
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func tornBody(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "100")
	_, _ = w.Write([]byte("half"))
	hangUp(w, r)
}

func TestTransportRepeats(t *testing.T) {
	tests := []struct {
		name     string
		handlers []http.HandlerFunc
		status   int
		seen     int64
	}{
		{"good", []http.HandlerFunc{code(200)}, 200, 1},
		{"overload", []http.HandlerFunc{code(429, "Retry-After", "0"), code(429), code(200)}, 200, 3},
		{"errors", []http.HandlerFunc{code(500), code(503), code(200)}, 200, 3},
		{"lost connection", []http.HandlerFunc{code(200), hangUp, code(201)}, 200, 1},
		{"torn answer", []http.HandlerFunc{tornBody, code(200)}, 200, 2},
		{"errors that stay", []http.HandlerFunc{code(500)}, 500, mostErrors},
		{"rejection", []http.HandlerFunc{code(422)}, 422, 1},
		{"conflict", []http.HandlerFunc{code(409)}, 409, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, url, seen := answers(t, tt.handlers...)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status || seen.Load() != tt.seen {
				t.Errorf("status %d after %d requests, want %d after %d", resp.StatusCode, seen.Load(), tt.status, tt.seen)
			}
		})
	}
}

func TestTransportStopsWithItsContext(t *testing.T) {
	c, url, _ := answers(t, code(429, "Retry-After", "60"))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Do(req); !errors.Is(err, context.DeadlineExceeded) { //nolint:bodyclose // there is none
		t.Errorf("got %v, want the deadline", err)
	}
}

func TestFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow()
		inUse := func(took time.Duration, o outcome) {
			for range int(f.limit) {
				if err := f.enter(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for range f.inFlight {
				f.leave(took, o)
			}
			time.Sleep(time.Second)
		}
		for range 20 {
			inUse(10*time.Millisecond, good)
		}
		grown := f.limit
		if grown <= startInFlight {
			t.Errorf("good answers: limit %.1f, want more than %d", grown, startInFlight)
		}
		inUse(10*time.Millisecond, overloaded)
		if f.limit > grown*0.6 {
			t.Errorf("overload: limit %.1f, want about half of %.1f", f.limit, grown)
		}
		for range 10 {
			inUse(time.Minute, good)
		}
		if f.limit < slowInFlight-1 || f.limit > slowInFlight+1 {
			t.Errorf("slow answers: limit %.1f, want about %d", f.limit, slowInFlight)
		}
		for range 20 {
			inUse(time.Millisecond, overloaded)
		}
		if f.limit != 1 {
			t.Errorf("overload that stays: limit %.1f, want 1", f.limit)
		}
	})
}

func TestFlowGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow()
		f.limit = 1
		if err := f.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := f.enter(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("enter when full: %v, want the deadline", err)
		}
		f.leave(time.Millisecond, good)
		if err := f.enter(t.Context()); err != nil || f.inFlight != 1 {
			t.Errorf("enter after a free place: %v, %d in flight", err, f.inFlight)
		}
	})
}

func TestImmutableFields(t *testing.T) {
	invalid := func(field, message string) error {
		err := apierrors.NewInvalid(schema.GroupKind{Group: "apps", Kind: "Deployment"}, "a", nil)
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeFieldValueInvalid, Field: field, Message: message}}
		return err
	}
	if got := ImmutableFields(invalid("spec.selector", "Invalid value: field is immutable")); len(got) != 1 || got[0] != "spec.selector" {
		t.Errorf("immutable: %v", got)
	}
	if got := ImmutableFields(invalid("spec.replicas", "Invalid value: -1: must be greater than or equal to 0")); len(got) != 0 {
		t.Errorf("merely invalid: %v", got)
	}
	if got := ImmutableFields(apierrors.NewConflict(schema.GroupResource{}, "a", errors.New("field is immutable"))); len(got) != 0 {
		t.Errorf("conflict: %v", got)
	}
}

// TestWarnings: what the API server warns about is logged, once.
func TestWarnings(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Warning", `299 - "v1 Things are deprecated"`)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"apiVersion":"v1","kind":"Thing","metadata":{"name":"a"}}`))
	}))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := strings.NewReplacer("CURRENT", "staging", "https://127.0.0.1:1", s.URL).Replace(twoContexts)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	c, err := Connect(Options{Kubeconfig: path, Log: hclog.New(&hclog.LoggerOptions{Output: &log})})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		if _, err := c.Metadata.Resource(schema.GroupVersionResource{Version: "v1", Resource: "things"}).Get(t.Context(), "a", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "v1 Things are deprecated"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, log.String())
	}
}

func TestExplainMisfits(t *testing.T) {
	const start = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): "
	for message, want := range map[string]string{
		start + ".spec.replicaz: field not declared in schema":                                    "unknown field spec.replicaz",
		start + ".data.port: expected string, got &value.valueUnstructured{Value:8080}":           "data.port: expected string, got 8080",
		start + `.spec.containers[name="a"].x: field not declared in schema`:                      `unknown field spec.containers[name="a"].x`,
		"failed to create typed patch object: of an unknown form":                                 "failed to create typed patch object: of an unknown form",
		"failed to convert new object (shop/a; /v1, Kind=Secret) to proper version: illegal data": "failed to convert new object (shop/a; /v1, Kind=Secret) to proper version: illegal data",
		"Deployment.apps \"web\" is invalid: spec.selector: Required value":                       "Deployment.apps \"web\" is invalid: spec.selector: Required value",
	} {
		err := apierrors.NewInternalError(errors.New(""))
		err.ErrStatus.Message = message
		if got := Explain(err, false); got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
		if Rejected(err) != strings.HasPrefix(message, "failed") {
			t.Errorf("%q: rejected: %t", message, Rejected(err))
		}
	}
}

func TestAdvice(t *testing.T) {
	internal := func(message string) error { return apierrors.NewInternalError(errors.New(message)) }
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"too large for the store":  {internal("etcdserver: request is too large"), "Make the object smaller"},
		"too large for its client": {internal("rpc error: trying to send message larger than max (2 vs. 1)"), "Make the object smaller"},
		"too large for the server": {apierrors.NewRequestEntityTooLargeError("limit is 3145728"), "Make the object smaller"},
		"webhook down":             {internal(`failed calling webhook "w": connection refused`), "webhook that the API server names"},
		"rights":                   {apierrors.NewForbidden(schema.GroupResource{}, "a", errors.New(`User "x" cannot patch`)), "RBAC"},
		"credentials":              {apierrors.NewUnauthorized("Unauthorized"), "credentials"},
		"server fails":             {internal("something broke"), "failed repeatedly"},
		"nothing to say":           {errors.New("connection reset"), ""},
	} {
		got := Advice(tt.err, "shop")
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
		if Passing(tt.err) {
			t.Errorf("%s: counts as passing", name)
		}
	}
}

func TestExplainWithholdsSecrets(t *testing.T) {
	err := apierrors.NewBadRequest(`illegal base64 data at input byte 3: "hunter2"`)
	if got := Explain(err, false); !strings.Contains(got, "hunter2") {
		t.Errorf("for another kind: %q", got)
	}
	if got := Explain(err, true); strings.Contains(got, "hunter2") || !strings.Contains(got, "BadRequest") {
		t.Errorf("for a Secret: %q", got)
	}
}
