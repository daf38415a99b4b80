// Package azure fakes what Azure's authentication library and registries
// consist of: Microsoft Entra ID, the instance metadata service and the
// identity endpoint of App Service, an OIDC issuer whose tokens an application
// trusts, and on the registry itself the exchange of tokens and the listing
// API.
//
// It checks signatures, audiences, times, secrets and headers, and what it
// issues opens the registry until it expires.
package azure

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/signed"
)

// Who is known.
const (
	Tenant     = "11111111-1111-4111-8111-111111111111"
	AppClient  = "22222222-2222-4222-8222-222222222222" // the application: secret, certificate, federated credential
	UserClient = "33333333-3333-4333-8333-333333333333" // the user-assigned managed identity
	Machine    = "44444444-4444-4444-8444-444444444444" // the system-assigned one
)

// Knobs are what PUT /clouds changes.
type Knobs struct {
	// Life of the tokens of the registry; by default what it was started with.
	Life string `json:"life,omitempty"`
	// NoIdentity takes the system-assigned identity from the machine.
	NoIdentity bool `json:"no_identity,omitempty"`
	// NoRole lists clients without a role on the registry.
	NoRole []string `json:"no_role,omitempty"`
	// NoMetadata lets the registry refuse the right metadata_read.
	NoMetadata bool `json:"no_metadata,omitempty"`
	// TokenLife and TokenAudience rewrite the file with the federated token.
	TokenLife     string `json:"token_life,omitempty"`
	TokenAudience string `json:"token_audience,omitempty"`
}

// Azure is the fake. Methods may be called concurrently.
type Azure struct {
	options     cloud.Options
	entra       *signed.Key // signs access tokens
	registry    *signed.Key // signs the registry's tokens
	issuer      *signed.Key // signs federated tokens
	certificate *certificate
	secret      string // of the application
	header      string // of App Service
	base        string // URL of Entra ID; set by Start

	mu    sync.Mutex
	knobs Knobs
	life  time.Duration
}

// accessLife is that of access tokens of Entra ID. It is shorter than the real
// ones', because the library keeps a managed identity's in a cache of the
// process for all but the last 5 minutes: what follows must not get them from
// there.
const accessLife = 4 * time.Minute

// New makes the fake.
func New(o cloud.Options) (cloud.Cloud, error) {
	a := &Azure{options: o, life: o.Life, secret: "devregistry~" + rand.Text(), header: rand.Text()}
	for name, k := range map[string]**signed.Key{"entra": &a.entra, "registry": &a.registry, "issuer": &a.issuer} {
		var err error
		if *k, err = signed.NewKey(name); err != nil {
			return nil, err
		}
	}
	var err error
	a.certificate, err = newCertificate()
	return a, err
}

// Endpoints implements cloud.Cloud.
func (a *Azure) Endpoints() map[string]cloud.Endpoint {
	entra := http.NewServeMux()
	entra.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", a.serveConfiguration)
	entra.HandleFunc("POST /{tenant}/oauth2/v2.0/token", a.serveToken)
	machine := http.NewServeMux()
	machine.HandleFunc("GET /metadata/identity/oauth2/token", a.serveMetadata)
	machine.HandleFunc("GET /msi/token", a.serveAppService)
	return map[string]cloud.Endpoint{"azure": {Handler: entra, TLS: true}, "azure-imds": {Handler: machine}}
}

// Routes implements cloud.Cloud.
func (a *Azure) Routes() map[string]http.Handler {
	return map[string]http.Handler{
		"POST /oauth2/exchange": http.HandlerFunc(a.serveExchange),
		"POST /oauth2/token":    http.HandlerFunc(a.serveRegistryToken),
		"GET /oauth2/token":     http.HandlerFunc(a.serveRegistryToken),
		"GET /acr/v1/":          http.HandlerFunc(a.serveTags),
	}
}

// Start implements cloud.Cloud. It writes federated-token and certificate.pem
// to the directory DEVREGISTRY_AZURE_DIR of the environment. The identity
// that the environment leads to is the machine's, by way of App Service: the
// address of the metadata service is fixed.
func (a *Azure) Start(urls map[string]string) (map[string]string, error) {
	a.base = urls["azure"]
	if err := os.WriteFile(filepath.Join(a.options.Dir, "certificate.pem"), a.certificate.pem, 0o600); err != nil {
		return nil, err
	}
	if err := a.writeToken(time.Hour, federatedAudience); err != nil {
		return nil, err
	}
	return map[string]string{
		"AZURE_AUTHORITY_HOST":     a.base + "/",
		"IDENTITY_ENDPOINT":        urls["azure-imds"] + "/msi/token",
		"IDENTITY_HEADER":          a.header,
		"DEVREGISTRY_AZURE_DIR":    a.options.Dir,
		"DEVREGISTRY_AZURE_TENANT": Tenant,
		"DEVREGISTRY_AZURE_CLIENT": AppClient,
		"DEVREGISTRY_AZURE_USER":   UserClient,
		"DEVREGISTRY_AZURE_SECRET": a.secret,
	}, nil
}

// Challenge implements cloud.Cloud.
func (a *Azure) Challenge(repository string) string {
	c := fmt.Sprintf("Bearer realm=%q,service=%q", a.options.URL+"/oauth2/token", a.options.Registry)
	if repository != "" {
		c += fmt.Sprintf(",scope=%q", "repository:"+repository+":pull")
	}
	return c
}

// Configure implements cloud.Cloud.
func (a *Azure) Configure(text json.RawMessage) error {
	var k Knobs
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&k); err != nil {
		return err
	}
	life, err := duration(k.Life, a.options.Life)
	if err != nil {
		return err
	}
	tokenLife, err := duration(k.TokenLife, time.Hour)
	if err != nil {
		return err
	}
	audience := k.TokenAudience
	if audience == "" {
		audience = federatedAudience
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.knobs, a.life = k, life
	return a.writeToken(tokenLife, audience)
}

func (a *Azure) settings() (Knobs, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.knobs, a.life
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

// writeToken replaces the token file as a kubelet does, in one step.
func (a *Azure) writeToken(life time.Duration, audience string) error {
	token, err := a.issuer.Sign(signed.New(a.base+"/issuer", federatedSubject, audience, life))
	if err != nil {
		return err
	}
	file := filepath.Join(a.options.Dir, "federated-token")
	if err := os.WriteFile(file+".next", []byte(token), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".next", file)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // an error here is a client that has gone
}

func answerStatus(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // as above
}
