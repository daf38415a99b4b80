package storage

import (
	"path"
	"regexp"

	"github.com/opencontainers/go-digest"
)

// The layout of distribution's storage, which is stable: other registries read
// it too.
const root = "/docker/registry/v2"

var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

func repositoryPath(repository string) string {
	return path.Join(root, "repositories", path.Clean("/"+repository))
}

func tagsPath(repository string) string {
	return path.Join(repositoryPath(repository), "_manifests/tags")
}

func blobPath(d digest.Digest) string {
	return path.Join(root, "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded(), "data")
}

func revisionPath(repository string, d digest.Digest) string {
	return path.Join(repositoryPath(repository), "_manifests/revisions", algorithmPath(d), "link")
}

func algorithmPath(d digest.Digest) string { return path.Join(d.Algorithm().String(), d.Encoded()) }
