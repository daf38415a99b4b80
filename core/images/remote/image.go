package remote

import (
	"context"

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

// Image reads what an image says of itself: one to three requests. ref is a tag
// or a digest. Digest and MediaType are those of the manifest or index that it
// names. Platforms lists every platform of an index; the labels, and Created
// where CreatedFrom does not say otherwise, come from the config of one of them
// (linux/amd64, else the first). A time that is missing, broken or 1970 is zero,
// and CreatedFrom says why. What is no image, as a chart or a signature, has no
// platforms and is no error.
func (c *Client) Image(ctx context.Context, req credentials.Request, ref string, o ImageOptions) (cache.Image, error) {
	panic("not yet")
}
