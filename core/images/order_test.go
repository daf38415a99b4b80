package images_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
)

// TestFirst: what a person waits for goes before what is due.
func TestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.latency["registry.test"] = time.Minute
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		var targets []images.Target
		for i := range 40 {
			name := fmt.Sprintf("registry.test/app%02d", i)
			w.push(name, "1.0.0")
			targets = append(targets, s.target("shop", name+":1.0.0", "semver:*"))
		}
		s.SetTargets(targets)
		pass(30 * time.Second)
		begin := time.Now()
		if res := s.Scan(t.Context(), targets[30:], nil); len(res) != 10 || res[9].Err != nil {
			t.Errorf("results %+v", res)
		}
		if took := time.Since(begin); took > 3*time.Minute+30*time.Second {
			t.Errorf("ten scans by four workers, ahead of thirty others, took %v", took)
		}
	})
}

// TestTurns: a repository whose thousand images have to be read does not keep
// others of its host waiting.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.latency["registry.test"] = time.Second
		for i := range 1000 {
			w.push("registry.test/large", fmt.Sprint("build-", i))
		}
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{Interval: time.Minute})
		s.close()
		s.options.Workers = 1
		s.open()
		defer s.close()
		large := s.target("shop", "registry.test/large:build-0", "*")
		s.SetTargets([]images.Target{large, s.target("shop", app+":1.0.0", "semver:*")})
		pass(4 * time.Minute)
		if v := s.view(large); v.Complete || len(v.Missing) == 1000 {
			t.Errorf("after four minutes: complete %v, %d missing", v.Complete, len(v.Missing))
		}
		if got := w.gaps(app); len(got) != 2 || got[0] > 70*time.Second {
			t.Errorf("the other was listed after %v", got)
		}
		pass(4 * time.Minute)
		if v := s.view(large); !v.Complete || v.Tags[0].Created.IsZero() {
			t.Errorf("after eight minutes: complete %v, %d missing", v.Complete, len(v.Missing))
		}
		if got := w.counts()["image registry.test/large"]; got != 1000 {
			t.Errorf("%d requests for 1000 images", got)
		}
	})
}

// TestSettings: what is scanned follows the settings, at once.
func TestSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{Scan: images.None})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "")
		s.SetTargets([]images.Target{target})
		counts := func(settings images.Settings, d time.Duration) int {
			t.Helper()
			w.counts()
			if settings.Interval > 0 {
				s.Configure(settings)
			}
			pass(d)
			return w.counts()["tags "+app]
		}
		if got := counts(images.Settings{}, time.Hour); got != 0 {
			t.Errorf("off: %d listings", got)
		}
		if got := counts(images.Settings{Interval: time.Hour, Scan: images.All}, time.Minute); got != 1 {
			t.Errorf("all: %d listings", got)
		}
		if got := counts(images.Settings{Interval: time.Minute, Scan: images.All}, 70*time.Second); got != 1 {
			t.Errorf("more often: %d listings", got)
		}
		if got := counts(images.Settings{Interval: time.Minute, Scan: images.All, Exclude: []string{"*/app"}}, time.Hour); got != 0 {
			t.Errorf("excluded: %d listings", got)
		}
		if v := s.view(target); v.Skipped != "excluded" || len(v.Tags) != 1 || !v.Next.IsZero() {
			t.Errorf("skipped %q, tags %v, next %v", v.Skipped, names(v.Tags), v.Next)
		}
		if got := counts(images.Settings{Interval: time.Minute}, time.Hour); got != 0 {
			t.Errorf("automated: %d listings of what is not", got)
		}
	})
}

// TestClock: times in the cache that no clock can have meant do not stop scans.
func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{})
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		s.close()

		store, err := cache.Open(s.dir, cache.Options{})
		if err != nil {
			t.Fatal(err)
		}
		note, err := json.Marshal(map[string]any{"scanned": time.Now().AddDate(1, 0, 0), "next": time.Now().AddDate(1, 0, 1), "quiet": 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.PutNote(cache.Key{Host: "registry.test", Repository: "app"}, note); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		s.open()
		defer func() { s.close() }()
		s.SetTargets([]images.Target{target})
		pass(20 * time.Minute)
		if got := w.counts()["tags "+app]; got != 2 {
			t.Errorf("%d listings", got)
		}
	})
}

// TestAgain: what was cleared is looked for again.
func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "build-1")
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":build-1", "*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		w.counts()
		if _, err := s.options.Cache.Clear("*"); err != nil {
			t.Fatal(err)
		}
		if v := s.view(target); v.Complete || len(v.Tags) != 0 {
			t.Errorf("cleared: %v", names(v.Tags))
		}
		s.Again("*")
		pass(time.Minute)
		if diff := cmp.Diff(map[string]int{"tags " + app: 1, "image " + app: 1}, w.counts()); diff != "" {
			t.Error(diff)
		}
		if v := s.view(target); !v.Complete || len(v.Tags) != 1 {
			t.Errorf("again: %v", names(v.Tags))
		}
	})
}
