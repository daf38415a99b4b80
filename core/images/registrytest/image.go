package registrytest

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image describes an image to push. The zero value is a small one for
// linux/amd64, in OCI's format, that does not say when it was created.
type Image struct {
	Tags   []string
	Pushed time.Time // as native listing APIs tell it; zero: now

	Created     time.Time // in the config; Epoch is that of reproducible builds
	Labels      map[string]string
	Annotations map[string]string // of the manifest, or of the index
	// Platforms as "linux/arm64/v8". Two and more, or Index, make an index; the
	// images in it are created a second after one another.
	Platforms []string
	Index     bool
	// Attestations adds to the index, for each image, the manifest in which
	// BuildKit attests how it was made.
	Attestations bool
	// Docker makes Docker's media types: schema 2 and manifest lists.
	Docker bool
	// Content tells images apart that are equal otherwise.
	Content string
}

// Epoch is what reproducible builds give as the time of creation.
var Epoch = time.Unix(0, 0).UTC()

// Push stores an image and returns the digest that its tags name. Without tags
// only the digest reaches it.
func (r *Registry) Push(repository string, image Image) (digest string) {
	r.t.Helper()
	return r.PushAll(repository, []Image{image})[0]
}

// pushAtOnce is how many images go in one request.
const pushAtOnce = 500

// PushAll stores images and returns their digests.
func (r *Registry) PushAll(repository string, images []Image) (digests []string) {
	r.t.Helper()
	for some := range slices.Chunk(images, pushAtOnce) {
		c := content{Repository: repository}
		for _, i := range some {
			digest, err := c.addImage(i)
			if err != nil {
				r.t.Fatalf("make an image: %v", err)
			}
			digests = append(digests, digest)
		}
		r.must("POST", "/content", c, nil)
	}
	return digests
}

// content is what the control API stores at once.
type content struct {
	Repository string     `json:"repository"`
	Blobs      [][]byte   `json:"blobs"`
	Manifests  []manifest `json:"manifests"`
}

type manifest struct {
	MediaType types.MediaType `json:"media_type"`
	Body      []byte          `json:"body"`
	Tags      []string        `json:"tags"`
	Pushed    time.Time       `json:"pushed,omitzero"`
	Raw       bool            `json:"raw,omitempty"`
}

// addImage adds an image with all that belongs to it.
func (c *content) addImage(i Image) (digest string, err error) {
	if len(i.Platforms) == 0 {
		i.Platforms = []string{"linux/amd64"}
	}
	var body []byte
	var mediaType types.MediaType
	if i.Index || len(i.Platforms) > 1 {
		body, mediaType, err = c.index(i)
	} else {
		body, mediaType, err = c.single(i)
	}
	if err != nil {
		return "", err
	}
	c.Manifests = append(c.Manifests, manifest{MediaType: mediaType, Body: body, Tags: i.Tags, Pushed: i.Pushed})
	return sha256Of(body).String(), nil
}

// single makes an image for the first platform, and adds its blobs.
func (c *content) single(i Image) ([]byte, types.MediaType, error) {
	image, err := c.build(i, i.Platforms[0])
	if err != nil {
		return nil, "", err
	}
	if len(i.Annotations) > 0 {
		image = mutate.Annotations(image, i.Annotations).(v1.Image)
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return nil, "", err
	}
	body, err := image.RawManifest()
	return body, mediaType, err
}

// build makes the image for one platform, and adds its blobs.
func (c *content) build(i Image, platform string) (v1.Image, error) {
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, err
	}
	manifestType, configType, layerType := types.OCIManifestSchema1, types.OCIConfigJSON, types.OCILayer
	if i.Docker {
		manifestType, configType, layerType = types.DockerManifestSchema2, types.DockerConfigJSON, types.DockerLayer
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, manifestType), configType)
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		Created: v1.Time{Time: i.Created},
		Config:  v1.Config{Labels: i.Labels},
		RootFS:  v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, err
	}
	image, err = mutate.AppendLayers(image, static.NewLayer([]byte(platform+" "+i.Content), layerType))
	if err != nil {
		return nil, err
	}
	return image, c.addBlobs(image)
}

func (c *content) addBlobs(image v1.Image) error {
	config, err := image.RawConfigFile()
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	c.Blobs = append(c.Blobs, config)
	for _, l := range layers {
		content, err := l.Compressed() // as it was given to static.NewLayer
		if err != nil {
			return err
		}
		blob, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		c.Blobs = append(c.Blobs, blob)
	}
	return nil
}

// index makes an index or manifest list, and adds all that is in it. One with
// attestations is as BuildKit writes it, one without as ko and crane do, which
// say of each image that its type is that of its config.
func (c *content) index(i Image) ([]byte, types.MediaType, error) {
	m := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: i.Annotations}
	if i.Docker {
		m.MediaType = types.DockerManifestList
	}
	var attestations []v1.Descriptor
	for n, platform := range i.Platforms {
		child := i
		if !i.Created.IsZero() && !i.Created.Equal(Epoch) {
			child.Created = i.Created.Add(time.Duration(n) * time.Second)
		}
		image, err := c.build(child, platform)
		if err != nil {
			return nil, "", err
		}
		d, err := c.addChild(image)
		if err != nil {
			return nil, "", err
		}
		if d.Platform, err = v1.ParsePlatform(platform); err != nil {
			return nil, "", err
		}
		if i.Attestations {
			a, err := c.attestation(d.Digest.String())
			if err != nil {
				return nil, "", err
			}
			attestations = append(attestations, a)
		} else if !i.Docker {
			d.ArtifactType = string(types.OCIConfigJSON)
		}
		m.Manifests = append(m.Manifests, d)
	}
	m.Manifests = append(m.Manifests, attestations...)
	body, err := json.Marshal(m)
	return body, m.MediaType, err
}

// addChild adds an image that no tag names, and describes it.
func (c *content) addChild(image v1.Image) (v1.Descriptor, error) {
	body, err := image.RawManifest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return v1.Descriptor{}, err
	}
	c.Manifests = append(c.Manifests, manifest{MediaType: mediaType, Body: body})
	return v1.Descriptor{MediaType: mediaType, Size: int64(len(body)), Digest: sha256Of(body)}, nil
}

// attestation makes the manifest in which BuildKit attests how the image of
// that digest was made: an image for a platform that nothing runs on.
func (c *content) attestation(digest string) (v1.Descriptor, error) {
	unknown := &v1.Platform{OS: "unknown", Architecture: "unknown"}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.ConfigFile(image, &v1.ConfigFile{OS: unknown.OS, Architecture: unknown.Architecture, RootFS: v1.RootFS{Type: "layers"}})
	if err != nil {
		return v1.Descriptor{}, err
	}
	statement := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2","subject":[{"digest":{"sha256":%q}}]}`, digest)
	image, err = mutate.AppendLayers(image, static.NewLayer([]byte(statement), "application/vnd.in-toto+json"))
	if err != nil {
		return v1.Descriptor{}, err
	}
	if err := c.addBlobs(image); err != nil {
		return v1.Descriptor{}, err
	}
	d, err := c.addChild(image)
	d.Platform = unknown
	d.Annotations = map[string]string{"vnd.docker.reference.digest": digest, "vnd.docker.reference.type": "attestation-manifest"}
	return d, err
}
