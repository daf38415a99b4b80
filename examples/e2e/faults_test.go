package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// apiProxy stands between a daemon and the real API server. before sees each
// request and may answer it itself, by returning true.
type apiProxy struct {
	kubeconfig string
	before     atomic.Pointer[func(http.ResponseWriter, *http.Request) bool]
}

// kubeconfigFile is the part of a kubeconfig that the proxy needs.
type kubeconfigFile struct {
	Clusters []struct {
		Cluster struct {
			Server string `json:"server"`
			CA     string `json:"certificate-authority-data"`
		} `json:"cluster"`
	} `json:"clusters"`
	Users []struct {
		User struct {
			Token string `json:"token"`
			Cert  string `json:"client-certificate-data"`
			Key   string `json:"client-key-data"`
		} `json:"user"`
	} `json:"users"`
}

// throughProxy points the world's kubeconfig at a proxy.
func (w *world) throughProxy() *apiProxy {
	w.t.Helper()
	var k kubeconfigFile
	if err := json.Unmarshal([]byte(w.must("kubectl", "config", "view", "--raw", "--minify", "-o", "json")), &k); err != nil {
		w.t.Fatal(err)
	}
	target, err := url.Parse(k.Clusters[0].Cluster.Server)
	if err != nil {
		w.t.Fatal(err)
	}
	p := &apiProxy{kubeconfig: filepath.Join(w.dir, "proxy.kubeconfig")}
	rp := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if token := k.Users[0].User.Token; token != "" {
				r.Out.Header.Set("Authorization", "Bearer "+token)
			}
		},
		Transport:     &http.Transport{TLSClientConfig: k.tls(w.t), ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64},
		FlushInterval: -1,
		ErrorHandler:  func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if before := p.before.Load(); before != nil && (*before)(rw, r) {
			return
		}
		rp.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(srv.CloseClientConnections)
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: p, cluster: {server: %q}}]
users: [{name: p, user: {}}]
contexts: [{name: p, context: {cluster: p, user: p}}]
current-context: p
`, srv.URL)
	if err := os.WriteFile(p.kubeconfig, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// tls trusts the cluster's CA and shows the user's certificate, if any.
func (k kubeconfigFile) tls(t *testing.T) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(unbase64(t, k.Clusters[0].Cluster.CA))
	conf := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if user := k.Users[0].User; user.Cert != "" {
		cert, err := tls.X509KeyPair(unbase64(t, user.Cert), unbase64(t, user.Key))
		if err != nil {
			t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// intercept installs f for the requests that change something.
func (p *apiProxy) intercept(f func(http.ResponseWriter, *http.Request) bool) {
	g := func(w http.ResponseWriter, r *http.Request) bool {
		switch r.Method {
		case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
			return f(w, r)
		}
		return false
	}
	p.before.Store(&g)
}

// TestAPIServerTrouble checks that 429 and 500 answers are retried, and that
// the rejection of one object is that object's failure only.
func TestAPIServerTrouble(t *testing.T) {
	w := newWorld(t)
	proxy := w.throughProxy()
	r := w.repo("app", map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "1"), configMap("", "b", "1"), configMap("", "bad", "1"))})
	config := w.config(oneSync(r, ""))
	w.env = append(w.env, "KUBECONFIG="+proxy.kubeconfig)
	var n atomic.Int64
	proxy.intercept(func(rw http.ResponseWriter, req *http.Request) bool {
		switch i := n.Add(1); {
		case strings.HasSuffix(req.URL.Path, "/configmaps/bad"):
			writeStatus(rw, http.StatusUnprocessableEntity, "Invalid", "ConfigMap \"bad\" is invalid: refused by the test")
		case i%3 == 1:
			rw.Header().Set("Retry-After", "1")
			writeStatus(rw, http.StatusTooManyRequests, "TooManyRequests", "slow down")
		case i%3 == 2 && i < 9:
			writeStatus(rw, http.StatusInternalServerError, "InternalError", "etcd leader changed")
		default:
			return false
		}
		return true
	})
	o := w.run("sluice", "apply", "--config", config)
	if all := o.out + o.errOut; o.code != 1 || !strings.Contains(all, "refused by the test") || !strings.Contains(all, "app.yaml") {
		t.Errorf("exit %d, want 1 with the rejection and its place\n%s", o.code, all)
	}
	if !w.exists(w.prefix, "configmap/a") || !w.exists(w.prefix, "configmap/b") {
		t.Errorf("one rejected object held others back\n%s%s", o.out, o.errOut)
	}
}

// TestAPIServerRestarts kills the API server under a running daemon: what is
// committed while it is away is applied once it is back.
func TestAPIServerRestarts(t *testing.T) {
	w := newWorld(t)
	cluster := w.ownCluster()
	r := w.repo("app", map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "1"))})
	config := w.config(oneSync(r, ""))
	d := w.daemon(config)
	w.must("sluice", "sync", "--config", config, w.prefix, "--wait")

	w.mustAsUser("devcluster", "stop", "--kill", cluster, "kube-apiserver")
	commit := r.commit(map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "2"))})
	w.eventually(time.Minute, "the daemon notices", func() bool {
		return strings.Contains(d.logText(), "the API server does not answer")
	})
	w.mustAsUser("devcluster", "start", cluster, "kube-apiserver")
	w.eventually(2*time.Minute, "the commit is applied once the API server is back", func() bool { return w.ready(config, commit) })
	if got := w.must("kubectl", "-n", w.prefix, "get", "configmap", "a", "-o", "jsonpath={.data.key}"); got != "2" {
		t.Errorf("the sync is ready with %s, but the object has %q", commit, got)
	}
	d.alive()
}

func writeStatus(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
	})
}
