package cache_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
)

func fileSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "images.db"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// However much is put, the file stays small, and what is new is there.
func TestFileIsBounded(t *testing.T) {
	const limit = 2 << 20
	for kind, tt := range map[string]struct {
		puts int // of at least three times the limit
		put  func(c *cache.Cache, n int) error
	}{
		"images": {15_000, func(c *cache.Cache, n int) error { return c.PutImages(image(n)) }},
		"listings": {5_000, func(c *cache.Cache, n int) error {
			_, err := c.PutListing(key(fmt.Sprint(n)), cache.Listing{Tags: tags(30, true), At: noon})
			return err
		}},
		"digests of many repositories": {80_000, func(c *cache.Cache, n int) error {
			return c.PutDigests(key(fmt.Sprint(n/100)), cache.Digest{Tag: fmt.Sprint("master-", n), Digest: digest(n)})
		}},
	} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			c := open(t, dir, limit)
			var largest int64
			for n := range tt.puts {
				if err := tt.put(c, n); err != nil {
					t.Fatal(err)
				}
				if n%100 != 0 {
					continue
				}
				flush(t, c)
				if s := stats(t, c); s.UsedBytes > limit {
					t.Fatalf("%d bytes are in use, %d allowed", s.UsedBytes, limit)
				}
				largest = max(largest, fileSize(t, dir))
			}
			s := stats(t, c)
			t.Logf("%d evicted, the file has grown to %.2f of its bound, %.2f are in use", s.Evicted, float64(largest)/limit, float64(s.UsedBytes)/limit)
			if s.Evicted == 0 || s.UsedBytes < limit/2 {
				t.Errorf("%d records were evicted, %d bytes are left", s.Evicted, s.UsedBytes)
			}
			if largest > 2*limit {
				t.Errorf("the file has grown to %d bytes, %d allowed", largest, limit)
			}
		})
	}
}

// An image that is used stays, others of its age go.
func TestLeastRecentlyUsedGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir(), smallest)
		const hot = 50
		n := 0
		for stats(t, c).Evicted < 10_000 {
			time.Sleep(2 * time.Hour)
			for range 400 {
				if err := c.PutImages(image(n)); err != nil {
					t.Fatal(err)
				}
				n++
			}
			if err := expectImages(c, 0, hot); err != nil {
				t.Fatalf("after %d images, %d evicted: %v", n, stats(t, c).Evicted, err)
			}
		}
		if _, ok := c.Image(digest(hot)); ok {
			t.Error("an image that nobody asked for is still there")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Of repositories, the ones seen last stay.
func TestOldRepositoriesGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir(), smallest)
		put(t, c, key("old"), tags(10, false))
		if err := c.PutImages(image(1)); err != nil {
			t.Fatal(err)
		}
		for n := 0; stats(t, c).Evicted < 200; n++ {
			time.Sleep(time.Minute)
			put(t, c, key("kept"), tags(10, false))
			put(t, c, key(fmt.Sprint("new", n)), tags(200, true))
		}
		if _, ok := c.Listing(key("old")); ok {
			t.Error("the repository not seen for longest is still there")
		}
		if _, ok := c.Image(digest(1)); ok {
			t.Error("an image is still there, though listings had to go")
		}
		if _, ok := c.Listing(key("kept")); !ok {
			t.Error("a repository that is seen all the time has gone")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A file that is mostly free is rewritten when it is opened.
func TestShrinksWhenOpened(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, 64<<20)
	for i := range 9_000 {
		if err := c.PutImages(image(i)); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, c)
	before := fileSize(t, dir)
	put(t, c, key("app"), tags(100, true))
	if _, err := c.Clear("nothing/*"); err != nil {
		t.Fatal(err)
	}
	if err := expectImages(c, 0, 9_000); err != nil {
		t.Fatal(err)
	}
	c = reopen(t, c, dir, smallest) // which evicts most of them
	c = reopen(t, c, dir, smallest)
	if after := fileSize(t, dir); after > before/4 {
		t.Errorf("the file had %d bytes and has %d", before, after)
	}
	if l, ok := c.Listing(key("app")); !ok || len(l.Tags) != 100 {
		t.Errorf("the listing has %d tags, %v", len(l.Tags), ok)
	}
	if err := expectImages(c, 19_500, 9_000); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "images.db.*")); len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
