package main

import (
	"bytes"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

func list(t *testing.T, r *client.Registry) ([]registry.Tag, error) {
	t.Helper()
	var tags []registry.Tag
	err := r.Tags(t.Context(), image, func(tag registry.Tag) { tags = append(tags, tag) })
	return tags, err
}

func TestTags(t *testing.T) {
	const n = 2*pageSize + 7
	d := startDevregistry(t, "60s")
	d.push(image.Repository, n)
	r, _ := open(t, new(plugin), d.principal())
	d.requests()
	tags, err := list(t, r)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		seen[tag.Name] = true
		if !strings.HasPrefix(tag.Digest, "sha256:") || time.Since(tag.Pushed).Abs() > time.Minute || !tag.Created.IsZero() {
			t.Fatalf("tag %+v", tag)
		}
	}
	if len(tags) != n || len(seen) != n || !seen["v1"] || !seen["v1007"] {
		t.Errorf("%d tags, %d of them different, want %d", len(tags), len(seen), n)
	}
	want := map[string]int{"/oauth2/exchange": 1, "/oauth2/token": 1, "/acr/v1/shop/api/_tags": 3}
	got := d.requests()
	for path, n := range want {
		if got[path] != n {
			t.Errorf("%d requests of %s, want %d", got[path], path, n)
		}
	}

	// The next listing has a refresh token.
	if _, err := list(t, r); err != nil {
		t.Fatal(err)
	}
	if got := d.requests()["/oauth2/exchange"]; got != 0 {
		t.Errorf("%d exchanges for the second listing", got)
	}
}

// A listing that breaks off is an error: what was emitted is not all.
func TestTagsPartial(t *testing.T) {
	d := startDevregistry(t, "60s")
	d.push(image.Repository, pageSize+1)
	d.put("/faults", []values{{"class": "cloud", "path": "/_tags", "skip": 1, "count": 1, "status": 500}})
	r, _ := open(t, new(plugin), d.principal())
	tags, err := list(t, r)
	if err == nil || errors.Is(err, registry.ErrAnonymous) || len(tags) != pageSize {
		t.Errorf("%d tags, error %v", len(tags), err)
	}
	if tags, err := list(t, r); err != nil || len(tags) != pageSize+1 {
		t.Errorf("the next time: %d tags, error %v", len(tags), err)
	}
}

// Without the right the host lists the names by itself; the log says so once.
func TestTagsRefused(t *testing.T) {
	d := startDevregistry(t, "60s")
	d.push(image.Repository, 1)
	d.put("/clouds", values{"azure": values{"no_metadata": true}})
	r, h := open(t, new(plugin), d.principal())
	for range 3 {
		if _, err := list(t, r); !errors.Is(err, registry.ErrAnonymous) {
			t.Fatalf("error %v, want ErrAnonymous", err)
		}
	}
	if n := strings.Count(h.Log(), "push times are not known"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
}

func TestTagsOfNothing(t *testing.T) {
	d := startDevregistry(t, "60s")
	r, _ := open(t, new(plugin), d.principal())
	if _, err := list(t, r); !errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("no such repository: error %v, want ErrAnonymous", err)
	}
	err := r.Tags(t.Context(), registry.Request{Host: "registry.invalid", Repository: "a"}, func(registry.Tag) {})
	if !errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("another registry: error %v, want ErrAnonymous", err)
	}
}

// Refresh tokens that expire do not show in listings.
func TestTagsWhileTokensExpire(t *testing.T) {
	const exchanges = 5
	d := startDevregistry(t, "300ms")
	d.push(image.Repository, 1)
	r, _ := open(t, new(plugin), d.principal())
	d.requests()
	for n := 0; n < exchanges; n += d.requests()["/oauth2/exchange"] {
		if tags, err := list(t, r); err != nil || len(tags) != 1 {
			t.Fatalf("%d tags, error %v", len(tags), err)
		}
	}
}

func TestNextLink(t *testing.T) {
	for _, c := range []struct {
		headers []string
		want    string
	}{
		{nil, ""},
		{[]string{`</acr/v1/a/_tags?last=v1&n=2>; rel="next"`}, "/acr/v1/a/_tags?last=v1&n=2"},
		{[]string{`</x>; rel="prev", </y>; rel=next`}, "/y"},
		{[]string{`</x>; rel="prev"`, `</y>; title="a"; rel="next"`}, "/y"},
		{[]string{`/x; rel="next"`}, ""},
		{[]string{`<`, `<>;rel=next`, `;;,`}, ""},
	} {
		if got := nextLink(c.headers); got != c.want {
			t.Errorf("%q: %q, want %q", c.headers, got, c.want)
		}
	}
}

func TestFollow(t *testing.T) {
	const current = "https://proxy.corp/azure/acr/v1/a/b/_tags?n=2"
	for link, want := range map[string]string{
		"/acr/v1/a/b/_tags?last=v1&n=2":                         "https://proxy.corp/azure/acr/v1/a/b/_tags?last=v1&n=2",
		"https://shop.azurecr.io/acr/v1/a/b/_tags?last=v1":      "https://proxy.corp/azure/acr/v1/a/b/_tags?last=v1",
		"https://proxy.corp/azure/acr/v1/a/b/_tags?last=v1&n=2": "https://proxy.corp/azure/acr/v1/a/b/_tags?last=v1&n=2",
		"?last=v1":                    "https://proxy.corp/azure/acr/v1/a/b/_tags?last=v1",
		"/acr/v1/a/b/_tags?n=2":       "",
		"/acr/v1/other/_tags?last=v1": "",
		"/oauth2/token?last=v1":       "",
		"/_tags?last=v1":              "https://proxy.corp/azure/acr/v1/a/b/_tags?last=v1",
		"https://shop.azurecr.io?x=y": "",
		"http://[::1":                 "",
	} {
		got, err := follow(current, link)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", link, got, err, want)
		}
	}
}

// A next page is always on the server that has the token, and never the same.
func FuzzFollow(f *testing.F) {
	for _, seed := range []string{"/acr/v1/a/_tags?last=x", "//evil.example.com/acr/v1/a/_tags?x", "?last=x", "https://u:p@h/_tags?y", "#_tags"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, link string) {
		const current = "https://shop.azurecr.io/acr/v1/a/_tags?n=1"
		next, err := follow(current, link)
		if err != nil {
			return
		}
		u, err := url.Parse(next)
		if err != nil || u.Scheme != "https" || u.Host != "shop.azurecr.io" || u.Path != "/acr/v1/a/_tags" || u.User != nil || next == current {
			t.Errorf("%q leads to %q, %v", link, next, err)
		}
	})
}

func FuzzDecodeTags(f *testing.F) {
	f.Add([]byte(`{"tags":[{"name":"v1","digest":"sha256:00","createdTime":"2024-01-02T03:04:05.678Z","lastUpdateTime":"2024-01-02T03:04:05.678Z"}]}`))
	f.Add([]byte(`{"tags":null}`))
	f.Add([]byte(`{"tags":[{}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		tags, err := decodeTags(bytes.NewReader(body))
		if err == nil && slices.ContainsFunc(tags, func(t registry.Tag) bool { return t.Name == "" }) {
			t.Error("a tag without a name")
		}
	})
}
