package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/authfile"
	"github.com/sluice-gitops/sluice/plugins/docker/internal/pattern"
	"github.com/sluice-gitops/sluice/plugins/docker/internal/program"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// leastLife is that of an answer that is not to be cached: it has to arrive.
const leastLife = time.Second

// execProvider asks a program. It keeps nothing.
type execProvider struct{ config ExecConfig }

var _ registry.Provider = (*execProvider)(nil)

func openExec(_ context.Context, c ExecConfig, _ sdk.Env) (*execProvider, error) {
	return &execProvider{c}, nil
}

// Credential implements registry.Provider.
func (p *execProvider) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	env, hide := environment(p.config.Inherit, p.config.Env)
	spec := program.Spec{Command: p.config.Command, Env: env, Hide: hide, Timeout: p.config.Timeout}
	answer := program.Answer{Scope: registry.ScopeRegistry}
	var err error
	if p.config.Protocol == "kubelet" {
		answer, err = spec.Provide(ctx, req.Host, req.Repository)
	} else {
		answer.Credential, err = spec.Get(ctx, server(req.Host))
	}
	if err != nil {
		return registry.Credential{}, err
	}
	life := p.config.Cache
	if answer.Life != nil {
		life = max(*answer.Life, leastLife)
	}
	if answer.IsZero() {
		return registry.Credential{}, fmt.Errorf("%s has nothing for %s: %w", filepath.Base(p.config.Command[0]), req.Host, registry.ErrAnonymous)
	}
	return grant(answer.Credential, answer.Scope, time.Now().Add(life)), nil
}

// grant is the answer to the host.
func grant(c authfile.Credential, scope registry.Scope, expires time.Time) registry.Credential {
	return registry.Credential{
		Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, Scope: scope, ExpiresAt: expires,
	}
}

// server is how docker names a registry to a credential helper.
func server(host string) string {
	if pattern.Host(host) == pattern.DockerHub {
		return "https://index.docker.io/v1/"
	}
	return host
}
