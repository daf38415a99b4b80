// Command sluice-plugin-gcr offers the registry credential "gcr": access tokens
// for Google's registries, Container Registry (gcr.io) and Artifact Registry
// (docker.pkg.dev). See README.md for its configuration and behaviour.
//
// config.go and hosts.go say what is asked for, source.go, metadata.go and
// impersonate.go where tokens come from, and answer.go what a refusal means.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// version is set by the linker.
var version = "0.0.0-dev"

// plugin opens providers. The zero value is ready.
type plugin struct {
	// transport carries all requests. Nil is a transport of the instance's own;
	// tests set it, to lead Google's fixed addresses to a server of theirs.
	transport http.RoundTripper
}

func (p *plugin) describe() sdk.Plugin {
	return sdk.Plugin{
		Name:    "gcr",
		Version: version,
		Kinds: []sdk.Kind{registry.New("gcr", p.open,
			sdk.Doc("Access tokens for gcr.io and Artifact Registry: from the metadata server, workload identity, a key file, or by impersonation."))},
	}
}

// open makes a provider. It touches neither files nor the network: a metadata
// server that comes up late must not keep a configuration from loading.
func (p *plugin) open(_ context.Context, c Config, env sdk.Env) (*provider, error) {
	transport, local := p.transport, p.transport
	var own []*http.Transport
	if transport == nil {
		own = []*http.Transport{newTransport(), newTransport()}
		own[1].Proxy = nil // the metadata server is on this machine
		transport, local = own[0], own[1]
	}
	return &provider{
		config:    c,
		transport: transport,
		own:       own,
		metadata:  &metadataServer{transport: local, log: env.Log},
		log:       env.Log,
	}, nil
}

// provider answers with access tokens. Each answer is a new one: the host
// keeps it, for all hosts together, until it expires.
type provider struct {
	config    Config
	transport http.RoundTripper
	own       []*http.Transport // to be closed
	metadata  *metadataServer
	log       hclog.Logger
}

var _ registry.Provider = (*provider)(nil)

// username is what Google's registries expect with an access token.
const username = "oauth2accesstoken"

// Credential gets an access token, which is good for every repository that its
// account may read.
func (p *provider) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	if !p.config.answersFor(req.Host) {
		return registry.Credential{}, fmt.Errorf("%s is none of Google's registries, nor one of hosts: %w", req.Host, registry.ErrAnonymous)
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	t, err := p.token(ctx)
	if err != nil {
		return registry.Credential{}, err
	}
	p.log.Debug("access token", "from", t.source, "expires", t.expires)
	return registry.Credential{
		Username:  username,
		Password:  secret.New(t.value),
		Scope:     registry.ScopeGlobal,
		ExpiresAt: t.expires,
	}, nil
}

// Close gives up idle connections.
func (p *provider) Close() error {
	for _, t := range p.own {
		t.CloseIdleConnections()
	}
	return nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: 30 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   2,
		ForceAttemptHTTP2:     true,
	}
}
