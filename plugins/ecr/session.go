package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	"github.com/hashicorp/go-hclog"
)

// sessions keeps one session for each partition. It is safe for concurrent
// use.
type sessions struct {
	config Config
	log    hclog.Logger

	mu   sync.Mutex
	open map[string]*session // by name of the partition
}

// session is the identity of the instance, as the SDK's chain found it.
type session struct {
	aws   aws.Config
	chain aws.CredentialsProvider // what aws.Credentials, the session itself, asks
}

// usedKey is where a context has the *aws.Credentials that tells what a call
// was signed with.
type usedKey struct{}

// Retrieve implements aws.CredentialsProvider.
func (s *session) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := s.chain.Retrieve(ctx)
	if used, ok := ctx.Value(usedKey{}).(*aws.Credentials); ok && err == nil {
		*used = c
	}
	return c, err
}

// get returns the session for p. The SDK caches its credentials and renews
// them when they expire.
func (s *sessions) get(ctx context.Context, p partition) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if open := s.open[p.name]; open != nil {
		return open, nil
	}
	fresh, err := s.load(ctx, p)
	if err != nil {
		return nil, err
	}
	if s.open == nil {
		s.open = map[string]*session{}
	}
	s.open[p.name] = fresh
	return fresh, nil
}

// renew replaces a session whose credentials AWS no longer takes: keys in a
// shared file may have been rotated, which the SDK reads only once, and a wrong
// clock hides that cached ones have expired. It reports whether the new ones
// differ from used, so that trying again makes sense.
func (s *sessions) renew(ctx context.Context, p partition, old *session, used aws.Credentials) (fresh *session, changed bool) {
	s.mu.Lock()
	if s.open[p.name] == old {
		delete(s.open, p.name)
	}
	s.mu.Unlock()
	fresh, err := s.get(ctx, p)
	if err != nil {
		return old, false
	}
	now, err := fresh.Retrieve(ctx)
	if err != nil {
		return fresh, true // whose error is the better one
	}
	return fresh, now.AccessKeyID != used.AccessKeyID || now.SecretAccessKey != used.SecretAccessKey || now.SessionToken != used.SessionToken
}

// load reads the environment and the shared files. It asks no server.
func (s *sessions) load(ctx context.Context, p partition) (*session, error) {
	options := []func(*config.LoadOptions) error{
		config.WithDefaultRegion(p.home),
		config.WithLogger(logging.LoggerFunc(s.logf)),
		config.WithAPIOptions([]func(*middleware.Stack) error{awsmiddleware.AddUserAgentKeyValue("sluice-plugin-ecr", version)}),
	}
	if s.config.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(s.config.Profile))
	}
	c, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration of the environment: %w", err)
	}
	if s.config.AssumeRole != "" {
		c.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(c), s.config.AssumeRole, s.role))
	}
	fresh := &session{chain: c.Credentials}
	c.Credentials = fresh
	fresh.aws = c
	return fresh, nil
}

func (s *sessions) role(o *stscreds.AssumeRoleOptions) {
	o.RoleSessionName = s.config.SessionName
	if s.config.ExternalID != "" {
		o.ExternalID = aws.String(s.config.ExternalID)
	}
}

// logf passes on what the SDK has to say, which are warnings only: the client
// log mode is never set.
func (s *sessions) logf(level logging.Classification, format string, args ...any) {
	if level == logging.Warn {
		s.log.Warn("AWS SDK: " + fmt.Sprintf(format, args...))
		return
	}
	s.log.Debug("AWS SDK: " + fmt.Sprintf(format, args...))
}
