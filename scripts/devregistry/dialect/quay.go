package dialect

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
)

// quay serves the tags of quay.io's API, version 1: newest first, 100 a page at
// most.
type quay struct{ Storage }

const quayPrefix = "/api/v1/repository/"

func (quay) Match(r *http.Request) (repository string, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.Path, quayPrefix)
	if !ok || r.Method != http.MethodGet {
		return "", false
	}
	return strings.CutSuffix(rest, "/tag/")
}

type quayTag struct {
	Name           string `json:"name"`
	Reversion      bool   `json:"reversion"`
	StartTS        int64  `json:"start_ts"`
	ManifestDigest string `json:"manifest_digest"`
	IsManifestList bool   `json:"is_manifest_list"`
	Size           *int64 `json:"size"` // null for a list
	LastModified   string `json:"last_modified"`
}

func (q quay) Serve(w http.ResponseWriter, r *http.Request, repository string, may bool) {
	if !may {
		quayError(w, http.StatusUnauthorized, "insufficient_scope", "Requires authentication")
		return
	}
	tags, err := q.Tags(r.Context(), repository)
	if err != nil {
		quayError(w, statusOf(err), "not_found", "Not Found")
		return
	}
	query := r.URL.Query()
	if like, ok := strings.CutPrefix(query.Get("filter_tag_name"), "like:"); ok {
		tags = slices.DeleteFunc(tags, func(t cloud.Tag) bool { return !strings.Contains(t.Name, like) })
	}
	newestFirst(tags)
	p := pageOf(query.Get("page"), sizeOf(query.Get("limit"), 50, 100), len(tags))
	out := []quayTag{}
	for _, t := range tags[p.start:p.end] {
		i := read(r.Context(), q.Storage, t.Digest)
		tag := quayTag{
			Name: t.Name, StartTS: t.Pushed.Unix(), ManifestDigest: t.Digest, IsManifestList: i.isIndex(),
			LastModified: t.Pushed.UTC().Format(time.RFC1123Z),
		}
		if !i.isIndex() {
			tag.Size = &i.size
		}
		out = append(out, tag)
	}
	answer(w, http.StatusOK, map[string]any{"tags": out, "page": p.number, "has_additional": p.more})
}

func quayError(w http.ResponseWriter, status int, kind, message string) {
	answer(w, status, map[string]any{
		"status": status, "error_type": kind, "title": kind, "error_message": message, "detail": message,
		"type": "https://quay.io/api/v1/error/" + kind,
	})
}
