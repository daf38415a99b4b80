package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

const (
	pageSize = 500    // tags in one answer
	maxPages = 10_000 // a listing that does not end is an error
)

// Tags lists a repository with the registry's own API, which tells digests and
// push times. It needs the right metadata/read, which AcrPull includes; without
// it the error is registry.ErrAnonymous, so that the host lists the names alone.
func (p *provider) Tags(ctx context.Context, req registry.Request, emit func(registry.Tag)) error {
	if _, ok := p.config.cloudOf(req.Host); !ok {
		return registry.ErrAnonymous
	}
	token, err := p.registryToken(ctx, req.Host, "repository:"+req.Repository+":metadata_read")
	if err != nil {
		return p.orAnonymous(req, err)
	}
	path := "/acr/v1/" + (&url.URL{Path: req.Repository}).EscapedPath() + "/_tags"
	// In the order of names, which is the default: in that of times a tag that
	// is pushed meanwhile moves to a page that has been read.
	next := fmt.Sprintf("%s%s?n=%d", p.base(req.Host), path, pageSize)
	for range maxPages {
		page, err := p.page(ctx, req.Host, next, token)
		if err != nil {
			return p.orAnonymous(req, err)
		}
		for _, t := range page.tags {
			emit(t)
		}
		if page.next == "" {
			return nil
		}
		if next, err = follow(next, page.next); err != nil {
			return fmt.Errorf("%s/%s: %w", req.Host, req.Repository, err)
		}
	}
	return fmt.Errorf("%s/%s: the listing of tags has more than %d pages", req.Host, req.Repository, maxPages)
}

// orAnonymous makes ErrAnonymous of the answer that the listing is not ours to
// read, or not there; the host's own listing finds out the latter, too.
func (p *provider) orAnonymous(req registry.Request, err error) error {
	refused, ok := errors.AsType[*refusedError](err)
	switch {
	case !ok:
		return err
	case refused.status == http.StatusNotFound:
		return registry.ErrAnonymous
	case refused.status != http.StatusUnauthorized && refused.status != http.StatusForbidden:
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.refused[req.Host] {
		p.refused[req.Host] = true
		p.log.Info("push times are not known: grant metadata/read", "registry", req.Host, "repository", req.Repository, "error", err)
	}
	return registry.ErrAnonymous
}

type page struct {
	tags []registry.Tag
	next string // URL, as the Link header has it; empty on the last page
}

func (p *provider) page(ctx context.Context, host, pageURL, token string) (page, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, pageURL, nil)
	if err != nil {
		return page{}, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	x := p.toRegistry(host)
	resp, err := httpClient(x).Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close() // its content is in x
		err = fmt.Errorf("the registry answered %s", resp.Status)
	}
	if err != nil {
		return page{}, &refusedError{x.status(), fmt.Errorf("%s: list tags: %w", host, x.explain(ctx, err))}
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	tags, err := decodeTags(resp.Body)
	if err != nil {
		return page{}, fmt.Errorf("%s: list tags: %w", host, err)
	}
	return page{tags: tags, next: nextLink(resp.Header.Values("Link"))}, nil
}

func decodeTags(r io.Reader) ([]registry.Tag, error) {
	var answer struct {
		Tags []struct {
			Name    string    `json:"name"`
			Digest  string    `json:"digest"`
			Created time.Time `json:"createdTime"`
			Updated time.Time `json:"lastUpdateTime"`
		} `json:"tags"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("the answer is not a page of tags: %w", err)
	}
	tags := make([]registry.Tag, 0, len(answer.Tags))
	for _, t := range answer.Tags {
		if t.Name == "" {
			return nil, errors.New("the answer holds a tag without a name")
		}
		pushed := t.Updated
		if pushed.IsZero() {
			pushed = t.Created
		}
		// createdTime is that of the tag, not of the image: not Created.
		tags = append(tags, registry.Tag{Name: t.Name, Digest: t.Digest, Pushed: pushed})
	}
	return tags, nil
}

// nextLink returns the target of rel="next" among Link headers.
func nextLink(headers []string) string {
	for _, h := range headers {
		for link := range strings.SplitSeq(h, ",") {
			target, parameters, _ := strings.Cut(link, ";")
			target = strings.TrimSpace(target)
			if len(target) < 2 || target[0] != '<' || target[len(target)-1] != '>' {
				continue
			}
			for parameter := range strings.SplitSeq(parameters, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
				if strings.EqualFold(name, "rel") && strings.Trim(value, `"`) == "next" {
					return target[1 : len(target)-1]
				}
			}
		}
	}
	return ""
}

// follow returns the URL of the next page: the path and query of link, on the
// server that the token is for.
func follow(current, link string) (string, error) {
	from, err := url.Parse(current)
	if err != nil {
		return "", err
	}
	to, err := from.Parse(link)
	if err != nil || to.Path == "" {
		return "", errors.New("the link to the next page of tags is not a URL")
	}
	if !strings.HasSuffix(to.Path, "/_tags") || !strings.HasSuffix(from.Path, to.Path) && to.Path != from.Path {
		return "", errors.New("the link to the next page of tags leads elsewhere")
	}
	if to.RawQuery == from.RawQuery {
		return "", errors.New("the link to the next page of tags leads to the same page")
	}
	from.RawQuery = to.RawQuery
	return from.String(), nil
}
