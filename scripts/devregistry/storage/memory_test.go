package storage

import (
	"flag"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/distribution/distribution/v3/registry/storage/driver"
	"github.com/distribution/distribution/v3/registry/storage/driver/base"
	"github.com/distribution/distribution/v3/registry/storage/driver/testsuites"
)

// Distribution's own tests of drivers, which sleep for some seconds. They are
// told to be short, or one of them writes 5 GiB.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	short := flag.Lookup("test.short").Value
	if err := short.Set("true"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = short.Set("false") }() // as it was
	testsuites.Driver(t, func() (driver.StorageDriver, error) { return &base.Base{StorageDriver: newMemory()}, nil }, false)
}

// image is what Put gets of one multi-arch image.
func image(n int) Content {
	c := Content{Repository: fmt.Sprintf("team/app%d", n%50)}
	for i := range 8 {
		c.Blobs = append(c.Blobs, fmt.Appendf(nil, "blob %d of %d", i, n))
	}
	for i := range 5 {
		c.Manifests = append(c.Manifests, Manifest{Body: fmt.Appendf(nil, "manifest %d of %d", i, n)})
	}
	c.Manifests[0].Tags = []string{fmt.Sprint(n)}
	return c
}

func BenchmarkPut(b *testing.B) {
	s, err := Open(b.Context(), "", io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		n++
		if err := s.Put(b.Context(), image(n)); err != nil {
			b.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "heap-B/image")
	runtime.KeepAlive(s)
}
