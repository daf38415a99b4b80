package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/cache"
)

// ImageOptions save requests. The zero value reads everything anew.
type ImageOptions struct {
	// Known returns what is recorded of a digest. It is asked with the digest
	// that the tag has now, before anything below it is read. Nil: nothing.
	Known func(digest string) (cache.Image, bool)
	// Last is the digest that the tag had when it was last read, "" for none. If
	// it still has it, the registry need not send the manifest again.
	Last string
	// TrustLabels takes the annotation org.opencontainers.image.created of an
	// index or manifest for Created, and reads no config where there is one.
	TrustLabels bool
}

// createdKey is the annotation, and the label, of when an image was made.
const createdKey = "org.opencontainers.image.created"

// Image reads what an image says of itself: one to three requests. ref is a tag
// or a digest. Digest and MediaType are those of the manifest or index that it
// names. Platforms lists every platform of an index; the labels, and Created
// where CreatedFrom does not say otherwise, come from the config of one of them
// (linux/amd64, else the first). A time that is missing, broken or only stands
// for an unknown one is zero, and CreatedFrom says why. What is no image, as a
// chart or a signature, has no platforms and is no error.
func (c *Client) Image(ctx context.Context, req credentials.Request, ref string, o ImageOptions) (cache.Image, error) {
	t, err := c.target(req)
	if err != nil {
		return cache.Image{}, err
	}
	if o.Known == nil {
		o.Known = func(string) (cache.Image, bool) { return cache.Image{}, false }
	}
	if img, ok := o.Known(ref); ok && validDigest(ref) {
		return img, nil
	}
	m, img, err := c.top(ctx, t, ref, o)
	if err != nil || m == nil {
		return img, err
	}
	if img, ok := o.Known(m.digest); ok {
		return img, nil
	}
	r := &reading{c: c, t: t, trust: o.TrustLabels}
	r.image = cache.Image{Digest: m.digest, MediaType: m.MediaType, Annotations: m.Annotations}
	if err := r.read(ctx, m); err != nil {
		return cache.Image{}, fmt.Errorf("%s of %s: %w", m.digest, ref, err)
	}
	if size := platformsSize(r.image.Platforms); size > maxPlatforms {
		return cache.Image{}, t.broken("the image "+m.digest, fmt.Errorf("its %d platforms take %d KiB", len(r.image.Platforms), size>>10))
	}
	return r.image, nil
}

// maxPlatforms bounds what is told of an image's platforms, in bytes. An index
// of those in use has two dozen, of less than 200 bytes.
const maxPlatforms = 32 << 10

func platformsSize(all []cache.Platform) int {
	data, err := json.Marshal(all)
	if err != nil {
		return math.MaxInt // strings can always be written
	}
	return len(data)
}

// top reads the manifest that ref names, or finds without it that the image is
// known.
func (c *Client) top(ctx context.Context, t *target, ref string, o ImageOptions) (*manifest, cache.Image, error) {
	last, ok := o.Known(o.Last)
	if !ok || !validDigest(o.Last) {
		m, err := c.manifest(ctx, t, ref, "")
		return m, cache.Image{}, err
	}
	if t.req.Host == dockerHub { // where any GET of a manifest counts as a pull
		digest, err := c.head(ctx, t, ref)
		if err != nil {
			return nil, cache.Image{}, err
		}
		if img, ok := o.Known(digest); ok {
			return nil, img, nil
		}
		m, err := c.manifest(ctx, t, ref, "")
		return m, cache.Image{}, err
	}
	m, err := c.manifest(ctx, t, ref, o.Last)
	return m, last, err
}

// reading is one image that is being read.
type reading struct {
	c     *Client
	t     *target
	trust bool
	image cache.Image
}

func (r *reading) read(ctx context.Context, m *manifest) error {
	switch {
	case m.SchemaVersion == 1:
		return r.readSchema1(m)
	case m.Manifests != nil:
		return r.readIndex(ctx, m)
	case m.Config != nil:
		return r.readImage(ctx, m, cache.Platform{Digest: m.digest}, nil)
	case m.ArtifactType != "" || m.MediaType != "" && !strings.Contains(manifestTypes, m.MediaType):
		r.image.CreatedFrom = "not an image"
		return nil
	}
	return r.t.broken("the manifest", errors.New("it is of no known kind"))
}

// readIndex takes the platforms of an index, and the rest of one of them.
func (r *reading) readIndex(ctx context.Context, m *manifest) error {
	all, err := m.children()
	if err != nil {
		return r.t.broken("the index", err)
	}
	for _, c := range all {
		r.image.Platforms = append(r.image.Platforms, c.platform)
	}
	if len(all) == 0 {
		r.image.CreatedFrom = "an index without images"
		return nil
	}
	if r.annotated(m.Annotations) {
		return nil
	}
	i := preferred(all)
	one, err := r.c.manifest(ctx, r.t, all[i].platform.Digest, "")
	if err != nil {
		return err
	}
	if one.Config == nil {
		return r.t.broken("the index", fmt.Errorf("%s in it is no image", one.digest))
	}
	r.image.Annotations = merge(one.Annotations, m.Annotations)
	return r.readImage(ctx, one, all[i].platform, &r.image.Platforms[i])
}

// merge returns both; where both have a key, that of over wins.
func merge(under, over map[string]string) map[string]string {
	if len(under) == 0 {
		return over
	}
	under = maps.Clone(under)
	maps.Copy(under, over)
	return under
}

// readImage reads a manifest's config. into is its platform in the index, nil
// if there is none.
func (r *reading) readImage(ctx context.Context, m *manifest, p cache.Platform, into *cache.Platform) error {
	if !isImageConfig(m) {
		r.image.CreatedFrom = "not an image"
		return nil
	}
	if r.annotated(m.Annotations) {
		if into == nil {
			r.image.Platforms = []cache.Platform{p}
		}
		return nil
	}
	cfg, err := r.c.config(ctx, r.t, m.Config)
	if err != nil {
		return err
	}
	if into == nil && cfg.OS+cfg.Architecture != "" {
		r.image.Platforms = []cache.Platform{p}
		into = &r.image.Platforms[0]
	}
	if into != nil && into.OS+into.Architecture == "" {
		into.OS, into.Architecture, into.Variant, into.OSVersion = cfg.OS, cfg.Architecture, cfg.Variant, cfg.OSVersion
	}
	r.image.Labels = cfg.Config.Labels
	if r.image.CreatedFrom == "" {
		r.image.Created, r.image.CreatedFrom = created(cfg.Created, "the config")
	}
	return nil
}

// annotated takes the time from an annotation, if that is trusted.
func (r *reading) annotated(annotations map[string]string) bool {
	if !r.trust {
		return false
	}
	at, from := created(annotations[createdKey], "the annotation "+createdKey)
	if !at.IsZero() {
		r.image.Created, r.image.CreatedFrom = at, from
	}
	return !at.IsZero()
}

// created reads a time and says where it is from, or why there is none.
func created(text, where string) (time.Time, string) {
	if text == "" {
		return time.Time{}, where + " tells no time"
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Sprintf("%s tells %.40q, which is no time", where, text)
	}
	if plausible(at).IsZero() {
		return time.Time{}, fmt.Sprintf("%s tells %s, as reproducible builds do", where, at.UTC().Format(time.DateOnly))
	}
	return at.UTC(), where
}
