// Package remote is the client of container registries: the tags of a
// repository, the digest of a tag, and what an image says of itself, with as few
// requests as possible.
//
// It never asks a registry how to authenticate: the first request to a host
// goes out with what is known, and the challenge of a 401 is kept for the host.
// Tokens are kept for most of their life and fetched once however many wait. A
// poll with a warm token is one request. What a registry refuses is told to
// Credentials and tried once more with what they then give.
//
// Every request goes through a limit.Limiter, the ones to token servers and
// redirects among them. Requests that fail for a passing reason are repeated a
// few times as long as their context lives.
//
// Credentials go to the registry and to the token server that it names, over
// TLS with verified certificates only, unless Host.Insecure allows otherwise.
// Redirects to other hosts never carry them. No error and no log line holds
// one. Answers are bounded in size, and manifests and configs are checked
// against their digests.
package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Credentials tell what to authenticate with; credentials.Broker is one.
type Credentials interface {
	Credential(ctx context.Context, req credentials.Request) (credentials.Credential, error)
	// Reject says that the registry refused c; the next Credential may differ.
	Reject(ctx context.Context, req credentials.Request, c credentials.Credential)
}

// Host tells how a registry is reached. The zero Host is right for most: TLS to
// the host's own name, with the system's certificates.
type Host struct {
	// Endpoint is an http or https URL without a slash at its end, to talk to
	// instead of https://HOST: a mirror, or a registry behind another name.
	Endpoint string
	CA       []byte        // PEM certificates to trust beside the system's
	Cert     []byte        // PEM certificate of the client
	Key      secret.Secret // PEM key of Cert
	Insecure bool          // plain HTTP is used, unless Endpoint says https
	// API chooses how tags are listed with times: "generic", "google",
	// "dockerhub", "quay" or "harbor"; empty: by the host's name and answers.
	API string
}

// Options configure a Client.
type Options struct {
	Credentials Credentials            // required
	Hosts       func(host string) Host // asked at every request; nil: the zero Host for all
	Limiter     *limit.Limiter         // nil: one with defaults
	Transport   *http.Transport        // cloned for each kind of Host; nil: much as http.DefaultTransport
	Logger      *slog.Logger           // nil: discards
	UserAgent   string                 // default "sluice"
	// RetryDelay is about how long to wait before the second try of what failed
	// for a passing reason; the third waits four times as long. Default 250 ms.
	RetryDelay time.Duration
}

const (
	maxSchemes   = 1024  // hosts
	maxTokens    = 10000 // repositories, times credentials
	maxDialects  = 10000 // repositories
	maxPageSizes = 1024  // hosts
)

// Client talks to registries. Its methods may be called at the same time from
// several goroutines.
type Client struct {
	opts    Options
	schemes *memory[string, scheme] // by endpoint
	tokens  tokens
	without *memory[repository, struct{}] // repositories whose tags an API does not list
	pages   *memory[string, string]       // by host: the n of tags/list that it takes
	large   chan struct{}                 // holds one for each large answer that is being read

	mu         sync.Mutex
	transports map[[sha256.Size]byte]*http.Transport // by what makes them differ
}

type repository struct{ host, path string }

// New returns a Client. The caller owes it a Close.
func New(o Options) (*Client, error) {
	if o.Credentials == nil {
		return nil, errors.New("a client of registries needs credentials to ask")
	}
	if o.Hosts == nil {
		o.Hosts = func(string) Host { return Host{} }
	}
	if o.Limiter == nil {
		o.Limiter = limit.New(limit.Options{})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.UserAgent == "" {
		o.UserAgent = "sluice"
	}
	if o.RetryDelay <= 0 {
		o.RetryDelay = 250 * time.Millisecond
	}
	if o.Transport == nil {
		o.Transport = defaultTransport()
	}
	return &Client{
		opts:       o,
		schemes:    newMemory[string, scheme](maxSchemes),
		tokens:     tokens{kept: newMemory[tokenKey, secret.Secret](maxTokens), flights: map[tokenKey]*flight{}},
		without:    newMemory[repository, struct{}](maxDialects),
		pages:      newMemory[string, string](maxPageSizes),
		large:      make(chan struct{}, largeBodies),
		transports: map[[sha256.Size]byte]*http.Transport{},
	}, nil
}

// defaultTransport is that of net/http, proxies of the environment included,
// for few hosts with many requests each.
func defaultTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: time.Minute,

		MaxResponseHeaderBytes: 128 << 10,
	}
}

// Close closes the connections that are kept open. No call may be under way.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tr := range c.transports {
		tr.CloseIdleConnections()
	}
}
