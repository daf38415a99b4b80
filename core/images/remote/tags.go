package remote

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// What bounds one listing. A registry can be anyone's, and what it serves is
// held in memory.
const (
	maxTagPage = 16 << 20 // bytes
	maxGoogle  = 64 << 20 // of Google's, which may tell of all images at once
	maxPages   = 5000
	maxTags    = 200_000
)

var errManyTags = fmt.Errorf("it has more than %d tags", maxTags)

// TagsOptions say what a listing is for.
type TagsOptions struct {
	// Times asks for push times: the registry's own API is used if it has one,
	// even where that takes more requests than the names alone.
	Times bool
	// Known reports whether a tag is recorded with this digest and these times.
	// A listing that comes newest first then ends at the first page that holds
	// a known tag, which is one request where little changes; deletions and
	// older tags stay unseen. Nil: list everything.
	Known func(registry.Tag) bool
}

// Listing tells what Tags emitted.
type Listing struct {
	Native  bool // with push times
	Stopped bool // ended at a known page: what was emitted is news, not the whole
	Dropped int  // names that no tag can have, left out
}

// Tags lists the tags of req.Repository, all pages, each tag once, in no order.
// What was emitted before an error does not count.
func (c *Client) Tags(ctx context.Context, req credentials.Request, o TagsOptions, emit func(registry.Tag)) (Listing, error) {
	t, err := c.target(req)
	if err != nil {
		return Listing{}, err
	}
	l := &listing{c: c, t: t, opts: o, emit: emit, seen: map[string]struct{}{}, visited: map[string]struct{}{}}
	err = l.run(ctx)
	if err == nil && l.result.Dropped > 0 {
		c.opts.Logger.WarnContext(ctx, "left out names that are no tags", "host", t.req.Host, "repository", t.req.Repository, "count", l.result.Dropped)
	}
	return l.result, err
}

// listing is one call of Tags.
type listing struct {
	c       *Client
	t       *target
	opts    TagsOptions
	emit    func(registry.Tag)
	seen    map[string]struct{} // tags
	visited map[string]struct{} // pages
	many    bool                // more than maxTags
	result  Listing
}

// run lists by the registry's own API where there is one, and by the registry
// protocol where that refuses.
func (l *listing) run(ctx context.Context) error {
	d := l.dialect()
	if d == nil {
		return l.generic(ctx)
	}
	if err := l.native(ctx, d); !l.refused(err) {
		return err
	}
	l.c.without.put(l.repository(), struct{}{}, refusalLife)
	return l.generic(ctx)
}

// tagName is what the distribution specification allows.
var tagName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// add emits a tag, unless it was there before or is none.
func (l *listing) add(tag registry.Tag) {
	if !tagName.MatchString(tag.Name) {
		l.result.Dropped++
		return
	}
	if _, ok := l.seen[tag.Name]; ok {
		return
	}
	if l.many = l.many || len(l.seen) == maxTags; l.many {
		return
	}
	l.seen[tag.Name] = struct{}{}
	l.emit(tag)
}

// checkSize ends a listing that is too long.
func (l *listing) checkSize() error {
	if l.many {
		return l.broken(errManyTags.Error())
	}
	return nil
}

// page fetches one page. Pages that come again, or do not end, are an error.
func (l *listing) page(ctx context.Context, ask fetch, u *url.URL) (*answer, error) {
	if _, ok := l.visited[u.String()]; ok {
		return nil, l.broken("its pages lead in a circle")
	}
	if l.visited[u.String()] = struct{}{}; len(l.visited) > maxPages {
		return nil, l.broken(fmt.Sprintf("it has more than %d pages", maxPages))
	}
	k := &call{method: http.MethodGet, url: u, asked: "the tags", class: l.t.class(limit.Free), max: maxTagPage}
	if l.t.api() == apiGoogle {
		k.max = maxGoogle
	}
	return ask(ctx, l.t, k)
}

// broken is an error about the listing.
func (l *listing) broken(why string) error {
	return l.t.broken("the listing of the tags", errors.New(why))
}

// class is the class of a request that is free on Docker Hub, where only pulls
// count.
func (t *target) class(onHub limit.Class) limit.Class {
	if t.req.Host == dockerHub {
		return onHub
	}
	return limit.Counted
}
