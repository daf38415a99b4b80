package registrytest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Broken is a way in which an image is broken.
type Broken string

// The ways.
const (
	NoConfig     Broken = "config blob missing"
	NoChild      Broken = "child manifests missing" // of an index
	NotJSON      Broken = "manifest is not JSON"
	NotAManifest Broken = "manifest is other JSON"
	NotAConfig   Broken = "config is not JSON"
	BadCreated   Broken = "created is no time" // in the config
	HugeManifest Broken = "manifest of 8 MiB"  // valid otherwise
	Artifact     Broken = "no image at all"    // an OCI artifact, whose config says nothing
)

// PushBroken stores a broken image under tag and returns the digest that the
// tag names.
func (r *Registry) PushBroken(repository, tag string, how Broken) (digest string) {
	r.t.Helper()
	c := content{Repository: repository}
	digest, err := c.addBroken(tag, how)
	if err != nil {
		r.t.Fatalf("make an image (%s): %v", how, err)
	}
	r.must("POST", "/content", c, nil)
	return digest
}

func (c *content) addBroken(tag string, how Broken) (digest string, err error) {
	image := Image{Tags: []string{tag}, Content: tag + " " + string(how)}
	switch how {
	case NoConfig:
		digest, err = c.addImage(image)
		c.Blobs = nil
	case NoChild:
		image.Index = true
		digest, err = c.addImage(image)
		c.Manifests = c.Manifests[len(c.Manifests)-1:]
	case HugeManifest:
		image.Annotations = map[string]string{"padding": strings.Repeat("x", 8<<20)}
		digest, err = c.addImage(image)
		c.Manifests[len(c.Manifests)-1].Raw = true // distribution serves none above 4 MiB
	case NotJSON:
		digest = c.addRaw(tag, "<html><body>Sign in, please</body></html> "+tag)
	case NotAManifest:
		digest = c.addRaw(tag, fmt.Sprintf(`{"schemaVersion":2,"tag":%q}`, tag))
	case NotAConfig:
		digest, err = c.addWithConfig(tag, types.OCIConfigJSON, "no JSON: "+tag)
	case BadCreated:
		digest, err = c.addWithConfig(tag, types.OCIConfigJSON, fmt.Sprintf(`{"os":"linux","architecture":"amd64","created":"yesterday","author":%q}`, tag))
	case Artifact:
		digest, err = c.addWithConfig(tag, "application/vnd.oci.empty.v1+json", "{}")
	default:
		err = errors.New("there is no such way to break one")
	}
	return digest, err
}

// addRaw adds what is served as a manifest though it is none.
func (c *content) addRaw(tag, body string) (digest string) {
	c.Manifests = append(c.Manifests, manifest{
		MediaType: types.OCIManifestSchema1, Body: []byte(body), Tags: []string{tag}, Raw: true,
	})
	return sha256Of([]byte(body)).String()
}

// addWithConfig adds a manifest around a config of any kind.
func (c *content) addWithConfig(tag string, configType types.MediaType, config string) (digest string, err error) {
	layer := []byte("layer of " + tag)
	body, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: configType, Size: int64(len(config)), Digest: sha256Of([]byte(config))},
		Layers:        []v1.Descriptor{{MediaType: types.OCILayer, Size: int64(len(layer)), Digest: sha256Of(layer)}},
	})
	if err != nil {
		return "", err
	}
	c.Blobs = append(c.Blobs, []byte(config), layer)
	c.Manifests = append(c.Manifests, manifest{MediaType: types.OCIManifestSchema1, Body: body, Tags: []string{tag}})
	return sha256Of(body).String(), nil
}

func sha256Of(content []byte) v1.Hash {
	sum := sha256.Sum256(content)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}
