package remote

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Values of Host.API.
const (
	apiGeneric   = "generic"
	apiGoogle    = "google"
	apiDockerHub = "dockerhub"
	apiQuay      = "quay"
	apiHarbor    = "harbor"
)

// errNoTags says that a page is JSON of some other thing.
var errNoTags = errors.New("a page holds no list of tags")

// refusalLife is how long an API that refused a repository is left alone.
const refusalLife = time.Hour

// dialect lists tags with push times by an API of a registry's own.
type dialect interface {
	// first is the address of the first page.
	first(t *target) (*url.URL, error)
	// read emits the tags of a page, and returns the link to the next one; ""
	// after the last.
	read(page *url.URL, a *answer, emit func(registry.Tag)) (next string, err error)
	// newestFirst reports whether the tag that changed last comes first.
	newestFirst() bool
	// fetch asks for a page, with the authorization that the API takes.
	fetch(c *Client) fetch
}

// fetch asks for what must be there.
type fetch func(context.Context, *target, *call) (*answer, error)

// api is the API that the configuration or the host's name tell; "" if neither
// does.
func (t *target) api() string {
	switch host := t.req.Host; {
	case t.host.API != "":
		return t.host.API
	case host == "gcr.io" || strings.HasSuffix(host, ".gcr.io") || strings.HasSuffix(host, ".pkg.dev"):
		return apiGoogle
	case t.host.Endpoint != "":
		return "" // a mirror has the API of its own kind
	case host == dockerHub:
		return apiDockerHub
	case host == "quay.io":
		return apiQuay
	}
	return ""
}

// dialect returns how to list with times, nil if that is not asked for or the
// registry has no API of its own, as far as is known.
func (l *listing) dialect() dialect {
	if !l.opts.Times {
		return nil
	}
	api := l.t.api()
	if s, ok := l.c.schemes.get(l.t.base.String()); ok && api == "" && s.service == "harbor-registry" {
		api = apiHarbor
	}
	var d dialect
	switch api {
	case apiDockerHub:
		d = hubDialect{}
	case apiQuay:
		d = quayDialect{}
	case apiHarbor:
		d = harborDialect{}
	default:
		return nil
	}
	if _, ok := l.c.without.get(l.repository()); ok {
		return nil
	}
	return d
}

func (l *listing) repository() repository {
	return repository{l.t.req.Host, l.t.req.Repository}
}

// native lists by a dialect.
func (l *listing) native(ctx context.Context, d dialect) error {
	u, err := d.first(l.t)
	for err == nil {
		var a *answer
		if a, err = l.page(ctx, d.fetch(l.c), u); err != nil {
			return err
		}
		var link string
		known := false
		link, err = d.read(u, a, func(tag registry.Tag) {
			known = known || l.opts.Known != nil && l.opts.Known(tag)
			l.add(tag)
		})
		if err != nil {
			return l.broken(err.Error())
		}
		if err := l.checkSize(); err != nil {
			return err
		}
		l.result.Native = true
		if l.result.Stopped = known && link != "" && d.newestFirst(); l.result.Stopped || link == "" {
			return nil
		}
		u, err = l.t.follow(a.url, link)
	}
	return err
}

// refused reports whether an API does not list this repository, to whoever we
// are: then the registry protocol may. A later page makes no such difference.
func (l *listing) refused(err error) bool {
	return !l.result.Native && hasStatus(err, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound)
}

// anonymously asks an API that takes no registry credentials.
func (c *Client) anonymously(ctx context.Context, t *target, k *call) (*answer, error) {
	a, err := c.exchange(ctx, t, k, authorization{}, credentials.Credential{})
	if err != nil {
		return nil, err
	}
	return a, t.check(k, a)
}

// withPassword asks an API that takes the password of the registry, without
// being challenged first. What is refused is not tried again. Where a listing
// goes on at another host, the password does not go there.
func (c *Client) withPassword(ctx context.Context, t *target, k *call) (*answer, error) {
	if k.url.Host != t.base.Host {
		return c.anonymously(ctx, t, k)
	}
	cred, err := c.credential(ctx, t)
	if err != nil {
		return nil, err
	}
	k.identity = cred.ID
	a, err := c.exchange(ctx, t, k, basic(cred), cred)
	if err != nil {
		return nil, err
	}
	return a, t.check(k, a)
}

// readJSON reads a page of an API.
func readJSON(a *answer, into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return errForm
	}
	return nil
}
