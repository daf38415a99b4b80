package dialect

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
)

// harbor serves the artifacts of Harbor's API, version 2.0: by digest with
// their tags, newest first where that is asked for, 100 a page at most.
type harbor struct{ Storage }

const (
	harborPrefix   = "/api/v2.0/projects/"
	harborPageSize = 100
)

// Match finds the repository in .../projects/P/repositories/R/artifacts. The
// slashes of R are encoded twice.
func (harbor) Match(r *http.Request) (repository string, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.Path, harborPrefix)
	rest, isArtifacts := strings.CutSuffix(rest, "/artifacts")
	project, name, isRepository := strings.Cut(rest, "/repositories/")
	if !ok || !isArtifacts || !isRepository || r.Method != http.MethodGet || strings.Contains(name, "/") {
		return "", false
	}
	name, err := url.PathUnescape(name)
	return project + "/" + name, err == nil
}

type harborArtifact struct {
	Digest            string         `json:"digest"`
	Type              string         `json:"type"`
	MediaType         string         `json:"media_type"`
	ManifestMediaType string         `json:"manifest_media_type"`
	Size              int64          `json:"size"`
	PushTime          time.Time      `json:"push_time"`
	Tags              []harborTag    `json:"tags"` // null without
	ExtraAttrs        map[string]any `json:"extra_attrs"`
}

type harborTag struct {
	Name      string    `json:"name"`
	PushTime  time.Time `json:"push_time"`
	PullTime  time.Time `json:"pull_time"`
	Immutable bool      `json:"immutable"`
}

func (h harbor) Serve(w http.ResponseWriter, r *http.Request, repository string, may bool) {
	query := r.URL.Query()
	size := sizeOf(query.Get("page_size"), 10, harborPageSize+1)
	switch {
	case !may:
		harborError(w, http.StatusUnauthorized, "UNAUTHORIZED", "unauthorized")
		return
	case size > harborPageSize:
		harborError(w, http.StatusUnprocessableEntity, "UNPROCESSABLE_ENTITY",
			"validation failure list:\npage_size in query should be less than or equal to 100")
		return
	}
	tags, err := h.Tags(r.Context(), repository)
	if err != nil {
		harborError(w, statusOf(err), "NOT_FOUND", "repository "+repository+" not found")
		return
	}
	artifacts := group(tags, query.Get("with_tag") != "false")
	if query.Get("sort") == "-push_time" {
		slices.SortStableFunc(artifacts, func(a, b harborArtifact) int { return b.PushTime.Compare(a.PushTime) })
	}
	p := pageOf(query.Get("page"), size, len(artifacts))
	if p.more {
		query.Set("page", strconv.Itoa(p.number+1))
		w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", r.URL.EscapedPath(), query.Encode()))
	}
	w.Header().Set("X-Total-Count", strconv.Itoa(len(artifacts)))
	shown := artifacts[p.start:p.end]
	for i := range shown {
		h.describe(r, &shown[i])
	}
	answer(w, http.StatusOK, shown)
}

// group makes artifacts of tags, in the order of the digests' first tags.
func group(tags []cloud.Tag, withTags bool) []harborArtifact {
	out, at := []harborArtifact{}, map[string]int{}
	for _, t := range tags {
		i, ok := at[t.Digest]
		if !ok {
			i = len(out)
			at[t.Digest] = i
			out = append(out, harborArtifact{Digest: t.Digest, Type: "IMAGE", PushTime: t.Pushed})
		}
		if t.Pushed.Before(out[i].PushTime) {
			out[i].PushTime = t.Pushed // the artifact came with its first tag
		}
		if withTags {
			out[i].Tags = append(out[i].Tags, harborTag{Name: t.Name, PushTime: t.Pushed})
		}
	}
	return out
}

func (h harbor) describe(r *http.Request, a *harborArtifact) {
	i := read(r.Context(), h.Storage, a.Digest)
	a.ManifestMediaType, a.Size, a.ExtraAttrs = i.mediaType, i.size, map[string]any{}
	a.MediaType = "application/vnd.oci.image.config.v1+json"
	if i.isIndex() {
		a.MediaType = i.mediaType
		return
	}
	a.ExtraAttrs["architecture"], a.ExtraAttrs["os"] = i.config.Architecture, i.config.OS
	if !i.config.Created.IsZero() {
		a.ExtraAttrs["created"] = i.config.Created
	}
}

func harborError(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}
