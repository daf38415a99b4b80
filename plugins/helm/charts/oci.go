package charts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"helm.sh/helm/v4/pkg/registry"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Bounds of what is read into memory.
const (
	mostManifest   = 4 << 20
	mostProvenance = 1 << 20
	mostTagPages   = 100
)

// repository is the one that holds a chart's versions as tags.
func (s *Store) repository(ref helm.ChartRef, where location, k *keys) (*remote.Repository, error) {
	name := where.Host + strings.TrimSuffix(where.Path, "/")
	if ref.Name != "" {
		name += "/" + ref.Name
	}
	r, err := remote.NewRepository(name)
	if err != nil {
		return nil, fmt.Errorf("oci://%s: %w", name, err)
	}
	client, err := s.client(where.auth)
	if err != nil {
		return nil, err
	}
	k.request.Host, k.request.Repository = where.Host, r.Reference.Repository
	c := &auth.Client{Client: client, Cache: auth.NewCache(), Credential: k.credential}
	c.SetUserAgent(s.UserAgent)
	r.Client = c
	r.PlainHTTP = loopback(where.Host) && where.auth.CA == ""
	r.TagListMaxPages = mostTagPages
	r.MaxMetadataBytes = mostManifest
	return r, nil
}

// in does something with the repository of a chart. Where the registry refuses
// what the host has given, the host is asked anew, once: a password may have
// changed.
func (s *Store) in(ref helm.ChartRef, where location, do func(*remote.Repository) error) error {
	k := &keys{own: where.auth, host: s.Host}
	err := s.try(ref, where, k, do)
	if _, ok := errors.AsType[*refusal](err); !ok || k.given.IsZero() {
		return err
	}
	k.request.Refused = k.given
	err = s.try(ref, where, k, do)
	if refused, ok := errors.AsType[*refusal](err); ok {
		refused.why = fmt.Sprintf("it does not accept what registry_credential blocks give for it, of user %q: see `sluice credentials explain %s/%s`", k.user, k.request.Host, k.request.Repository)
	}
	return err
}

func (s *Store) try(ref helm.ChartRef, where location, k *keys, do func(*remote.Repository) error) error {
	r, err := s.repository(ref, where, k)
	if err != nil {
		return err
	}
	return do(r)
}

// findArtifact resolves a chart of an OCI registry.
func (s *Store) findArtifact(ctx context.Context, ref helm.ChartRef, where location) (f found, err error) {
	err = s.in(ref, where, func(r *remote.Repository) error {
		f, err = findIn(ctx, r, where, ref.Version)
		return err
	})
	return f, err
}

func findIn(ctx context.Context, r *remote.Repository, where location, version string) (found, error) {
	if !exact(version) {
		var err error
		if version, err = newest(ctx, r, where, version); err != nil {
			return found{}, err
		}
	}
	manifest, err := r.Resolve(ctx, tagOf(version))
	if errors.Is(err, errdef.ErrNotFound) {
		return found{}, fmt.Errorf("%s has no version %s", where, version)
	}
	if err != nil {
		return found{}, registryError(ctx, where, err)
	}
	return found{version: version, digest: manifest.Digest.String()}, nil
}

// tagOf is the tag of a version: a tag cannot hold a plus sign.
func tagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }

func newest(ctx context.Context, r *remote.Repository, where location, want string) (string, error) {
	var versions []string
	err := r.Tags(ctx, "", func(tags []string) error {
		for _, tag := range tags {
			versions = append(versions, strings.ReplaceAll(tag, "_", "+"))
		}
		return nil
	})
	if err != nil {
		return "", registryError(ctx, where, err)
	}
	i, err := pick(versions, want)
	if err != nil {
		return "", fmt.Errorf("%s: %w", where, err)
	}
	return versions[i], nil
}

// registryError says which registry it was, and what it said.
func registryError(ctx context.Context, where location, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %w", where, cause)
	}
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		return fmt.Errorf("%s wants credentials, and none are set for it: %s", where, wanting)
	}
	if keyless, ok := errors.AsType[*keyless](err); ok {
		return fmt.Errorf("%s: %w", where, keyless)
	}
	if answer, ok := errors.AsType[*errcode.ErrorResponse](err); ok {
		return refused(where, &http.Response{StatusCode: answer.StatusCode, Status: fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode)), Header: http.Header{}})
	}
	return unreachable(ctx, where, err)
}

// pullArtifact returns the archive of an exact chart of an OCI registry.
func (s *Store) pullArtifact(ctx context.Context, ref helm.ChartRef, where location, want string) (file string, err error) {
	err = s.in(ref, where, func(r *remote.Repository) error {
		file, err = s.pullFrom(ctx, r, ref, where.of(ref.Name), want)
		return err
	})
	return file, err
}

func (s *Store) pullFrom(ctx context.Context, r *remote.Repository, ref helm.ChartRef, where location, want string) (string, error) {
	manifest, err := manifestOf(ctx, r, where, want)
	if err != nil {
		return "", err
	}
	layer, ok := layerOf(manifest, registry.ChartLayerMediaType, registry.LegacyChartLayerMediaType)
	if !ok {
		return "", fmt.Errorf("%s@%s is no chart: it has no layer of the type %s", where, want, registry.ChartLayerMediaType)
	}
	file, ok := s.kept(where, layer.Digest.String())
	if !ok {
		if layer.Size > s.MaxChart {
			return "", fmt.Errorf("%s: %w", where, tooLarge(s.MaxChart))
		}
		body, err := r.Blobs().Fetch(ctx, layer)
		if err != nil {
			return "", registryError(ctx, where, err)
		}
		defer func() { _ = body.Close() }()
		if _, err := s.keep(where, where, &http.Response{Body: body, ContentLength: layer.Size}, layer.Digest.String()); err != nil {
			return "", err
		}
	}
	if ref.Keyring == "" {
		return file, nil
	}
	return file, checkArtifact(ctx, r, where, ref, manifest, file)
}

func manifestOf(ctx context.Context, r *remote.Repository, where location, want string) (*ocispec.Manifest, error) {
	if _, err := digest.Parse(want); err != nil {
		return nil, fmt.Errorf("%s: %q is no digest", where, want)
	}
	d, err := r.Resolve(ctx, want)
	if err != nil {
		return nil, registryError(ctx, where, err)
	}
	if d.Size > mostManifest {
		return nil, fmt.Errorf("%s@%s: the manifest is too large", where, want)
	}
	text, err := content.FetchAll(ctx, r.Manifests(), d) // checks the digest
	if err != nil {
		return nil, registryError(ctx, where, err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s@%s: the manifest is malformed: %w", where, want, err)
	}
	return &m, nil
}

func layerOf(m *ocispec.Manifest, types ...string) (ocispec.Descriptor, bool) {
	for _, layer := range m.Layers {
		if slices.Contains(types, layer.MediaType) {
			return layer, true
		}
	}
	return ocispec.Descriptor{}, false
}

// checkArtifact verifies the provenance that is beside a chart.
func checkArtifact(ctx context.Context, r *remote.Repository, where location, ref helm.ChartRef, m *ocispec.Manifest, file string) error {
	layer, ok := layerOf(m, registry.ProvLayerMediaType)
	if !ok {
		return fmt.Errorf("%s: the chart is not signed", where)
	}
	if layer.Size > mostProvenance {
		return fmt.Errorf("%s: the provenance is too large", where)
	}
	body, err := r.Blobs().Fetch(ctx, layer)
	if err != nil {
		return registryError(ctx, where, err)
	}
	defer func() { _ = body.Close() }()
	provenance, err := io.ReadAll(io.LimitReader(body, mostProvenance))
	if err != nil {
		return registryError(ctx, where, err)
	}
	return verify(ref, file, fmt.Sprintf("%s-%s.tgz", ref.Name, ref.Version), provenance)
}
