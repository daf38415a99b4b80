package front

import (
	"net/http"
	"strings"

	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
)

// Class tells what a request on the registry's host is for, by the paths of the
// distribution API.
func Class(r *http.Request) record.Class {
	path := r.URL.Path
	if path == TokenPath {
		return record.Token
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	switch {
	case !ok || rest == "_catalog":
		return record.Other
	case rest == "":
		return record.Ping
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return record.Push
	}
	_, kind := split(rest)
	switch {
	case kind == "tags":
		return record.Tags
	case kind == "manifests" && r.Method == http.MethodHead:
		return record.ManifestHead
	case kind == "manifests":
		return record.ManifestGet
	case kind == "blobs":
		return record.Blob
	}
	return record.Other
}

// Repository returns the repository that a path of the distribution API names,
// or "".
func Repository(path string) string {
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return ""
	}
	repository, _ := split(rest)
	return repository
}

// split cuts "a/b/manifests/latest" into "a/b" and "manifests".
func split(rest string) (repository, kind string) {
	if repository, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return repository, "tags"
	}
	for _, kind := range []string{"manifests", "blobs"} {
		if i := strings.LastIndex(rest, "/"+kind+"/"); i > 0 {
			return rest[:i], kind
		}
	}
	return "", ""
}
