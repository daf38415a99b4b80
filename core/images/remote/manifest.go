package remote

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sluice-gitops/sluice/core/images/cache"
)

const (
	maxManifest  = 4 << 20
	maxMediaType = 255
)

// manifestTypes are what is understood, in the order of preference: an index
// tells all platforms. Schema 1 is what very old registries have.
var manifestTypes = strings.Join([]string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
	string(types.DockerManifestSchema1Signed), string(types.DockerManifestSchema1),
}, ", ")

// manifest is what is used of all kinds of manifests. Which kind it is, its
// fields tell; media types are not always right.
type manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Annotations   map[string]string `json:"annotations"`
	Manifests     *[]descriptor     `json:"manifests"` // of an index
	Config        *descriptor       `json:"config"`    // of an image
	History       []struct {        // of schema 1
		V1Compatibility string `json:"v1Compatibility"`
	} `json:"history"`

	digest string
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Data         []byte            `json:"data"` // the content itself, if it is small
	Annotations  map[string]string `json:"annotations"`
	ArtifactType string            `json:"artifactType"`
	Platform     *struct {
		Architecture string `json:"architecture"`
		OS           string `json:"os"`
		OSVersion    string `json:"os.version"`
		Variant      string `json:"variant"`
	} `json:"platform"`
}

// manifest reads a manifest by tag or digest and checks its digest. If the tag
// still has the digest unless, it returns nil.
func (c *Client) manifest(ctx context.Context, t *target, ref, unless string) (*manifest, error) {
	k, err := t.manifestCall(http.MethodGet, ref)
	if err != nil {
		return nil, err
	}
	if unless != "" {
		k.header.Set("If-None-Match", `"`+unless+`"`)
	}
	a, err := c.do(ctx, t, k)
	if err != nil {
		return nil, err
	}
	if unless != "" && a.status == http.StatusNotModified {
		return nil, nil
	}
	if err := t.check(k, a); err != nil {
		return nil, err
	}
	m, err := readManifest(a, ref)
	if err != nil {
		return nil, t.broken(k.asked, err)
	}
	return m, nil
}

// readManifest takes from the answer what its digest vouches for, and nothing
// else: what is recorded of a digest is used wherever the digest comes up.
func readManifest(a *answer, ref string) (*manifest, error) {
	content, err := withoutSignatures(a.body)
	if err != nil {
		return nil, err
	}
	var m manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, errForm
	}
	m.digest = a.header.Get("Docker-Content-Digest")
	if validDigest(ref) {
		m.digest = ref
	}
	if !validDigest(m.digest) {
		m.digest = digestOf(content, "")
	} else if err := verify(content, m.digest); err != nil {
		return nil, err
	}
	if kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err == nil && m.MediaType == "" && strings.HasPrefix(kind, "application/vnd.") {
		m.MediaType = kind
	}
	if len(m.MediaType) > maxMediaType {
		return nil, errForm
	}
	return &m, nil
}

// errForm is about JSON that is none, or holds other things than it should.
var errForm = errors.New("it is not JSON of the expected form")

// child is one image of an index.
type child struct {
	platform cache.Platform
	media    string
}

// children returns the images of an index: without attestations, signatures,
// what is for no platform known to anyone, and indexes within the index.
func (m *manifest) children() ([]child, error) {
	var found []child
	for _, d := range *m.Manifests {
		if !validDigest(d.Digest) {
			return nil, errors.New("its index names something without a valid digest")
		}
		if d.skipped() {
			continue
		}
		p := cache.Platform{Digest: d.Digest}
		if d.Platform != nil {
			p.OS, p.Architecture, p.Variant, p.OSVersion = d.Platform.OS, d.Platform.Architecture, d.Platform.Variant, d.Platform.OSVersion
		}
		found = append(found, child{p, d.MediaType})
	}
	return found, nil
}

func (d descriptor) skipped() bool {
	media := types.MediaType(d.MediaType)
	return d.MediaType != "" && !media.IsImage() && !media.IsSchema1() ||
		d.ArtifactType != "" && !isConfigType(d.ArtifactType) ||
		d.Annotations["vnd.docker.reference.type"] != "" ||
		d.Platform != nil && d.Platform.OS == "unknown"
}

// preferred is the index of the image whose config tells about all: that for
// linux/amd64, else the first.
func preferred(all []child) int {
	for i, c := range all {
		if c.platform.OS == "linux" && c.platform.Architecture == "amd64" {
			return i
		}
	}
	return 0
}
