// Command sluice-plugin-acr offers the registry credential "acr": refresh tokens
// for Azure Container Registry, and lists of tags with their push times. See
// README.md for its configuration and behaviour.
//
// config.go and hosts.go say what is asked for, identity.go and managed.go who
// Sluice is for Azure, exchange.go and tags.go what the registry makes of it,
// and answer.go what a refusal means.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// version is set by the linker.
var version = "0.0.0-dev"

// plugin opens providers. The zero value is ready.
type plugin struct {
	// wrap changes the transports of instances. Nil leaves them; tests set it,
	// to lead the fixed address of the metadata service to a server of theirs.
	wrap func(http.RoundTripper) http.RoundTripper
}

func (p *plugin) describe() sdk.Plugin {
	return sdk.Plugin{
		Name:    "acr",
		Version: version,
		Kinds: []sdk.Kind{registry.New("acr", p.open,
			sdk.Doc("Tokens for Azure Container Registry: from managed identity, workload identity or a service principal."))},
	}
}

// open makes a provider. It does not touch the network: an identity service
// that comes up late must not keep a configuration from loading.
func (p *plugin) open(_ context.Context, c Config, env sdk.Env) (*provider, error) {
	roots, err := authorities(c.CAFile)
	if err != nil {
		return nil, err
	}
	remote, local := newTransport(roots), newTransport(roots)
	local.Proxy = nil // the metadata service is on this machine
	a := &provider{
		config:  c,
		remote:  remote,
		local:   local,
		own:     []*http.Transport{remote, local},
		log:     env.Log,
		refresh: map[string]refreshToken{},
		refused: map[string]bool{},
	}
	if p.wrap != nil {
		a.remote, a.local = p.wrap(remote), p.wrap(local)
	}
	a.imds = &imds{transport: a.local, log: env.Log}
	return a, nil
}

// provider answers with refresh tokens of registries.
type provider struct {
	config Config
	remote http.RoundTripper // to Azure
	local  http.RoundTripper // to the metadata service and its likes
	own    []*http.Transport // to be closed
	imds   *imds
	log    hclog.Logger

	mu      sync.Mutex
	refresh map[string]refreshToken // by host: for Tags
	refused map[string]bool         // hosts that list no tags for us; logged once
}

var (
	_ registry.Provider = (*provider)(nil)
	_ registry.Lister   = (*provider)(nil)
)

// username is what goes with a refresh token where a user name is asked for.
const username = "00000000-0000-0000-0000-000000000000"

// Credential exchanges Azure's access token for a refresh token of the
// registry. Each answer is a new one: the host keeps it until it expires.
func (p *provider) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	if _, ok := p.config.cloudOf(req.Host); !ok {
		return registry.Credential{}, fmt.Errorf("%s is none of Azure's registries, nor one of hosts: %w", req.Host, registry.ErrAnonymous)
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	t, err := p.newRefreshToken(ctx, req.Host)
	if err != nil {
		return registry.Credential{}, err
	}
	return registry.Credential{
		Username:      username,
		IdentityToken: secret.New(t.value),
		Scope:         registry.ScopeRegistry,
		ExpiresAt:     t.expires,
	}, nil
}

// Close gives up idle connections.
func (p *provider) Close() error {
	for _, t := range p.own {
		t.CloseIdleConnections()
	}
	return nil
}

// authorities are the system's and those in file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, diag.Errorf(diag.Attr("ca_file"), "%s", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("authorities of the system: %w", err)
	}
	if !pool.AppendCertsFromPEM(content) {
		return nil, diag.Errorf(diag.Attr("ca_file"), "%s holds no certificate in PEM format", file)
	}
	return pool, nil
}

func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   2,
		ForceAttemptHTTP2:     true,
	}
}

// httpClient sends requests through t. It follows no redirects: they would carry a
// token along.
func httpClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		return errors.New("redirect to " + req.URL.Host + ": not followed")
	}}
}
