package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sluice-gitops/sluice/core/images/limit"
)

const maxConfig = 8 << 20

// config is what is used of an image's config, which is much the same in every
// format.
type config struct {
	Created      string `json:"created"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	OSVersion    string `json:"os.version"`
	Config       struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
}

// isImageConfig reports whether a manifest's config is that of an image, and
// not that of a chart or another artifact.
func isImageConfig(m *manifest) bool {
	return isConfigType(m.Config.MediaType) && (m.ArtifactType == "" || isConfigType(m.ArtifactType))
}

// isConfigType knows the media types of images' configs; the last is of very
// old ones.
func isConfigType(media string) bool {
	switch types.MediaType(media) {
	case types.OCIConfigJSON, types.DockerConfigJSON, "application/octet-stream":
		return true
	}
	return false
}

// config reads a config, which the manifest may hold itself, and checks its
// digest.
func (c *Client) config(ctx context.Context, t *target, d *descriptor) (*config, error) {
	if !validDigest(d.Digest) {
		return nil, t.broken("the config", fmt.Errorf("%.80q is no digest", d.Digest))
	}
	asked := "the config " + d.Digest
	content := d.Data
	if len(content) == 0 {
		u, err := t.url("blobs/" + d.Digest)
		if err != nil {
			return nil, err
		}
		a, err := c.get(ctx, t, &call{method: http.MethodGet, url: u, asked: asked, class: t.class(limit.Free), max: maxConfig})
		if err != nil {
			return nil, err
		}
		content = a.body
	}
	if err := verify(content, d.Digest); err != nil {
		return nil, t.broken(asked, err)
	}
	var cfg config
	if err := json.Unmarshal(content, &cfg); err != nil {
		return nil, t.broken(asked, errForm)
	}
	return &cfg, nil
}
