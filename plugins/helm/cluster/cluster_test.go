package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server counts what it is asked, and hangs where the path says so.
func server(t *testing.T) (url string, asked *atomic.Int64, base *http.Transport) {
	t.Helper()
	asked, base = &atomic.Int64{}, &http.Transport{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		if strings.HasSuffix(r.URL.Path, "/hang") {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = fmt.Fprintf(w, "answer %d", n)
	}))
	t.Cleanup(func() { base.CloseIdleConnections(); s.Close() })
	return s.URL, asked, base
}

func get(t *testing.T, rt http.RoundTripper, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil) //nolint:noctx // as Helm does
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// TestRemembering: what is about kinds is asked once until it is forgotten,
// what is about objects each time.
func TestRemembering(t *testing.T) {
	t.Parallel()
	url, asked, base := server(t)
	r := &remembering{base: base, answers: newAnswers(freshness)}
	for path, requests := range map[string]int64{
		"/version": 1, "/api": 1, "/api/v1": 1, "/apis": 1, "/apis/apps": 1, "/apis/apps/v1": 1,
		"/api/v1/namespaces": 2, "/apis/apps/v1/deployments": 2, "/openapi/v3": 2,
	} {
		asked.Store(0)
		for range 2 {
			if body, err := get(t, r, url+path); err != nil || !strings.HasPrefix(body, "answer") {
				t.Errorf("%s: %q, %v", path, body, err)
			}
		}
		if asked.Load() != requests {
			t.Errorf("%s: asked %d times, want %d", path, asked.Load(), requests)
		}
	}
	r.answers.forget()
	asked.Store(0)
	if _, err := get(t, r, url+"/version"); err != nil || asked.Load() != 1 {
		t.Errorf("once forgotten: asked %d times, %v", asked.Load(), err)
	}
	generation := r.answers.current()
	r.answers.forget()
	r.answers.put("late", answer{}, generation)
	if _, ok := r.answers.get("late"); ok {
		t.Error("an answer from before is kept")
	}
}

// TestBound: a request without a context of its own ends with the operation,
// also while its answer is read, and with the operation's reason.
func TestBound(t *testing.T) {
	t.Parallel()
	url, asked, base := server(t)
	stop := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	b := &bound{base: base, ctx: ctx}
	req, err := http.NewRequest(http.MethodGet, url+"/hang", nil) //nolint:noctx // as Helm does
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	cancel(stop)
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("the answer came to an end")
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if _, err := get(t, b, url); !errors.Is(err, stop) || asked.Load() != 1 {
		t.Errorf("afterwards: %v, asked %d times", err, asked.Load())
	}
}

func TestConnect(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	good := filepath.Join(t.TempDir(), "config")
	text := `{"apiVersion": "v1", "kind": "Config", "current-context": "staging", "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
		"contexts": [{"name": "staging", "context": {"cluster": "c"}}]}`
	if err := os.WriteFile(good, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		options    Options
		path, want string
	}{
		"works":            {Options{Kubeconfig: good}, "", ""},
		"no file":          {Options{Kubeconfig: "/does/not/exist"}, "kubeconfig", "does not exist"},
		"typing mistake":   {Options{Kubeconfig: good, Context: "stagin"}, "context", `Did you mean "staging"?`},
		"another context":  {Options{Kubeconfig: good, Context: "moon"}, "context", "It has: staging."},
		"not in a cluster": {Options{InCluster: true}, "in_cluster", "not running in a cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Connect(tt.options)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
				return
			}
			if list, ok := diag.From(err); !ok || list[0].Path.String() != tt.path || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a diagnostic at %s with %q", err, tt.path, tt.want)
			}
		})
	}
}
