// Package credentials is the broker of registry credentials: it knows what to
// authenticate with for an image, on whose behalf, and until when.
//
// A Broker asks a chain of providers in order: the pull secrets of the cluster
// that the consumer runs in, the declared registry_credential blocks whose
// Match fits, what is built in, and then nobody: anonymous. The first answer
// wins. A provider that fails, or whose credential the registry refuses, does
// not hide the ones after it; but if none of them answers, the result is that
// error and not anonymous.
//
// Answers are cached by the scope that the provider gives them, and by the
// consumer for providers that answer for consumers (registry.ForConsumers):
// nothing that was found for one consumer is ever used for another. Others get
// no consumer, and their answers serve every namespace. Concurrent questions
// with one answer are asked once; a caller that gives up does not fail the
// others.
//
// A credential that is used is renewed in the background at 50 to 80 percent of
// its life; a failed renewal is tried again with back-off, and the old value is
// used until it really expires. Lives are computed once, on receipt, and kept
// on the monotonic clock: setting the clock neither shortens nor stretches them.
//
// Instances of plugins are opened by the first question and closed when they
// have had nothing to do for a while. Everything is safe for concurrent use.
// No error, log line, notice or status holds a password or token.
package credentials

import (
	"context"
	"log/slog"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Request names what will be accessed, and for whom.
type Request struct {
	Host       string // registry host with port; the spellings of Docker Hub are one host, see CanonicalHost
	Repository string // path within the registry: "library/nginx"
	Consumer   Consumer
}

// Consumer is the workload that runs the image; zero is the daemon itself.
type Consumer struct {
	Applier        string   `json:"applier,omitempty"` // address of the cluster it runs in: applier.kubernetes.prod
	Namespace      string   `json:"namespace,omitempty"`
	ServiceAccount string   `json:"service_account,omitempty"`
	PullSecrets    []string `json:"pull_secrets,omitempty"` // those of the pod first
}

// Credential is what to authenticate with. The zero Credential is anonymous.
type Credential struct {
	// ID tells which credential it is, never what it is: the same ID sees the
	// same tags. It outlives rotation and restarts. Empty is anonymous.
	ID            string
	Provider      string // address of the provider, empty for anonymous
	Username      string
	Password      secret.Secret
	IdentityToken secret.Secret // OAuth2 refresh token of the docker token protocol
	ExpiresAt     time.Time     // zero: it does not expire

	grant *grant // what Reject needs to know
}

// Origin tells how a provider came into the chain.
type Origin string

const (
	PullSecrets Origin = "pull secrets" // of a cluster; one for each Applier
	Declared    Origin = "declared"     // a registry_credential block
	BuiltIn     Origin = "built-in"     // detection of the cloud the daemon runs in
)

// Provider is one way to get credentials.
type Provider struct {
	// Address names it to people: "registry_credential.ecr.prod", "pull
	// secrets of applier.kubernetes.prod", "built-in ecr". Unique in a chain.
	Address string
	Origin  Origin
	// Match are patterns of the images that it is asked for, see CheckMatch.
	// Without any it is asked for all.
	Match []string
	// Applier limits it to consumers in this cluster; empty: any consumer,
	// and the daemon itself.
	Applier string
	// Key changes when an instance opened before must not be used any more,
	// because its configuration or its plugin changed. With the same Address
	// and Key, the instance and the answers outlive Configure.
	Key string
	// Open opens the plugin's instance. It is called when the provider is
	// first asked, and again after the instance was closed.
	Open func(ctx context.Context) (Handle, error)
}

// Handle is an open instance of a provider. The broker closes it.
type Handle interface {
	registry.Provider
	registry.Lister                  // called only if Has(registry.CanListTags)
	Has(capability string) bool      // registry.CanListTags, registry.ForConsumers
	Close(ctx context.Context) error // no calls are under way
}

// Options configures a Broker. The zero value is useful.
type Options struct {
	Logger *slog.Logger // default discards
	// Notify is told what people should know; it must return soon. It may be
	// called from several goroutines.
	Notify func(Notice)
	Idle   time.Duration    // an instance without work for this long is closed; default 10 min
	Now    func() time.Time // wall clock that expiry times are compared with on receipt; default time.Now
	Rand   func() float64   // numbers in [0,1) for jitter; default math/rand/v2
}

// Notice is something that people should know of a provider.
type Notice struct {
	Provider string // address
	Reason   NoticeReason
	Message  string // a sentence, without secrets
	Warning  bool   // a person should look at it
}

// NoticeReason is a word for programs.
type NoticeReason string

const (
	Failing   NoticeReason = "credential-failing"   // it failed several times in a row
	Recovered NoticeReason = "credential-recovered" // after Failing or Refused: it works again
	Refused   NoticeReason = "credential-refused"   // the registry refuses what it gives
	Skewed    NoticeReason = "credential-skewed"    // it gives what has expired already, by this machine's clock
)
