package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// The n of tags/list: as many as a registry gives at once, which is 1000 at
// most of them; less, and at last none, where it refuses that. Google's give
// everything with a number that is large enough.
const (
	pageSize       = "1000"
	pageSizeQuay   = "100"
	pageSizeGoogle = "10000"
	pageSizeLife   = 24 * time.Hour
)

// smallerPage is what to try after a page size that was refused.
var smallerPage = map[string]string{pageSizeGoogle: pageSize, pageSize: pageSizeQuay, pageSizeQuay: ""}

// tagPage is an answer of tags/list, with the extension of Google's registries,
// which tell digests and times.
type tagPage struct {
	Name     *string      `json:"name"`
	Tags     *tagNames    `json:"tags"`
	Manifest googleImages `json:"manifest"`
}

// tagNames and googleImages take far more memory than the text that they are
// read from if that is made for it, so they are counted first.
type (
	tagNames     []string
	googleImages map[string]googleImage
	googleImage  struct {
		Tags     []string   `json:"tag"`
		Created  unixMillis `json:"timeCreatedMs"`
		Uploaded unixMillis `json:"timeUploadedMs"`
	}
)

func (n *tagNames) UnmarshalJSON(data []byte) error {
	if bytes.Count(data, []byte{','}) >= maxTags {
		return errManyTags
	}
	return json.Unmarshal(data, (*[]string)(n))
}

func (m *googleImages) UnmarshalJSON(data []byte) error {
	if bytes.Count(data, []byte{'{'}) > maxTags {
		return errManyTags
	}
	return json.Unmarshal(data, (*map[string]googleImage)(m))
}

// generic lists by the registry protocol, following links until there is none.
func (l *listing) generic(ctx context.Context) error {
	a, err := l.firstPage(ctx)
	if err != nil {
		return err
	}
	if d := l.dialect(); d != nil { // the first answer told whose registry this is
		if err := l.native(ctx, d); !l.refused(err) {
			return err
		}
		l.c.without.put(l.repository(), struct{}{}, refusalLife)
	}
	l.result.Native = true
	for {
		if err := l.addPage(a); err != nil {
			return err
		}
		link := nextLink(a.header)
		if link == "" {
			return nil
		}
		u, err := l.t.follow(a.url, link)
		if err != nil {
			return l.broken(err.Error())
		}
		if l.result.Native { // Google's, which gives everything at once if asked
			l.c.pages.put(l.t.req.Host, pageSizeGoogle, pageSizeLife)
		}
		if a, err = l.page(ctx, l.c.get, u); err != nil {
			return err
		}
	}
}

// firstPage finds the page size that the registry takes.
func (l *listing) firstPage(ctx context.Context) (*answer, error) {
	for n := l.pageSize(); ; n = smallerPage[n] {
		below := "tags/list"
		if n != "" {
			below += "?n=" + n
		}
		u, err := l.t.url(below)
		if err != nil {
			return nil, err
		}
		a, err := l.page(ctx, l.c.get, u)
		if n == "" || !hasStatus(err, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity) {
			return a, err
		}
		l.c.pages.put(l.t.req.Host, smallerPage[n], pageSizeLife)
	}
}

func (l *listing) pageSize() string {
	if n, ok := l.c.pages.get(l.t.req.Host); ok {
		return n
	}
	switch l.t.api() {
	case apiGoogle:
		return pageSizeGoogle
	case apiQuay:
		return pageSizeQuay
	}
	return pageSize
}

// addPage adds the tags of a page. The listing is native if all pages tell
// times.
func (l *listing) addPage(a *answer) error {
	var p tagPage
	switch err := json.Unmarshal(a.body, &p); {
	case errors.Is(err, errManyTags):
		return l.broken(errManyTags.Error())
	case err != nil || p.Name == nil && p.Tags == nil:
		return l.broken(errForm.Error())
	}
	for digest, m := range p.Manifest {
		for _, name := range m.Tags {
			l.result.Native = l.result.Native && !m.Uploaded.IsZero()
			l.add(known(registry.Tag{Name: name, Digest: digest, Pushed: m.Uploaded.Time, Created: m.Created.Time}))
		}
	}
	if p.Tags == nil {
		p.Tags = new(tagNames)
	}
	for _, name := range *p.Tags {
		if _, ok := l.seen[name]; !ok && len(p.Manifest) > 0 {
			l.result.Native = false // a tag without a time
		}
		l.add(registry.Tag{Name: name})
	}
	l.result.Native = l.result.Native && len(p.Manifest) > 0
	return l.checkSize()
}

// unixMillis is a time in milliseconds since 1970, as a string or a number;
// anything else is zero.
type unixMillis struct{ time.Time }

// UnmarshalJSON never fails: a time is not what a listing fails for.
func (m *unixMillis) UnmarshalJSON(data []byte) error {
	if n, err := strconv.ParseInt(unquoted(data), 10, 64); err == nil && n > 0 {
		m.Time = time.UnixMilli(n).UTC()
	}
	return nil
}

func unquoted(data []byte) string {
	var s string
	if json.Unmarshal(data, &s) == nil {
		return s
	}
	return string(data)
}
