package cache_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, dir string, maxBytes int64) *cache.Cache {
	t.Helper()
	c, err := cache.Open(dir, cache.Options{MaxBytes: maxBytes, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, cache.ErrClosed) {
			t.Error(err)
		}
	})
	return c
}

// reopen closes c and opens it again from the file.
func reopen(t testing.TB, c *cache.Cache, dir string, maxBytes int64) *cache.Cache {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, maxBytes)
}

func flush(t testing.TB, c *cache.Cache) {
	t.Helper()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, c *cache.Cache, k cache.Key, tags []registry.Tag) {
	t.Helper()
	if _, err := c.PutListing(k, cache.Listing{Tags: tags, At: noon}); err != nil {
		t.Fatal(err)
	}
}

func stats(t testing.TB, c *cache.Cache) cache.Stats {
	t.Helper()
	s, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tags returns n tags as a build server makes them, sorted by name.
func tags(n int, native bool) []registry.Tag {
	list := make([]registry.Tag, n)
	for i := range list {
		list[i].Name = fmt.Sprintf("master-%06d-%07x", i, uint32(i)*2654435761>>4)
		if native {
			at := noon.Add(time.Duration(i) * 1337 * time.Second)
			list[i].Digest, list[i].Pushed, list[i].Created = digest(i), at, at.Add(-time.Minute+123*time.Millisecond)
		}
	}
	return list
}

func image(n int) cache.Image {
	return cache.Image{
		Digest: digest(n), MediaType: "application/vnd.oci.image.index.v1+json", Created: noon.Add(time.Duration(n) * time.Second),
		CreatedFrom: "config of linux/amd64", Labels: map[string]string{"org.opencontainers.image.revision": fmt.Sprintf("%040x", n)},
		Platforms: []cache.Platform{
			{OS: "linux", Architecture: "amd64", Digest: digest(n + 1e6)}, {OS: "linux", Architecture: "arm64", Variant: "v8", Digest: digest(n + 2e6)},
		},
	}
}

func TestListing(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	if _, ok := c.Listing(key("app")); ok {
		t.Error("an empty cache has a listing")
	}
	given := []registry.Tag{
		{Name: "b", Digest: "sha256:" + strings.Repeat("ab", 32), Pushed: noon},
		{Name: "a", Digest: "md5:odd", Created: noon.Add(time.Nanosecond).In(time.FixedZone("", 3600))},
		{Name: ""},
		{Name: strings.Repeat("x", 129)},
		{Name: "b", Digest: "sha512:" + strings.Repeat("ab", 64), Pushed: noon.Add(time.Hour)},
		{Name: "c", Digest: strings.Repeat("x", 999), Pushed: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)},
	}
	before := append([]registry.Tag(nil), given...)
	changed, err := c.PutListing(key("app"), cache.Listing{Tags: given, At: noon, Native: true})
	if !changed || err != nil {
		t.Fatal(changed, err)
	}
	if diff := cmp.Diff(before, given); diff != "" {
		t.Errorf("the caller's tags were changed:\n%s", diff)
	}
	want := cache.Listing{At: noon, Changed: noon, Native: true, Tags: []registry.Tag{
		{Name: "a", Digest: "md5:odd", Created: noon.Add(time.Nanosecond)},
		{Name: "b", Digest: "sha512:" + strings.Repeat("ab", 64), Pushed: noon.Add(time.Hour)},
		{Name: "c"},
	}}
	check := func(when string) {
		t.Helper()
		got, ok := c.Listing(key("app"))
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s: %v\n%s", when, ok, diff)
		}
	}
	check("before it is written")
	flush(t, c)
	check("after it was written")
	c = reopen(t, c, dir, 0)
	check("after a restart")

	later := noon.Add(time.Minute)
	changed, err = c.PutListing(key("app"), cache.Listing{Tags: []registry.Tag{want.Tags[2], want.Tags[0], want.Tags[1]}, At: later})
	if changed || err != nil {
		t.Errorf("the same tags in another order: %v, %v", changed, err)
	}
	want.At, want.Native = later, false
	check("after nothing has changed")
	changed, err = c.PutListing(key("app"), cache.Listing{At: later})
	if !changed || err != nil {
		t.Errorf("no tags any more: %v, %v", changed, err)
	}
	want.Tags, want.Changed = []registry.Tag{}, later
	check("without tags")
}

func TestKeysDoNotMix(t *testing.T) {
	c := open(t, t.TempDir(), 0)
	keys := []cache.Key{
		{Host: "h", Repository: "r"}, {Host: "h", Repository: "r", Credential: "c"}, {Host: "h", Repository: "rc"},
		{Host: "hr"}, {Host: "h", Repository: "", Credential: "rc"}, {Host: "h\x00r"}, {Host: "h", Repository: "\x00r"},
	}
	for i, k := range keys {
		put(t, c, k, tags(i, false))
		if err := c.PutDigests(k, cache.Digest{Tag: "t", Digest: digest(i), At: noon}); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, c)
	for i, k := range keys {
		if got, ok := c.Listing(k); !ok || len(got.Tags) != i {
			t.Errorf("%+v has %d tags, want %d", k, len(got.Tags), i)
		}
		if got, ok := c.Digest(k, "t"); !ok || got.Digest != digest(i) {
			t.Errorf("%+v has %+v", k, got)
		}
	}
}
