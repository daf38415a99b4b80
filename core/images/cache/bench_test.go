package cache_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/sluice-gitops/sluice/core/images/cache"
)

func BenchmarkPutListing(b *testing.B) {
	c := open(b, b.TempDir(), 0)
	for _, kind := range []string{"names", "native"} {
		listing := cache.Listing{Tags: tags(10_000, kind == "native")}
		b.Run(kind+"/unchanged", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.PutListing(key("app"), listing); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind+"/changed", func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				listing.Tags[5000].Digest = digest(n)
				if changed, err := c.PutListing(key("app"), listing); err != nil || !changed {
					b.Fatal(changed, err)
				}
			}
		})
	}
}

func BenchmarkListing(b *testing.B) {
	for _, kind := range []string{"names", "native"} {
		b.Run(kind, func(b *testing.B) {
			c := open(b, b.TempDir(), 0)
			put(b, c, key(kind), tags(10_000, kind == "native"))
			flush(b, c)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := c.Listing(key(kind)); !ok {
					b.Fatal("missing")
				}
			}
			stats, err := c.Stats()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(stats.Listings.Bytes)/float64(stats.Tags), "B/tag")
		})
	}
}

func BenchmarkImage(b *testing.B) {
	c := open(b, b.TempDir(), 0)
	const n = 10_000
	for i := range n {
		if err := c.PutImages(image(i)); err != nil {
			b.Fatal(err)
		}
	}
	flush(b, c)
	digests := make([]string, n)
	for i := range digests {
		digests[i] = digest(i)
	}
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Image(digests[i%n]); !ok {
			b.Fatal("missing")
		}
		i++
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	c, err := cache.Open(dir, cache.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100_000 {
		if err := c.PutImages(image(i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c, err := cache.Open(dir, cache.Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func key(name string) cache.Key {
	return cache.Key{Host: "registry.example.com", Repository: "team/" + name, Credential: "c1"}
}

func digest(n int) string { return fmt.Sprintf("sha256:%064x", uint64(n)*0x9e3779b97f4a7c15) }
