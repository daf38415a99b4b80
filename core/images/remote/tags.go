package remote

import (
	"context"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

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
}

// Tags lists the tags of req.Repository, all pages, each tag once, in no order.
// What was emitted before an error does not count.
func (c *Client) Tags(ctx context.Context, req credentials.Request, o TagsOptions, emit func(registry.Tag)) (Listing, error) {
	panic("not yet")
}

// Head returns the digest that a tag has now. It is free on Docker Hub.
func (c *Client) Head(ctx context.Context, req credentials.Request, tag string) (string, error) {
	panic("not yet")
}
