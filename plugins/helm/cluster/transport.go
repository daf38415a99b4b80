package cluster

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// bound sends requests that end with ctx, whatever their own context.
type bound struct {
	base http.RoundTripper
	ctx  context.Context
}

// RoundTrip implements http.RoundTripper.
func (b *bound) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := context.Cause(b.ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	stop := context.AfterFunc(b.ctx, func() { cancel(context.Cause(b.ctx)) })
	end := func() {
		stop()
		cancel(context.Canceled)
	}
	resp, err := b.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
		end()
		return nil, err
	}
	resp.Body = &ending{resp.Body, end}
	return resp, nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (b *bound) WrappedRoundTripper() http.RoundTripper { return b.base }

// ending calls end when a body is closed.
type ending struct {
	io.ReadCloser
	end func()
}

// Close implements io.Closer.
func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close()
}

// remembering answers from memory what was asked about the cluster's kinds a
// short time ago: Helm asks anew in each operation, several times.
type remembering struct {
	base    http.RoundTripper
	prefix  string
	answers *answers
}

// largest is the size up to which an answer is kept.
const largest = 8 << 20

// RoundTrip implements http.RoundTripper.
func (r *remembering) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || !aboutKinds(split(req.URL.Path, r.prefix)) {
		return r.base.RoundTrip(req)
	}
	key := req.Header.Get("Accept") + " " + req.URL.RequestURI()
	if a, ok := r.answers.get(key); ok {
		return a.response(req), nil
	}
	generation := r.answers.current()
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	a, kept, err := keep(resp)
	if !kept || err != nil {
		return resp, err
	}
	r.answers.put(key, a, generation)
	return a.response(req), nil
}

// keep reads an answer that is not too large to be kept. Otherwise the response
// is still to be read, unless there is an error.
func keep(resp *http.Response) (a answer, kept bool, err error) {
	if resp.StatusCode != http.StatusOK || resp.ContentLength > largest {
		return answer{}, false, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, largest+1))
	if err != nil || len(body) > largest {
		resp.Body = &joined{io.MultiReader(bytes.NewReader(body), failing{err}, resp.Body), resp.Body}
		return answer{}, false, nil
	}
	if err := resp.Body.Close(); err != nil {
		return answer{}, false, err
	}
	return answer{header: resp.Header.Clone(), body: body, at: time.Now()}, true, nil
}

// WrappedRoundTripper lets client-go find the transport below.
func (r *remembering) WrappedRoundTripper() http.RoundTripper { return r.base }

type joined struct {
	io.Reader
	io.Closer
}

// failing is a reader that fails with err, or is empty if that is nil.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// split takes apart the path of a request, without an API server's prefix.
func split(path, prefix string) []string {
	return strings.Split(strings.Trim(strings.TrimPrefix(path, prefix), "/"), "/")
}

// aboutKinds tells discovery from objects: /api, /api/v1, /apis, /apis/GROUP,
// /apis/GROUP/VERSION and /version.
func aboutKinds(path []string) bool {
	switch path[0] {
	case "version":
		return len(path) == 1
	case "api":
		return len(path) <= 2
	case "apis":
		return len(path) <= 3
	}
	return false
}

// answers are what the API server said, by question.
type answers struct {
	fresh time.Duration

	mu         sync.Mutex
	kept       map[string]answer
	generation int
}

type answer struct {
	header http.Header
	body   []byte
	at     time.Time
}

func newAnswers(fresh time.Duration) *answers {
	return &answers{fresh: fresh, kept: map[string]answer{}}
}

func (a *answers) get(key string) (answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	got, ok := a.kept[key]
	return got, ok && time.Since(got.at) < a.fresh
}

func (a *answers) current() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.generation
}

// put keeps an answer to a question of a generation, unless answers were
// forgotten meanwhile.
func (a *answers) put(key string, got answer, generation int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.generation == generation {
		a.kept[key] = got
	}
}

func (a *answers) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.kept)
	a.generation++
}

func (a answer) response(req *http.Request) *http.Response {
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)),
		ContentLength: int64(len(a.body)), Request: req,
	}
}

func closeIdle(base http.RoundTripper) { utilnet.CloseIdleConnectionsFor(base) }

// clientcmdConfig is a kubeconfig that says no more than a namespace.
func clientcmdConfig(namespace string) *clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Contexts["release"] = &clientcmdapi.Context{Namespace: namespace}
	config.CurrentContext = "release"
	return config
}
