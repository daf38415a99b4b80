package dialect

import (
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/front"
	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
)

// google answers tags/list as gcr.io and pkg.dev do: all tags at once, with a
// map of manifests that tells the times.
type google struct{ Storage }

type googleManifest struct {
	ImageSizeBytes string   `json:"imageSizeBytes"`
	LayerID        string   `json:"layerId"`
	MediaType      string   `json:"mediaType"`
	Tag            []string `json:"tag"`
	TimeCreatedMs  string   `json:"timeCreatedMs"`
	TimeUploadedMs string   `json:"timeUploadedMs"`
}

func (g google) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if front.Class(r) != record.Tags {
		g.Storage.ServeHTTP(w, r)
		return
	}
	repository := front.Repository(r.URL.Path)
	tags, err := g.Tags(r.Context(), repository)
	if err != nil {
		g.Storage.ServeHTTP(w, r) // says it in the right form
		return
	}
	names, manifests := []string{}, map[string]*googleManifest{}
	for _, t := range tags {
		names = append(names, t.Name)
		m := manifests[t.Digest]
		if m == nil {
			i := read(r.Context(), g.Storage, t.Digest)
			m = &googleManifest{
				ImageSizeBytes: strconv.FormatInt(i.size, 10),
				MediaType:      i.mediaType,
				TimeCreatedMs:  milliseconds(i.config.Created), // of an index: 0
				TimeUploadedMs: milliseconds(t.Pushed),
			}
			manifests[t.Digest] = m
		}
		m.Tag = append(m.Tag, t.Name)
	}
	answer(w, http.StatusOK, map[string]any{"name": repository, "child": []string{}, "manifest": manifests, "tags": names})
}

func milliseconds(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return strconv.FormatInt(t.UnixMilli(), 10)
}
