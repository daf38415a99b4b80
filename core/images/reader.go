package images

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/core/sched"
)

const (
	// readers is how many images of a repository are read at once.
	readers = 4
	// hopeless is how many images in a row may fail before the registry is
	// blamed and not they.
	hopeless = 3
)

// reader reads images of one repository, and remembers what came of it.
type reader struct {
	client Client
	cache  *cache.Cache
	req    credentials.Request
	facts  facts

	mu      sync.Mutex
	found   map[string]cache.Image   // by digest
	begun   map[string]chan struct{} // digests that are being read, closed when they were
	answers []answer
	row     int   // failures in a row that may be the registry's
	blame   error // of the registry: why reading was given up
	images  uint64
	heads   uint64
}

// answer is what came of a want.
type answer struct {
	want
	digest string
	image  cache.Image // without a digest: it was known before
	err    error
}

func newReader(o Options, req credentials.Request, f facts) *reader {
	return &reader{client: o.Client, cache: o.Cache, req: req, facts: f,
		found: map[string]cache.Image{}, begun: map[string]chan struct{}{}}
}

// readAll asks about all of wanted. The error is about the registry, not about
// one tag; what was read before it counts.
func (p *reader) readAll(ctx context.Context, wanted []want) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	queue := make(chan want, len(wanted))
	for _, w := range wanted {
		queue <- w
	}
	close(queue)
	var workers sync.WaitGroup
	for range min(readers, len(wanted)) {
		workers.Go(func() {
			for w := range queue {
				if !p.file(ctx, p.read(ctx, w)) {
					return
				}
			}
		})
	}
	workers.Wait()
	return p.blame
}

// read asks the registry about one tag, with as few requests as that takes.
//
// A tag that was never seen is read by its name: the first answer has the
// digest, so a HEAD before it would be one request more. One that was seen most
// likely stayed the same, which a HEAD tells without a body. On Docker Hub a
// HEAD is free and a GET is a pull, so the HEAD comes first there.
func (p *reader) read(ctx context.Context, w want) answer {
	a := answer{want: w, digest: w.digest}
	_, known := p.known(w.last)
	if w.digest == "" && (known || w.head || p.req.Host == ref.DockerHub) {
		p.count(&p.heads)
		if a.digest, a.err = p.client.Head(ctx, p.req, w.tag); a.err != nil || w.head {
			return a
		}
	}
	if a.digest != "" {
		defer p.claim(ctx, a.digest)()
		if _, known := p.known(a.digest); known {
			return a
		}
	}
	name := cmp.Or(a.digest, w.tag)
	p.count(&p.images)
	img, err := p.client.Image(ctx, p.req, name, remote.ImageOptions{Known: p.known, TrustLabels: p.facts.trusted})
	if err != nil {
		a.err = err
		return a
	}
	a.digest = img.Digest
	if _, known := p.known(img.Digest); !known {
		a.image = img
		p.mu.Lock()
		p.found[img.Digest] = img
		p.mu.Unlock()
	}
	return a
}

// known returns an image that was read before, or just now.
func (p *reader) known(digest string) (cache.Image, bool) {
	p.mu.Lock()
	img, ok := p.found[digest]
	p.mu.Unlock()
	if ok {
		return img, true
	}
	return p.facts.image(digest)
}

// claim waits until nobody else reads the digest, which several tags may have,
// and keeps others from it until release is called.
func (p *reader) claim(ctx context.Context, digest string) (release func()) {
	for {
		p.mu.Lock()
		other, taken := p.begun[digest]
		if !taken {
			own := make(chan struct{})
			p.begun[digest] = own
			p.mu.Unlock()
			return func() {
				p.mu.Lock()
				delete(p.begun, digest)
				p.mu.Unlock()
				close(own)
			}
		}
		p.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return func() {}
		}
	}
}

func (p *reader) count(n *uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*n++
}

// file takes an answer, and reports whether to go on.
func (p *reader) file(ctx context.Context, a answer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		p.blame = cmp.Or(p.blame, a.err, context.Cause(ctx)) // that of the limiter knows more
		return false
	}
	if p.blame != nil {
		return false
	}
	switch {
	case a.err == nil || broken(a.err):
		p.row = 0
	case remote.IsThrottled(a.err):
		p.row = hopeless
	default:
		p.row++
	}
	if p.row >= hopeless {
		p.blame = fmt.Errorf("the images: %w", a.err)
		return false
	}
	p.answers = append(p.answers, a)
	return true
}

// broken reports whether it is the tag that is at fault.
func broken(err error) bool { return remote.IsNotFound(err) || remote.IsBroken(err) }

// keep writes down what was read.
func (p *reader) keep(k cache.Key, got *fetched, now time.Time) error {
	var digests []cache.Digest
	var images []cache.Image
	negatives := map[string]cache.Negative{}
	for _, a := range p.answers {
		n, failed := p.facts.negatives[a.tag]
		if a.err != nil {
			if p.blame == nil || broken(a.err) {
				negatives[a.tag] = p.negative(n, plain(a.err, k.String()), now)
			}
			continue
		}
		if failed {
			negatives[a.tag] = cache.Negative{}
		}
		if a.image.Digest != "" {
			images = append(images, a.image)
		}
		if a.last == "" {
			got.resolved = append(got.resolved, a.tag)
		} else if a.last != a.digest {
			got.moved = append(got.moved, a.tag)
		}
		if a.want.digest == "" {
			digests = append(digests, p.seen(a, now))
		}
	}
	return p.write(k, digests, images, negatives)
}

func (p *reader) write(k cache.Key, digests []cache.Digest, images []cache.Image, negatives map[string]cache.Negative) error {
	if err := p.cache.PutImages(images...); err != nil {
		return err
	}
	if err := p.cache.PutDigests(k, digests...); err != nil {
		return err
	}
	return p.cache.PutNegatives(k, negatives)
}

// seen is what is remembered of the digest of a tag.
func (p *reader) seen(a answer, now time.Time) cache.Digest {
	d := p.facts.digests[a.tag]
	if d.Digest != a.digest {
		if d.Digest != "" {
			d.Moves++
		}
		d.Changed = now
	}
	d.Tag, d.Digest, d.At = a.tag, a.digest, now
	return d
}

// negative is what is remembered of a tag that could not be read.
func (p *reader) negative(n cache.Negative, err error, now time.Time) cache.Negative {
	n.Failures++
	n.Pending = !broken(err)
	n.Reason = err.Error()
	wait := sched.Backoff{Min: time.Hour, Max: maxNegative, Jitter: -1}
	if n.Pending {
		wait.Min = 5 * time.Minute
	}
	n.Until = now.Add(wait.Delay(n.Failures, 0))
	return n
}
