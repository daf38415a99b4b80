package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	publictypes "github.com/aws/aws-sdk-go-v2/service/ecrpublic/types"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// pageSize is the most that ECR gives at once.
const pageSize = 1000

// deniedFor is how long a repository is not listed after its owner did not allow
// it: each poll would cost a request more.
const deniedFor = time.Hour

// Tags lists a private repository, or a public one of the instance's own
// account, from ECR's API. The push time is that of the image: ECR does not
// tell when a tag was moved to an older one. Where the identity may not use
// the API the answer is ErrAnonymous, for the registry itself may still list.
//
// Nothing is emitted before the last page has come.
func (p *provider) Tags(ctx context.Context, req registry.Request, emit func(registry.Tag)) error {
	host, ok := p.covers(req.Host)
	if !ok {
		return registry.ErrAnonymous
	}
	repository := req.Repository
	if host.public() {
		alias, rest, _ := strings.Cut(repository, "/")
		own, err := p.ownAlias(ctx, host, alias)
		if err != nil {
			return err
		}
		if !own || rest == "" {
			return registry.ErrAnonymous
		}
		repository = rest
	}
	name := host.String() + "/" + repository
	if until, ok := p.refusals.Load(name); ok && time.Now().Before(until.(time.Time)) {
		return registry.ErrAnonymous
	}
	var found tagSet
	err := p.call(ctx, host, func(ctx context.Context, s *session) error {
		found = tagSet{}
		if host.public() {
			return found.public(ctx, publicClient(s), repository)
		}
		return found.private(ctx, privateClient(s, host), host.Account, repository)
	})
	if f, ok := errors.AsType[*failure](err); ok && f.kind == denied {
		p.refusals.Store(name, time.Now().Add(deniedFor))
		p.warnOnce(name, "tags are listed without push times", "registry", host.String(), "repository", repository, "cause", f.Error())
		return registry.ErrAnonymous
	}
	if err != nil {
		return fmt.Errorf("repository %s: %w", repository, err)
	}
	for _, t := range found.tags {
		emit(t)
	}
	return nil
}

// tagSet holds each tag once. A tag that moves while the pages are read may
// stand on two of them.
type tagSet struct {
	tags  []registry.Tag
	index map[string]int
}

func (s *tagSet) add(t registry.Tag) {
	if s.index == nil {
		s.index = map[string]int{}
	}
	if i, known := s.index[t.Name]; known {
		if t.Pushed.After(s.tags[i].Pushed) {
			s.tags[i] = t
		}
		return
	}
	s.index[t.Name] = len(s.tags)
	s.tags = append(s.tags, t)
}

func (s *tagSet) private(ctx context.Context, client *ecr.Client, account, repository string) error {
	return eachPage(func(token *string) (*string, error) {
		page, err := client.DescribeImages(ctx, &ecr.DescribeImagesInput{
			RegistryId:     &account,
			RepositoryName: &repository,
			Filter:         &types.DescribeImagesFilter{TagStatus: types.TagStatusTagged},
			MaxResults:     aws.Int32(pageSize),
			NextToken:      token,
		})
		if err != nil {
			return nil, err
		}
		for _, image := range page.ImageDetails {
			for _, name := range image.ImageTags {
				s.add(registry.Tag{Name: name, Digest: aws.ToString(image.ImageDigest), Pushed: aws.ToTime(image.ImagePushedAt)})
			}
		}
		return page.NextToken, nil
	})
}

func (s *tagSet) public(ctx context.Context, client *ecrpublic.Client, repository string) error {
	return eachPage(func(token *string) (*string, error) {
		page, err := client.DescribeImageTags(ctx, &ecrpublic.DescribeImageTagsInput{
			RepositoryName: &repository,
			MaxResults:     aws.Int32(pageSize),
			NextToken:      token,
		})
		if err != nil {
			return nil, err
		}
		for _, t := range page.ImageTagDetails {
			tag := registry.Tag{Name: aws.ToString(t.ImageTag)}
			if t.ImageDetail != nil {
				tag.Digest, tag.Pushed = aws.ToString(t.ImageDetail.ImageDigest), aws.ToTime(t.ImageDetail.ImagePushedAt)
			}
			s.add(tag)
		}
		return page.NextToken, nil
	})
}

// eachPage fetches pages until one names no next.
func eachPage(fetch func(token *string) (next *string, err error)) error {
	var token *string
	for {
		next, err := fetch(token)
		if err != nil || aws.ToString(next) == "" {
			return err
		}
		if aws.ToString(next) == aws.ToString(token) {
			return errors.New("ECR names the same page as the next one again and again")
		}
		token = next
	}
}

// aliases are the names under which the instance's account publishes images.
type aliases struct {
	mu    sync.Mutex
	names map[string]bool
	until time.Time
}

// aliasLife is for how long the aliases of the account are taken as they are.
// They change when somebody asks AWS for another one.
const aliasLife = 15 * time.Minute

// ownAlias reports whether alias is the account's own: only of that the API
// tells anything.
func (p *provider) ownAlias(ctx context.Context, host ecrHost, alias string) (bool, error) {
	a := &p.aliases
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Now().Before(a.until) {
		return a.names[alias], nil
	}
	names := map[string]bool{}
	err := p.call(ctx, host, func(ctx context.Context, s *session) error {
		client := publicClient(s)
		return eachPage(func(token *string) (*string, error) {
			page, err := client.DescribeRegistries(ctx, &ecrpublic.DescribeRegistriesInput{NextToken: token})
			if err != nil {
				return nil, err
			}
			for _, r := range page.Registries {
				for _, alias := range r.Aliases {
					if alias.Status == publictypes.RegistryAliasStatusActive {
						names[aws.ToString(alias.Name)] = true
					}
				}
			}
			return page.NextToken, nil
		})
	})
	if err != nil && !p.anonymous(err) {
		return false, err
	}
	a.names, a.until = names, time.Now().Add(aliasLife)
	return names[alias], nil
}
