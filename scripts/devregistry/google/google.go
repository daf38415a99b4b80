// Package google fakes what Google's authentication libraries talk to: the
// metadata server, the OAuth token endpoint, the Security Token Service and the
// IAM Service Account Credentials API; and an OIDC issuer of another company
// whose tokens the Security Token Service trusts.
//
// It checks signatures, audiences, times and headers, and what it issues opens
// the registry until it expires.
package google

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/signed"
)

// The accounts. Each may read every repository.
const (
	MachineAccount = "machine@devregistry.iam.gserviceaccount.com" // of the metadata server
	KeyAccount     = "key@devregistry.iam.gserviceaccount.com"     // of service-account.json
	UserAccount    = "user@example.com"                            // of authorized-user.json
	ReaderAccount  = "reader@devregistry.iam.gserviceaccount.com"  // may be impersonated by all others
	LockedAccount  = "locked@devregistry.iam.gserviceaccount.com"  // may be impersonated by nobody
)

// user is the name that goes with an access token.
const user = "oauth2accesstoken"

// Knobs are what PUT /clouds changes.
type Knobs struct {
	// Life of access tokens; by default what the registry was started with.
	Life string `json:"life,omitempty"`
	// NoAccount makes the metadata server one of a machine without a service
	// account.
	NoAccount bool `json:"no_account,omitempty"`
	// SubjectLife rewrites the file with the token of the OIDC issuer: the new
	// one is valid for so long.
	SubjectLife string `json:"subject_life,omitempty"`
}

// Google is the fake. Methods may be called concurrently.
type Google struct {
	options cloud.Options
	account *signed.Key // of KeyAccount
	issuer  *signed.Key // of the OIDC issuer
	refresh string
	base    string // URL; set by Start

	mu      sync.Mutex
	life    time.Duration
	absent  bool // there is no service account on the machine
	tokens  map[string]grant
	machine struct { // what the metadata server hands out until half of it is over
		token string
		grant
	}
}

// rounding is how much longer than it should an access token opens the
// registry, because the client is told whole seconds.
const rounding = time.Second

// grant is what an access token stands for.
type grant struct {
	account string
	issued  time.Time
	until   time.Time
}

// New makes the fake.
func New(o cloud.Options) (cloud.Cloud, error) {
	g := &Google{options: o, life: o.Life, tokens: map[string]grant{}, refresh: "1//" + rand.Text()}
	var err error
	if g.account, err = signed.NewRSAKey("account"); err != nil {
		return nil, err
	}
	if g.issuer, err = signed.NewKey("issuer"); err != nil {
		return nil, err
	}
	return g, nil
}

// Endpoints implements cloud.Cloud.
func (g *Google) Endpoints() map[string]cloud.Endpoint {
	mux := http.NewServeMux()
	mux.Handle("GET /computeMetadata/v1/", flavoured(http.HandlerFunc(g.serveMetadata)))
	mux.Handle("GET /{$}", flavoured(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("computeMetadata/\n")) // an error is a client that has gone
	})))
	mux.HandleFunc("POST /token", g.serveToken)
	mux.HandleFunc("POST /v1/token", g.serveExchange)
	mux.HandleFunc("POST /v1/projects/-/serviceAccounts/{call}", g.serveGenerate)
	mux.HandleFunc("GET /tokeninfo", g.serveInfo)
	mux.HandleFunc("GET /issuer/token", g.serveSubject)
	return map[string]cloud.Endpoint{"google": {Handler: mux}}
}

// Routes implements cloud.Cloud: Google's registries have none.
func (g *Google) Routes() map[string]http.Handler { return nil }

// Start implements cloud.Cloud. It writes the credential files; their
// directory is DEVREGISTRY_GOOGLE_DIR of the environment.
func (g *Google) Start(urls map[string]string) (map[string]string, error) {
	g.base = urls["google"]
	u, err := url.Parse(g.base)
	if err != nil {
		return nil, err
	}
	if err := g.writeFiles(); err != nil {
		return nil, err
	}
	return map[string]string{
		"GCE_METADATA_HOST":      u.Host,
		"DEVREGISTRY_GOOGLE_DIR": g.options.Dir,
	}, nil
}

// Challenge implements cloud.Cloud.
func (g *Google) Challenge(string) string { return "" }

// Configure implements cloud.Cloud.
func (g *Google) Configure(text json.RawMessage) error {
	var k Knobs
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return err
	}
	life, err := duration(k.Life, g.options.Life)
	if err != nil {
		return err
	}
	subject, err := duration(k.SubjectLife, time.Hour)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.life, g.absent = life, k.NoAccount
	g.machine.token = ""
	return g.writeSubject(subject)
}

func duration(text string, initial time.Duration) (time.Duration, error) {
	if text == "" {
		return initial, nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%s is not longer than nothing", d)
	}
	return d, err
}

// issue makes an access token for account.
func (g *Google) issue(account string) (string, grant) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.issueLocked(account)
}

func (g *Google) issueLocked(account string) (string, grant) {
	now := time.Now()
	for t, old := range g.tokens {
		if now.After(old.until) {
			delete(g.tokens, t)
		}
	}
	token, gr := "ya29.c."+rand.Text()+rand.Text(), grant{account, now, now.Add(g.life)}
	g.tokens[token] = gr
	g.options.Gate.Issue(user, token, g.life+rounding, nil)
	g.options.Log.Debug("issued", slog.String("account", account))
	return token, gr
}

// accountOf tells whose valid access token it is.
func (g *Google) accountOf(token string) (account string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gr, ok := g.tokens[token]
	return gr.account, ok && time.Now().Before(gr.until)
}

// serveInfo tells whose token it is, as Google's own endpoint of the name.
func (g *Google) serveInfo(w http.ResponseWriter, r *http.Request) {
	account, ok := g.accountOf(r.FormValue("access_token"))
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_token", "Invalid Value")
		return
	}
	answer(w, map[string]string{"email": account})
}

// tokenAnswer is the form in which all but the IAM API hand out tokens. Times
// are whole seconds, rounded up.
func tokenAnswer(token string, gr grant) map[string]any {
	return map[string]any{
		"access_token": token,
		"expires_in":   int((time.Until(gr.until) + time.Second - 1) / time.Second),
		"token_type":   "Bearer",
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an error here is a client that has gone
}

// refuse answers in the form of OAuth.
func refuse(w http.ResponseWriter, status int, code, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": fmt.Sprintf(format, args...)})
}
