package images_test

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
)

// How much BenchmarkScan scans. Run it with -benchtime 1x: what it counts does
// not depend on luck.
var (
	benchRepositories = flag.Int("scan.repositories", 50, "that BenchmarkScan scans")
	benchTags         = flag.Int("scan.tags", 1000, "multi-arch tags of each")
)

// BenchmarkScan reports the requests of a first scan of all repositories, of
// the polls after it and after a restart, which is what a registry and its
// rate limits see. Each repository is on a host of its own, so that the
// limiter's slow start does not hide what the scanner does.
func BenchmarkScan(b *testing.B) {
	for _, registry := range []struct{ name, dialect string }{{"generic", ""}, {"native", "google"}} {
		reg := fill(b, registrytest.Options{Auth: "token", Users: []registrytest.User{{}}, Dialect: registry.dialect, TokenLife: time.Hour})
		for _, policy := range []struct{ name, pattern string }{{"semver", "semver:>=1.0"}, {"newest-build", "glob:1.*"}} {
			b.Run(registry.name+"/"+policy.name, func(b *testing.B) {
				for b.Loop() {
					measure(b, reg, policy.pattern)
				}
			})
		}
	}
}

// fill starts a registry and pushes what is scanned.
func fill(b *testing.B, o registrytest.Options) *registrytest.Registry {
	b.Helper()
	reg := registrytest.Start(b, o)
	all := builds(*benchTags)
	for i := range *benchRepositories {
		for j := range all {
			all[j].Content = fmt.Sprint("repository ", i, " build ", j)
		}
		reg.PushAll(fmt.Sprint("app", i), all)
	}
	return reg
}

// measure scans from an empty cache, polls, restarts and polls again.
func measure(b *testing.B, reg *registrytest.Registry, pattern string) {
	b.Helper()
	r := start(b, reg, images.Settings{})
	var targets []images.Target
	for i := range *benchRepositories {
		name := fmt.Sprint("app", i)
		targets = append(targets, r.targetAt(name+".test", "shop", name, "1.0.0", pattern))
	}
	step := func(name string, do func()) {
		reg.Reset()
		begin := time.Now()
		do()
		b.ReportMetric(time.Since(begin).Seconds(), name+"-s")
		b.ReportMetric(float64(len(reg.Requests())), name+"-req")
	}
	step("cold", func() { r.scan(targets...) })
	b.ReportMetric(heap(), "heap-MB")
	step("poll", func() { r.scan(targets...) })
	r.restart()
	step("restart", func() {
		r.SetTargets(targets)
		for _, t := range targets {
			if v := r.view(t); !v.Complete || len(v.Tags) != *benchTags {
				b.Fatalf("%s: complete %v, %d tags", v.Repository, v.Complete, len(v.Tags))
			}
		}
	})
	step("repoll", func() { r.scan(targets...) })
	r.close()
	r.close = func() {}
}

// heap is what is in use, in MB.
func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse) / 1e6
}

// BenchmarkThrottled scans a registry that allows 5 requests a second and says
// no otherwise: how often it has to, and how near to the 5 the scan comes.
func BenchmarkThrottled(b *testing.B) {
	const allowed = 5
	for _, hint := range []string{"seconds", "date", "body", "none"} {
		b.Run(hint, func(b *testing.B) {
			reg := registrytest.Start(b, registrytest.Options{})
			reg.PushAll("app", builds(60))
			for b.Loop() {
				r := start(b, reg, images.Settings{})
				reg.SetLimit(registrytest.Limit{RPS: allowed, Burst: allowed, RetryAfter: hint})
				reg.Reset()
				begin := time.Now()
				target := r.target("shop", "app", "1.0.0", "glob:*")
				for !r.view(target).Complete {
					if res := r.Scan(b.Context(), []images.Target{target}, nil)[0]; res.Err != nil {
						b.Log(res.Err)
					}
				}
				took := time.Since(begin).Seconds()
				requests := reg.Requests()
				refused := len(slices.DeleteFunc(slices.Clone(requests), func(q registrytest.Request) bool { return q.Status != 429 }))
				b.ReportMetric(took, "s")
				b.ReportMetric(float64(len(requests)), "req")
				b.ReportMetric(float64(refused), "429s")
				b.ReportMetric(float64(len(requests)-refused)/took, "served/s")
				r.close()
				r.close = func() {}
			}
		})
	}
}
