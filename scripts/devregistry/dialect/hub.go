package dialect

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// hub serves the tags of hub.docker.com's API, version 2, on the registry's own
// host: newest first.
type hub struct{ Storage }

// hubPageSize is the most that the API is known to give.
const hubPageSize = 1000

// Match finds the repository in /v2/repositories/NAMESPACE/NAME/tags, with or
// without a slash at the end.
func (hub) Match(r *http.Request) (repository string, ok bool) {
	rest, ok := strings.CutPrefix(r.URL.Path, "/v2/repositories/")
	repository, isTags := strings.CutSuffix(strings.TrimSuffix(rest, "/"), "/tags")
	return repository, ok && isTags && r.Method == http.MethodGet
}

type hubTag struct {
	Name          string     `json:"name"`
	Digest        string     `json:"digest"`
	MediaType     string     `json:"media_type"`
	ContentType   string     `json:"content_type"`
	FullSize      int64      `json:"full_size"`
	LastUpdated   time.Time  `json:"last_updated"`
	TagLastPushed time.Time  `json:"tag_last_pushed"`
	TagStatus     string     `json:"tag_status"`
	V2            bool       `json:"v2"`
	Images        []hubImage `json:"images"`
}

type hubImage struct {
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Variant      *string   `json:"variant"`
	Digest       string    `json:"digest"`
	Size         int64     `json:"size"`
	Status       string    `json:"status"`
	LastPushed   time.Time `json:"last_pushed"`
}

func (h hub) Serve(w http.ResponseWriter, r *http.Request, repository string, may bool) {
	tags, err := h.Tags(r.Context(), repository)
	if err != nil || !may { // what is private is not there for others
		answer(w, http.StatusNotFound, map[string]any{"message": "object not found", "errinfo": map[string]string{}})
		return
	}
	newestFirst(tags)
	query := r.URL.Query()
	p := pageOf(query.Get("page"), sizeOf(query.Get("page_size"), 10, hubPageSize), len(tags))
	results := []hubTag{}
	for _, t := range tags[p.start:p.end] {
		i := read(r.Context(), h.Storage, t.Digest)
		results = append(results, hubTag{
			Name: t.Name, Digest: t.Digest, MediaType: i.mediaType, ContentType: "image", FullSize: i.size,
			LastUpdated: t.Pushed, TagLastPushed: t.Pushed, TagStatus: "active", V2: true, Images: hubImages(i, t.Digest, t.Pushed),
		})
	}
	link := func(there bool, number int) *string {
		if !there {
			return nil
		}
		query.Set("page", strconv.Itoa(number))
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		u := scheme + "://" + r.Host + r.URL.Path + "?" + query.Encode()
		return &u
	}
	answer(w, http.StatusOK, map[string]any{
		"count": len(tags), "next": link(p.more, p.number+1), "previous": link(p.number > 1, p.number-1), "results": results,
	})
}

func hubImages(i image, digest string, pushed time.Time) []hubImage {
	if !i.isIndex() {
		return []hubImage{{
			Architecture: i.config.Architecture, OS: i.config.OS, Digest: digest, Size: i.size, Status: "active", LastPushed: pushed,
		}}
	}
	var out []hubImage
	for _, d := range i.children {
		child := hubImage{
			Architecture: d.Platform.Architecture, OS: d.Platform.OS, Digest: d.Digest, Size: d.Size, Status: "active", LastPushed: pushed,
		}
		if d.Platform.Variant != "" {
			child.Variant = &d.Platform.Variant
		}
		out = append(out, child)
	}
	return out
}
