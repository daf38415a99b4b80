package program

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/authfile"
	"github.com/sluice-gitops/sluice/plugins/docker/internal/pattern"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// The version of the protocol, and its kinds.
const (
	apiVersion   = "credentialprovider.kubelet.k8s.io/v1"
	requestKind  = "CredentialProviderRequest"
	responseKind = "CredentialProviderResponse"
)

type kubeletRequest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Image      string `json:"image"`
}

type kubeletResponse struct {
	APIVersion    string                `json:"apiVersion"`
	Kind          string                `json:"kind"`
	CacheKeyType  string                `json:"cacheKeyType"`
	CacheDuration *string               `json:"cacheDuration"`
	Auth          map[string]authConfig `json:"auth"`
}

type authConfig struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Answer is what a kubelet credential provider has said of an image.
type Answer struct {
	authfile.Credential // zero: it has none
	Scope               registry.Scope
	// Life is how long the answer may be used; nil if the provider leaves it
	// to who asks.
	Life *time.Duration
}

// Provide asks a kubelet credential provider about a repository of host.
func (s Spec) Provide(ctx context.Context, host, repository string) (Answer, error) {
	request, err := json.Marshal(kubeletRequest{apiVersion, requestKind, imageName(host, repository)})
	if err != nil {
		return Answer{}, err
	}
	out, err := s.run(ctx, string(request))
	if err != nil {
		return Answer{}, err
	}
	var r kubeletResponse
	if json.Unmarshal([]byte(out), &r) != nil { // whose error may repeat the secret
		return Answer{}, fmt.Errorf("%s: its answer is not the JSON of a kubelet credential provider", s.Command[0])
	}
	answer, err := r.answer(host, repository)
	if err != nil {
		return Answer{}, fmt.Errorf("%s: %w", s.Command[0], err)
	}
	return answer, nil
}

// imageName is how the kubelet writes an image: without a tag, and with the
// name of Docker Hub that people use.
func imageName(host, repository string) string {
	if pattern.Host(host) == pattern.DockerHub {
		host = "docker.io"
	}
	return host + "/" + repository
}

func (r kubeletResponse) answer(host, repository string) (Answer, error) {
	if r.APIVersion != apiVersion || r.Kind != responseKind {
		return Answer{}, fmt.Errorf("its answer is a %.80q of %.80q, not a %s of %s", r.Kind, r.APIVersion, responseKind, apiVersion)
	}
	scope, ok := map[string]registry.Scope{
		"Image": registry.ScopeRepository, "Registry": registry.ScopeRegistry, "Global": registry.ScopeGlobal,
	}[r.CacheKeyType]
	if !ok {
		return Answer{}, fmt.Errorf("cacheKeyType %.80q is none of Image, Registry and Global", r.CacheKeyType)
	}
	a := Answer{Scope: r.narrow(scope, host)}
	if r.CacheDuration != nil {
		life, err := time.ParseDuration(*r.CacheDuration)
		if err != nil || life < 0 {
			return Answer{}, fmt.Errorf("cacheDuration %.80q is not a duration", *r.CacheDuration)
		}
		a.Life = &life
	}
	a.Credential = r.lookup(host, repository)
	return a, nil
}

// narrow limits the scope to what one credential of the answer is for. The
// kubelet keeps the whole answer for the scope and looks up each image in it;
// here the credential that was found is kept. So one for a host is not used
// for another host, nor one for a path for what is not below it.
func (r kubeletResponse) narrow(scope registry.Scope, host string) registry.Scope {
	if scope == registry.ScopeGlobal {
		scope = registry.ScopeRegistry
	}
	for key := range r.Auth {
		if p, err := pattern.Parse(key); err == nil && p.MatchHost(host) && p.HasPath() {
			return registry.ScopeRepository
		}
	}
	return scope
}

// lookup finds the credential with the most specific key. A key that is none
// is passed over, as by the kubelet.
func (r kubeletResponse) lookup(host, repository string) authfile.Credential {
	var best *pattern.Pattern
	var found authfile.Credential
	for _, key := range slices.Sorted(maps.Keys(r.Auth)) {
		p, err := pattern.Parse(key)
		if err != nil || !p.MatchPrefix(host, repository) || (best != nil && pattern.Compare(*best, p) <= 0) {
			continue
		}
		best = &p
		found = authfile.Credential{Username: r.Auth[key].Username, Password: secret.New(r.Auth[key].Password)}
	}
	return found
}
