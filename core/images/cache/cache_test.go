package cache_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

func TestDigests(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	k := key("app")
	given := []cache.Digest{
		{Tag: "a", Digest: digest(1), At: noon, Changed: noon.Add(-time.Hour), Moves: 3},
		{Tag: "b", Digest: "sha512:" + strings.Repeat("0f", 64), At: noon.Add(time.Millisecond)},
		{Tag: "c", Digest: "sha256:ABC", At: noon},
	}
	if err := c.PutDigests(k, given...); err != nil {
		t.Fatal(err)
	}
	check := func(when string, want ...cache.Digest) {
		t.Helper()
		all := map[string]cache.Digest{}
		for _, d := range want {
			all[d.Tag] = d
			if got, ok := c.Digest(k, d.Tag); !ok || got != d {
				t.Errorf("%s: Digest(%s) = %+v, %v", when, d.Tag, got, ok)
			}
		}
		if diff := cmp.Diff(all, c.Digests(k)); diff != "" {
			t.Errorf("%s:\n%s", when, diff)
		}
	}
	check("before they are written", given...)
	flush(t, c)
	check("after they were written", given...)
	moved := cache.Digest{Tag: "b", Digest: digest(2), At: noon.Add(time.Hour), Moves: 1}
	if err := c.PutDigests(k, moved); err != nil {
		t.Fatal(err)
	}
	check("half written", given[0], moved, given[2])
	c = reopen(t, c, dir, 0)
	check("after a restart", given[0], moved, given[2])

	// What is not in the listing any more is forgotten.
	put(t, c, k, []registry.Tag{{Name: "a"}, {Name: "b"}, {Name: "c"}})
	check("with a listing", given[0], moved, given[2])
	put(t, c, k, []registry.Tag{{Name: "b"}, {Name: "z"}})
	check("with fewer tags", moved)
	if _, ok := c.Digest(k, "a"); ok {
		t.Error("the digest of a tag that has gone is still there")
	}
	for _, bad := range []cache.Digest{{Digest: digest(1)}, {Tag: strings.Repeat("t", 129), Digest: digest(1)}, {Tag: "t"}} {
		if err := c.PutDigests(k, bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestNegatives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir, 0)
		k, now := key("app"), time.Now().UTC()
		given := map[string]cache.Negative{
			"":    {Until: now.Add(time.Hour), Reason: "404 NAME_UNKNOWN", Failures: 2},
			"1.0": {Until: now.Add(time.Minute), Reason: "manifest unknown", Pending: true},
		}
		if err := c.PutNegatives(k, given); err != nil {
			t.Fatal(err)
		}
		check := func(when string) {
			t.Helper()
			if diff := cmp.Diff(given, c.Negatives(k)); diff != "" {
				t.Errorf("%s:\n%s", when, diff)
			}
		}
		check("before they are written")
		flush(t, c)
		check("after they were written")
		if err := c.PutNegatives(k, map[string]cache.Negative{"": {}}); err != nil {
			t.Fatal(err)
		}
		delete(given, "")
		check("after one was forgotten")
		time.Sleep(time.Hour)
		c = reopen(t, c, dir, 0)
		check("after its time")
		time.Sleep(8 * 24 * time.Hour)
		c = reopen(t, c, dir, 0)
		if left := c.Negatives(k); len(left) != 0 {
			t.Errorf("a failure of last week: %v", left)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestImages(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	full, bare := image(1), cache.Image{Digest: "sha512:" + strings.Repeat("0f", 64)}
	full.Annotations = map[string]string{"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}
	if err := c.PutImages(full, bare); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, want := range []cache.Image{full, bare} {
			got, ok := c.Image(want.Digest)
			if diff := cmp.Diff(want, got); !ok || diff != "" {
				t.Errorf("%v\n%s", ok, diff)
			}
		}
		c = reopen(t, c, dir, 0)
	}
	if _, ok := c.Image(digest(2)); ok {
		t.Error("an image from nowhere")
	}
	full.MediaType = "changed"
	if err := c.PutImages(full, full); err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Image(full.Digest); got.MediaType != "changed" {
		t.Errorf("the second image under a digest is not kept: %+v", got)
	}
	if s := stats(t, c); s.Images.Entries > 3 {
		t.Errorf("%d images instead of 2, and one that was put twice at once", s.Images.Entries)
	}
	if err := c.PutImages(cache.Image{MediaType: "x"}); err == nil {
		t.Error("an image without a digest was taken")
	}
}

// A stranger's image cannot fill the cache or spoil a record.
func TestHostileImages(t *testing.T) {
	c := open(t, t.TempDir(), 0)
	i := cache.Image{Digest: digest(1), Created: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), Labels: map[string]string{
		"big": strings.Repeat("x", 1<<20), "small": "y", "org.opencontainers.image.created": "2026-01-01T00:00:00Z",
		"org.label-schema.description": strings.Repeat("z", 2000),
	}}
	if err := c.PutImages(i); err != nil {
		t.Fatal(err)
	}
	got, ok := c.Image(i.Digest)
	want := cache.Image{Digest: i.Digest, Labels: map[string]string{"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Error(diff)
	}
	for n := range 10_000 { // each of them small, and one that is kept
		i.Labels[fmt.Sprintf("org.opencontainers.image.x%d", n)] = strings.Repeat("\x01", 900)
	}
	i.Annotations = i.Labels
	if err := c.PutImages(i); err != nil {
		t.Error(err)
	}
	if got, ok := c.Image(i.Digest); !ok || got.Labels["org.opencontainers.image.created"] == "" || len(got.Labels) > 20 {
		t.Errorf("%v, %d labels", ok, len(got.Labels))
	}
	i.Platforms = make([]cache.Platform, 10_000)
	for n := range i.Platforms {
		i.Platforms[n].OS = "an operating system with a long name"
	}
	if err := c.PutImages(i); err == nil || !strings.Contains(err.Error(), "platforms") {
		t.Errorf("ten thousand platforms: %v", err)
	}
}

func TestNotes(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	if _, ok := c.Note(key("app")); ok {
		t.Error("a note from nowhere")
	}
	if err := c.PutNote(key("app"), []byte("due at noon")); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, c, dir, 0)
	if note, ok := c.Note(key("app")); !ok || string(note) != "due at noon" {
		t.Errorf("%q, %v", note, ok)
	}
	if err := c.PutNote(key("app"), make([]byte, 64<<10+1)); err == nil {
		t.Error("a note of more than 64 KiB was taken")
	}
	if err := c.PutNote(key("app"), nil); err != nil {
		t.Fatal(err)
	}
	if note, ok := c.Note(key("app")); ok {
		t.Errorf("%q was removed", note)
	}
}

// What is put goes to disk by itself, soon and together.
func TestWritesBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir, 0)
		for i := range 1000 {
			if err := c.PutImages(image(i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		data, err := os.ReadFile(filepath.Join(dir, "images.db"))
		if err != nil {
			t.Fatal(err)
		}
		other := t.TempDir()
		if err := os.WriteFile(filepath.Join(other, "images.db"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := expectImages(open(t, other, 0), 0, 1000); err != nil {
			t.Error(err)
		}
	})
}

func TestClear(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 0)
	fill := func() {
		for i, name := range []string{"a", "b"} {
			k := key(name)
			put(t, c, k, tags(10*(i+1), false))
			err := errors.Join(c.PutImages(image(i)), c.PutDigests(k, cache.Digest{Tag: "t", Digest: digest(i), At: noon}),
				c.PutNegatives(k, map[string]cache.Negative{"x": {Reason: "r"}}), c.PutNote(k, []byte("n")))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	fill()
	before := stats(t, c)
	got, err := c.Clear("registry.example.com/*/b")
	if err != nil {
		t.Fatal(err)
	}
	if got.Listings.Entries != 1 || got.Tags != 20 || got.Digests.Entries != 1 || got.Images.Entries != 1 || got.Negatives.Entries != 1 {
		t.Errorf("cleared %+v", got)
	}
	var left []string
	for r, err := range c.Repositories() {
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, fmt.Sprint(r.Key, r.Tags))
	}
	if diff := cmp.Diff([]string{"registry.example.com/team/a 10"}, left); diff != "" {
		t.Error(diff)
	}
	if _, ok := c.Note(key("b")); ok {
		t.Error("the note of a repository that was cleared is still there")
	}
	if err := expectImages(c, 0, 1); err != nil {
		t.Error(err)
	}
	if _, err := c.Clear("*"); err != nil {
		t.Fatal(err)
	}
	if s := stats(t, c); s.Listings.Entries+s.Images.Entries+s.Digests.Entries+s.Negatives.Entries+s.Tags != 0 {
		t.Errorf("after clearing all: %+v", s)
	}
	fill()
	c = reopen(t, c, dir, 0)
	after := stats(t, c)
	if diff := cmp.Diff(before.Images.Entries, after.Images.Entries); diff != "" || after.Tags != before.Tags {
		t.Errorf("after filling it again: %+v", after)
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := open(t, dir, 0)
		begin := time.Now()
		put(t, c, key("a"), tags(100, true))
		time.Sleep(time.Hour)
		put(t, c, key("b"), tags(5, false))
		c.Listing(key("a"))
		c.Image(digest(1))
		c.Digest(key("a"), "x")
		s := stats(t, c)
		want := cache.Stats{
			File: filepath.Join(dir, "images.db"), FileBytes: fileSize(t, dir), UsedBytes: s.UsedBytes, MaxBytes: 256 << 20, Tags: 105,
			Listings: cache.Count{Entries: 2, Bytes: s.Listings.Bytes}, Digests: cache.Count{Bytes: s.Digests.Bytes},
			Images: cache.Count{Bytes: s.Images.Bytes}, Negatives: cache.Count{Bytes: s.Negatives.Bytes},
			Oldest: s.Oldest, Hits: 1, Misses: 2,
		}
		if diff := cmp.Diff(want, s); diff != "" || !s.Oldest.Equal(begin) || s.UsedBytes <= s.Listings.Bytes || s.Listings.Bytes < 5000 {
			t.Errorf("%+v\n%s", s, diff)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// After Close nothing panics: reads miss, writes say why.
func TestClosed(t *testing.T) {
	c := open(t, t.TempDir(), 0)
	put(t, c, key("a"), tags(3, false))
	var users sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		users.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				c.Listing(key("a"))
				c.Digests(key("a"))
				c.Image(digest(n))
				_ = c.PutImages(image(n)) // until it is closed
				_, _ = c.Stats()
			}
		})
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	close(stop)
	users.Wait()
	if _, ok := c.Listing(key("a")); ok {
		t.Error("a closed cache has a listing")
	}
	if got := c.Negatives(key("a")); len(got) != 0 {
		t.Errorf("a closed cache has %v", got)
	}
	_, listing := c.PutListing(key("a"), cache.Listing{})
	_, statsErr := c.Stats()
	_, clearErr := c.Clear("*")
	var iterated error
	for _, err := range c.Repositories() {
		iterated = err
	}
	for name, err := range map[string]error{
		"PutListing": listing, "PutDigests": c.PutDigests(key("a"), cache.Digest{Tag: "t", Digest: digest(1)}), "PutImages": c.PutImages(image(1)),
		"PutNegatives": c.PutNegatives(key("a"), map[string]cache.Negative{"": {Failures: 1}}), "PutNote": c.PutNote(key("a"), []byte("n")),
		"Flush": c.Flush(), "Stats": statsErr, "Clear": clearErr, "Repositories": iterated, "Close": c.Close(),
	} {
		if !errors.Is(err, cache.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestListingTooLarge(t *testing.T) {
	c := open(t, t.TempDir(), smallest)
	_, err := c.PutListing(key("a"), cache.Listing{Tags: tags(20_000, true)})
	if err == nil || !strings.Contains(err.Error(), "registry.example.com/team/a: the listing takes 1 MiB") {
		t.Errorf("PutListing: %v", err)
	}
}

// Everything at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	c := open(t, t.TempDir(), smallest)
	var users sync.WaitGroup
	for user := range 4 {
		users.Go(func() {
			for n := range 100 {
				k := key(fmt.Sprint(n % 5))
				_, err := c.PutListing(k, cache.Listing{Tags: tags(n+user, true), At: noon})
				err = errors.Join(err, c.PutImages(image(n)), c.PutDigests(k, cache.Digest{Tag: fmt.Sprint(n), Digest: digest(n), At: noon}),
					c.PutNegatives(k, map[string]cache.Negative{"": {Failures: user}}), c.PutNote(k, []byte("n")))
				if n%25 == 0 {
					_, clearErr := c.Clear(fmt.Sprint("*/", n%5))
					err = errors.Join(err, c.Flush(), clearErr)
				}
				if err != nil {
					t.Error(err)
				}
				c.Listing(k)
				c.Digests(k)
				c.Negatives(k)
				c.Note(k)
				c.Image(digest(n))
				for _, err := range c.Repositories() {
					if err != nil {
						t.Error(err)
					}
					break
				}
			}
		})
	}
	users.Wait()
	if s := stats(t, c); s.Damaged != 0 {
		t.Errorf("%+v", s)
	}
}
