package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/smithy-go/middleware"
	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// provider answers for ECR registries. It implements registry.Provider and
// registry.Lister.
type provider struct {
	config   Config
	sessions *sessions
	log      hclog.Logger
	said     sync.Map // what the log has been told, so that it is told once
	refusals sync.Map // repository with host to when it may be listed again
	aliases  aliases
}

var _ interface {
	registry.Provider
	registry.Lister
} = (*provider)(nil)

// Credential asks ECR for a password, which opens every repository of the
// registry that the identity may read.
func (p *provider) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	host, ok := p.covers(req.Host)
	switch {
	case !ok && host.Account == "":
		return registry.Credential{}, fmt.Errorf("%s is no registry of ECR: %w", req.Host, registry.ErrAnonymous)
	case !ok:
		return registry.Credential{}, fmt.Errorf("the configuration leaves out %s: %w", host, registry.ErrAnonymous)
	}
	var c registry.Credential
	err := p.call(ctx, host, func(ctx context.Context, s *session) (err error) {
		c, err = token(ctx, s, host)
		return err
	})
	if err != nil && host.public() && p.anonymous(err) {
		return registry.Credential{}, fmt.Errorf("%s: %w", err.Error(), registry.ErrAnonymous) // it counts as nothing else
	}
	return c, err
}

// covers reports whether host is a registry that the configuration allows. The
// lists are about private registries: the public one has no account.
func (p *provider) covers(host string) (ecrHost, bool) {
	h, ok := parseHost(host)
	if !ok || h.public() {
		return h, ok
	}
	c := p.config
	return h, (len(c.Regions) == 0 || slices.Contains(c.Regions, h.Region)) &&
		(len(c.Accounts) == 0 || slices.Contains(c.Accounts, h.Account)) &&
		!slices.Contains(c.ExcludeAccounts, h.Account)
}

// anonymous reports whether err means that public images are to be read
// without credentials: there are none, or they are not good for it, as those
// of a node that may read private registries only.
func (p *provider) anonymous(err error) bool {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return false
	}
	switch f.kind {
	case noIdentity:
		return true
	case denied, unknownIdentity:
		p.warnOnce(publicHost, "public images are read anonymously, with the lower limits of that", "cause", f.Error())
		return true
	}
	return false
}

// call runs do, and once more if AWS does not take the credentials and there
// are new ones.
func (p *provider) call(ctx context.Context, host ecrHost, do func(context.Context, *session) error) error {
	var used aws.Credentials
	ctx = context.WithValue(ctx, usedKey{}, &used)
	s, err := p.sessions.get(ctx, host.partition)
	if err != nil {
		return explain(ctx, host, p.config, used, err)
	}
	err = do(ctx, s)
	if err != nil && stale(err) && ctx.Err() == nil {
		refused := used
		if fresh, changed := p.sessions.renew(ctx, host.partition, s, refused); changed {
			p.log.Debug("trying again with new AWS credentials", "registry", host.String())
			err = do(ctx, fresh)
		}
	}
	if err != nil {
		return explain(ctx, host, p.config, used, err)
	}
	return nil
}

// token asks for a password. No registry ID is sent: the password is good for
// every registry of the region that lets the identity in, so an account that
// does not cannot spoil the answer for others.
func token(ctx context.Context, s *session, host ecrHost) (registry.Credential, error) {
	if host.public() {
		out, err := publicClient(s).GetAuthorizationToken(ctx, &ecrpublic.GetAuthorizationTokenInput{})
		if err != nil {
			return registry.Credential{}, err
		}
		if out.AuthorizationData == nil {
			return registry.Credential{}, errNoToken
		}
		return decodeToken(out.AuthorizationData.AuthorizationToken, out.AuthorizationData.ExpiresAt, out.ResultMetadata)
	}
	out, err := privateClient(s, host).GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return registry.Credential{}, err
	}
	if len(out.AuthorizationData) == 0 {
		return registry.Credential{}, errNoToken
	}
	return decodeToken(out.AuthorizationData[0].AuthorizationToken, out.AuthorizationData[0].ExpiresAt, out.ResultMetadata)
}

var errNoToken = errors.New("ECR's answer holds no authorization token")

// decodeToken takes apart a token, the base64 of user:password.
func decodeToken(token *string, expires *time.Time, meta middleware.Metadata) (registry.Credential, error) {
	text, err := base64.StdEncoding.DecodeString(aws.ToString(token))
	user, password, ok := strings.Cut(string(text), ":")
	if err != nil || !ok || password == "" {
		return registry.Credential{}, fmt.Errorf("the authorization token is not the base64 of user:password")
	}
	return registry.Credential{
		Username:  user,
		Password:  secret.New(password),
		Scope:     registry.ScopeRegistry,
		ExpiresAt: onOurClock(aws.ToTime(expires), meta),
	}, nil
}

// noise is a difference of clocks that may well be that of a Date header, which
// counts in seconds, and the way.
const noise = 30 * time.Second

// onOurClock turns a time of AWS's clock into one of ours, so that a token is
// not used too long or thrown away too early where the clock is wrong.
func onOurClock(t time.Time, meta middleware.Metadata) time.Time {
	skew, ok := awsmiddleware.GetAttemptSkew(meta)
	if !ok || skew.Abs() < noise || t.IsZero() {
		return t
	}
	return t.Add(-skew)
}

// privateClient calls the registry's own region, in the way that its name
// asks for. An endpoint of the environment is taken as it is.
func privateClient(s *session, host ecrHost) *ecr.Client {
	return ecr.NewFromConfig(s.aws, func(o *ecr.Options) {
		o.Region = host.Region
		if o.BaseEndpoint != nil {
			return
		}
		if host.FIPS {
			o.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
		}
		if host.DualStack {
			o.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
		}
	})
}

func publicClient(s *session) *ecrpublic.Client {
	return ecrpublic.NewFromConfig(s.aws, func(o *ecrpublic.Options) { o.Region = publicRegion })
}

func (p *provider) warnOnce(about, message string, args ...any) {
	if _, told := p.said.LoadOrStore(about, true); !told {
		p.log.Warn(message, args...)
	}
}
