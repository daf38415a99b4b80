package images

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/remote"
)

// Lookup tells whether the registry has target.Image, as the target's credential
// sees it, and returns its digest. It answers from what is known if the digest
// was told since the last listing, else it asks with one HEAD. The error says that
// the image is not there, or why that cannot be told; the digest is empty without
// one if only the listing has the tag.
func (s *Scanner) Lookup(ctx context.Context, target Target) (digest string, err error) {
	ctx, end, err := s.enter(ctx)
	if err != nil {
		return "", err
	}
	defer end()
	sub := subjects([]Target{target})[0]
	s.mu.Lock()
	refused := s.filter.refuses(sub.name)
	s.mu.Unlock()
	if refused != "" {
		return "", fmt.Errorf("%s: no registry is asked: %s", sub.name, refused)
	}
	key, err := s.keyOf(ctx, sub)
	if err != nil {
		return "", err
	}
	if target.Image.Digest != "" {
		if digest, err = s.opts.Client.Head(ctx, sub.req, target.Image.Digest); err != nil {
			return "", plain(err, sub.name)
		}
		return digest, nil
	}
	return s.lookupTag(ctx, sub, key, currentTag(target.Image))
}

func (s *Scanner) lookupTag(ctx context.Context, sub *subject, key cache.Key, tag string) (string, error) {
	f, _ := s.facts(key)
	suspect := s.readNote(key).Suspects.names(f.listing.Tags)[tag]
	listed, there := byName(f.listing.Tags)[tag]
	last := f.digests[tag]
	switch {
	case there && !suspect && listed.Digest != "":
		return listed.Digest, nil
	case there && !suspect && last.Digest != "" && !last.At.Before(f.listing.At):
		return last.Digest, nil
	}
	digest, err := s.opts.Client.Head(ctx, sub.req, tag)
	switch {
	case err == nil:
	case errors.Is(context.Cause(ctx), ErrClosed):
		return "", ErrClosed
	case there && !suspect && !remote.IsNotFound(err):
		return "", nil // the listing is proof enough
	default:
		return "", plain(err, sub.name)
	}
	if there { // what is known of others is forgotten with the listing
		r := newReader(s.opts, sub.req, f)
		err = s.opts.Cache.PutDigests(key, r.seen(answer{want: want{tag: tag}, digest: digest}, time.Now()))
	}
	return digest, err
}
