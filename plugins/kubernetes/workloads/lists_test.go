package workloads

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// crowd serves many Deployments and nothing else, page by page; its first
// continuation has expired as often as expired says. It does not serve DaemonSets.
type crowd struct {
	n       int
	expired int64
	pages   atomic.Int64
	refused atomic.Bool // StatefulSets
}

func (c *crowd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	q := r.URL.Query()
	from, _ := strconv.Atoi(q.Get("continue"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	switch _, resource, _ := strings.Cut(r.URL.Path, "/v1/"); {
	case resource == "daemonsets":
		refuse(w, http.StatusNotFound, "NotFound")
	case resource == "statefulsets" && c.refused.Load():
		refuse(w, http.StatusForbidden, "Forbidden")
	case resource != "deployments":
		fmt.Fprint(w, `{"items":null}`)
	case from == limit && c.pages.Add(1) <= c.expired:
		refuse(w, http.StatusGone, "Expired")
	default:
		to, token := min(from+limit, c.n), ""
		if to < c.n {
			token = strconv.Itoa(to)
		}
		fmt.Fprintf(w, `{"metadata":{"continue":%q},"items":[`, token)
		for i := from; i < to; i++ {
			fmt.Fprintf(w, `{"metadata":{"namespace":"n%d","name":"d%05d"},"status":{"conditions":null}}`, i%7, i)
			if i < to-1 {
				fmt.Fprint(w, ",")
			}
		}
		fmt.Fprint(w, "]}")
	}
}

func refuse(w http.ResponseWriter, code int, reason string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"injected","reason":%q,"code":%d}`, reason, code)
}

func lister(t testing.TB, c http.Handler, log hclog.Logger) *Lister {
	t.Helper()
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: %q}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n", s.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return New(Options{
		Client: client, Log: log,
		ID:     func(owner string) string { return owner },
		Owners: func(context.Context) (map[string]string, error) { return nil, nil },
	})
}

// TestPages reads several pages, and starts over when a continuation expires.
func TestPages(t *testing.T) {
	for _, tt := range []struct {
		expired int64
		fails   bool
	}{{0, false}, {mostTries - 1, false}, {mostTries, true}} {
		l := lister(t, &crowd{n: 1777, expired: tt.expired}, nil)
		seen := map[string]bool{}
		last := ""
		err := l.List(t.Context(), applier.WorkloadFilter{}, func(w applier.Workload) {
			key := w.Ref.Namespace + "/" + w.Ref.Name
			if seen[key] || key < last {
				t.Errorf("%s twice, or out of order", key)
			}
			seen[key], last = true, key
		})
		if tt.fails != (err != nil) || !tt.fails && len(seen) != 1777 || tt.fails && len(seen) > 0 {
			t.Errorf("expired %d times: %d workloads, %v", tt.expired, len(seen), err)
		}
	}
}

// TestSaysOnceWhatIsRefused: a listing that runs every minute does not fill the
// log.
func TestSaysOnceWhatIsRefused(t *testing.T) {
	var log bytes.Buffer
	c := &crowd{n: 3}
	l := lister(t, c, hclog.New(&hclog.LoggerOptions{Output: &log}))
	for _, refused := range []bool{true, true, false, false} {
		c.refused.Store(refused)
		n := 0
		if err := l.List(t.Context(), applier.WorkloadFilter{}, func(applier.Workload) { n++ }); err != nil || n != 3 {
			t.Errorf("%d workloads, %v", n, err)
		}
	}
	for _, text := range []string{"[WARN]  what runs is not all told: the applier cannot list statefulsets in all namespaces", "[INFO]  the applier can list statefulsets in all namespaces again"} {
		if n := strings.Count(log.String(), text); n != 1 {
			t.Errorf("%d times %q in:\n%s", n, text, log.String())
		}
	}
}
