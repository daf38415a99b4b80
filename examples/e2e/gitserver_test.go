package e2e

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/sluice-gitops/sluice/examples/gitserver/githttp"
)

// gitServer is a real git server that counts what is pushed to it, and stops
// pushes where a test wants something else to happen first.
type gitServer struct {
	git http.Handler

	mu     sync.Mutex
	pushes map[string]int // requests to receive a pack, by the name of the repository
	held   map[string]*heldPush
}

func newGitServer(root string) (*gitServer, error) {
	git, err := githttp.Handler(root)
	return &gitServer{git: git, pushes: map[string]int{}, held: map[string]*heldPush{}}, err
}

// heldPush is a push that the server has not done yet, or has not answered.
type heldPush struct {
	arrived  chan struct{} // closed when there is one
	released chan bool     // false: drop it
	answer   bool
}

// hold stops the next push to a repository before it is done.
func (g *gitServer) hold(name string) *heldPush { return g.put(name, false) }

// holdAnswer does the next push to a repository, and holds back the answer.
func (g *gitServer) holdAnswer(name string) *heldPush { return g.put(name, true) }

func (g *gitServer) put(name string, answer bool) *heldPush {
	h := &heldPush{arrived: make(chan struct{}), released: make(chan bool, 1), answer: answer}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held[name] = h
	return h
}

// release lets the push go on.
func (h *heldPush) release() { h.released <- true }

// drop lets nothing more come of the push, as if the server had died.
func (h *heldPush) drop() { h.released <- false }

// wait waits until the push is released, which it reports, or dropped, or its
// client is gone.
func (h *heldPush) wait(r *http.Request) bool {
	close(h.arrived)
	select {
	case on := <-h.released:
		return on
	case <-r.Context().Done():
		return false
	}
}

// count returns how many pushes there were to a repository, also such that were
// refused because somebody else was faster.
func (g *gitServer) count(name string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pushes[name]
}

// ServeHTTP implements http.Handler.
func (g *gitServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, push := strings.CutSuffix(r.URL.Path, ".git/git-receive-pack")
	if !push || r.Method != http.MethodPost {
		g.git.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	h := g.next(strings.TrimPrefix(path, "/"))
	if h == nil {
		g.git.ServeHTTP(w, r)
		return
	}
	if !h.answer && !h.wait(r) {
		panic(http.ErrAbortHandler)
	}
	rec := httptest.NewRecorder()
	g.git.ServeHTTP(rec, r)
	if h.answer && !h.wait(r) {
		panic(http.ErrAbortHandler)
	}
	for key, values := range rec.Header() {
		w.Header()[key] = values
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// next counts a push, and returns where it is held.
func (g *gitServer) next(name string) *heldPush {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pushes[name]++
	h := g.held[name]
	delete(g.held, name)
	return h
}
