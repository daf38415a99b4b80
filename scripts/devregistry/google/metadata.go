package google

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// flavoured asks for the header that keeps a browser or a proxy from talking
// to the metadata server, and sends it.
func flavoured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		if r.Header.Get("Metadata-Flavor") != "Google" || r.Header.Get("X-Forwarded-For") != "" {
			http.Error(w, "Missing Metadata-Flavor:Google header.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serveMetadata knows the paths that authentication needs.
func (g *Google) serveMetadata(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/computeMetadata/v1/")
	switch path {
	case "project/project-id":
		_, _ = fmt.Fprint(w, "devregistry")
		return
	case "universe/universe-domain":
		_, _ = fmt.Fprint(w, "googleapis.com")
		return
	}
	account, what, ok := strings.Cut(strings.TrimPrefix(path, "instance/service-accounts/"), "/")
	g.mu.Lock()
	absent := g.absent
	g.mu.Unlock()
	if !ok || absent || account != "default" && account != MachineAccount {
		http.NotFound(w, r)
		return
	}
	switch what {
	case "email":
		_, _ = fmt.Fprint(w, MachineAccount)
	case "scopes":
		_, _ = fmt.Fprintln(w, "https://www.googleapis.com/auth/cloud-platform")
	case "token":
		answer(w, g.machineToken())
	default:
		http.NotFound(w, r)
	}
}

// machineToken returns the token that the server keeps. As the real one it
// hands out the same for most of its life.
func (g *Google) machineToken() map[string]any {
	g.mu.Lock()
	defer g.mu.Unlock()
	m := &g.machine
	if half := m.issued.Add(m.until.Sub(m.issued) / 2); m.token == "" || time.Now().After(half) {
		m.token, m.grant = g.issueLocked(MachineAccount)
	}
	return tokenAnswer(m.token, m.grant)
}
