package images_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

const app = "registry.test/app"

// pass lets time go by.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func minutes(all ...float64) []time.Duration {
	var ds []time.Duration
	for _, m := range all {
		ds = append(ds, time.Duration(m*float64(time.Minute)).Round(time.Second))
	}
	return ds
}

// TestDecay: quiet repositories are listed less and less often, and as before
// once there is news or somebody new.
func TestDecay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(6*time.Hour + 30*time.Minute)
		want := minutes(10, 15, 22.5, 33.75, 50.625, 75.9375, 80, 80)
		if diff := cmp.Diff(want, w.gaps(app)); diff != "" {
			t.Errorf("quiet: %s", diff)
		}
		w.push(app, "1.1.0")
		pass(110 * time.Minute)
		if diff := cmp.Diff(minutes(80, 10, 15, 22.5), w.gaps(app)[8:]); diff != "" {
			t.Errorf("after news: %s", diff)
		}
		pass(3 * time.Hour)
		before := len(w.gaps(app))
		s.SetTargets([]images.Target{target, s.target("other", app+":1.0.0", "semver:*")})
		pass(30 * time.Minute)
		if got := w.gaps(app)[before:]; len(got) != 2 || got[1] != 15*time.Minute {
			t.Errorf("in half an hour after somebody new: listings after %v", got)
		}
	})
}

// TestRestart: nothing is listed before it is due, however often the daemon
// starts.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{})
		defer func() { s.close() }()
		target := s.target("shop", app+":1.0.0", "*")
		s.SetTargets([]images.Target{target})
		for range 60 {
			pass(time.Minute)
			s.close()
			s.open()
			s.SetTargets(nil) // as long as no cluster has answered
			s.SetTargets([]images.Target{target})
		}
		if diff := cmp.Diff(minutes(10, 15, 22.5), w.gaps(app)); diff != "" {
			t.Error(diff)
		}
		if got := w.counts()["image "+app]; got != 1 {
			t.Errorf("the image was read %d times", got)
		}
	})
}

// TestBackoff: each kind of failure has its own pace, and others go on.
func TestBackoff(t *testing.T) {
	answer := func(status int) error {
		return &remote.Error{Host: "registry.test", Repository: "app", Asked: "the tags", Status: status}
	}
	for _, test := range []struct {
		name string
		err  error
		kind images.Problem
		want []time.Duration
	}{
		{"not found", answer(404), images.NotFound, minutes(10, 20, 40, 80, 160, 320, 360)},
		{"refused", answer(401), images.Unauthorized, minutes(5, 10, 20, 40, 60, 60)},
		{"throttled", &remote.Error{Status: 429, RetryAfter: 25 * time.Minute}, images.Throttled, minutes(25, 25, 25)},
		{"network", errors.New("connection refused"), images.Unreachable, minutes(.225, .45, .9, 1.8, 3.6, 7.2, 13.5, 13.5)},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.push("registry.test/fine", "1.0.0")
				w.fail[app] = test.err
				s := inWorld(t, w, images.Settings{})
				defer s.close()
				target := s.target("shop", app+":1.0.0", "semver:*")
				s.SetTargets([]images.Target{target, s.target("shop", "registry.test/fine:1.0.0", "semver:*")})
				pass(18 * time.Hour)
				got := w.gaps(app)
				if diff := cmp.Diff(test.want, got[:min(len(got), len(test.want))]); diff != "" {
					t.Error(diff)
				}
				if len(w.gaps("registry.test/fine")) < 15 {
					t.Errorf("the other repository: %v", w.gaps("registry.test/fine"))
				}
				st := s.Status()
				if len(st) != 2 || st[0].Problem != test.kind || st[0].Error == "" || st[1].Error != "" {
					t.Errorf("status %+v", st)
				}
				w.set(func(w *world) { delete(w.fail, app) })
				w.push(app, "1.0.0")
				pass(7 * time.Hour)
				if v := s.view(target); v.Error != "" || len(v.Tags) != 1 || s.Status()[0].Failures != 0 {
					t.Errorf("recovered: error %q, tags %v", v.Error, names(v.Tags))
				}
			})
		})
	}
}

// TestHosts: a registry that never answers delays nobody but its own.
func TestHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.latency["slow.test"] = time.Hour
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		var targets []images.Target
		for i := range 20 {
			slow := fmt.Sprintf("slow.test/app%d", i)
			w.push(slow, "1.0.0")
			targets = append(targets, s.target("shop", slow+":1.0.0", "semver:*"))
		}
		w.push(app, "1.0.0")
		targets = append(targets, s.target("shop", app+":1.0.0", "semver:*"))
		s.SetTargets(targets)
		pass(29 * time.Minute)
		if len(w.gaps(app)) < 2 {
			t.Errorf("listings after %v", w.gaps(app))
		}
		m := s.Metrics().Hosts["slow.test"]
		if m.Repositories != 20 || m.Due != 16 || m.Lag < 9*time.Minute || m.Failures == 0 {
			t.Errorf("metrics of the slow one: %+v", m)
		}
	})
}

// TestJoin: a person's scan joins the one under way, and one listing is enough.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.latency["registry.test"] = time.Minute
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(30 * time.Second)
		done := make(chan images.Result, 3)
		for range 3 {
			go func() { done <- s.Scan(t.Context(), []images.Target{target}, nil)[0] }()
		}
		pass(31 * time.Second)
		for range 3 {
			if res := <-done; res.Err != nil || res.Tags != 1 || res.New != 1 {
				t.Errorf("result %+v", res)
			}
		}
		if got := w.counts()["tags "+app]; got != 1 {
			t.Errorf("%d listings", got)
		}
	})
}

// TestMoved: a running tag that moves is noticed soon after it was made, and
// ever more rarely; one that was never seen to move costs a request a day.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "main")
		w.push(app, "old")
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":main", "*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		s.news()
		w.counts()
		pass(11 * time.Minute)
		if diff := cmp.Diff(map[string]int{"tags " + app: 1, "head " + app: 1}, w.counts()); diff != "" {
			t.Errorf("soon after the build: %s", diff)
		}
		w.push(app, "main")
		pass(30 * time.Minute)
		news := s.news()
		if len(news) != 1 || !cmp.Equal(news[0].Moved, []string{"main"}) || len(news[0].New) != 0 {
			t.Errorf("news %+v", news)
		}
		v := s.view(target)
		if !v.Complete || tag(t, v, "main").Created.Before(time.Now().Add(-time.Hour)) {
			t.Errorf("%+v", v.Tags)
		}
		pass(5 * 24 * time.Hour)
		w.counts()
		pass(7 * 24 * time.Hour)
		if got := w.counts()["head "+app]; got < 7 || got > 10 {
			t.Errorf("%d times asked in a quiet week for two tags", got)
		}
	})
}

// TestNative: with times from the registry no image is read; when the API that
// has them fails, they are waited for, and then images are read after all.
func TestNative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.native[app] = true
		for i := range 100 {
			w.push(app, fmt.Sprintf("build-%d", i))
			pass(time.Second)
		}
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":build-7", "*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		v := s.view(target)
		if !v.Complete || !v.Native || v.Tags[0].Name != "build-99" || v.Tags[0].From != "push" {
			t.Errorf("complete %v, native %v, newest %+v", v.Complete, v.Native, v.Tags[0])
		}
		w.set(func(w *world) { w.nativeKO = errors.New("AccessDenied: DescribeImages") })
		pass(10 * time.Minute)
		if v = s.view(target); v.Error == "" || len(v.Tags) != 100 || !v.Complete {
			t.Errorf("while it fails: error %q, %d tags", v.Error, len(v.Tags))
		}
		if got := w.counts(); got["tags "+app]+got["image "+app] != 0 {
			t.Errorf("requests %v", got)
		}
		pass(6 * time.Hour)
		if v = s.view(target); v.Error != "" || v.Warning == "" || !v.Complete || v.Native || v.Tags[0].From != "config" {
			t.Errorf("in its place: error %q, warning %q, complete %v, newest %+v", v.Error, v.Warning, v.Complete, v.Tags[0])
		}
	})
}

// TestStops: where the newest come first, a poll ends at what is known, and a
// deletion is seen within a day.
func TestStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.newest[app] = true
		for i := range 5 {
			w.push(app, fmt.Sprintf("build-%d", i))
			pass(time.Second)
		}
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":build-0", "*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		w.push(app, "build-5")
		w.set(func(w *world) { delete(w.tags[app], "build-1") })
		pass(30 * time.Minute)
		if v := s.view(target); len(v.Tags) != 6 || v.Tags[0].Name != "build-5" || len(v.Suspects) != 0 {
			t.Errorf("tags %v", names(v.Tags))
		}
		pass(26 * time.Hour)
		if v := s.view(target); len(v.Tags) != 5 || len(v.Vanished) != 1 {
			t.Errorf("tags %v, vanished %v", names(v.Tags), v.Vanished)
		}
	})
}

// TestCredentialChanges: a target whose credential changes gets a listing of its
// own, and nothing of the old one.
func TestCredentialChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.ids["shop"] = "one"
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		w.set(func(w *world) {
			w.ids["shop"] = "two"
			w.fail[app] = &remote.Error{Status: 403}
		})
		pass(10 * time.Minute)
		st := s.Status()
		if len(st) != 1 || st[0].Credential != "two" || st[0].Problem != images.Unauthorized {
			t.Errorf("status %+v", st)
		}
		if v := s.view(target); len(v.Tags) != 0 || v.Error == "" {
			t.Errorf("tags of another credential: %v", names(v.Tags))
		}
		w.set(func(w *world) { w.ids["shop"] = "three"; delete(w.fail, app) })
		pass(6 * time.Minute)
		if v := s.view(target); len(v.Tags) != 1 || v.Error != "" {
			t.Errorf("tags %v, error %q", names(v.Tags), v.Error)
		}
	})
}

// TestFlakyImage: the time of an image that cannot be read is waited for, and
// after three tries done without, while others can be read.
func TestFlakyImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for i := range 8 {
			w.push(app, fmt.Sprintf("build-%d", i))
		}
		w.fail[app+":build-3"] = errors.New("connection reset")
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":build-0", "*")
		s.SetTargets([]images.Target{target})
		pass(4 * time.Minute)
		if v := s.view(target); v.Complete || !cmp.Equal(v.Missing, []string{"build-3"}) {
			t.Errorf("complete %v, missing %v", v.Complete, v.Missing)
		}
		if n := s.news(); len(n) != 1 || n[0].Missing != 1 || len(n[0].New) != 8 {
			t.Errorf("news %+v", n)
		}
		pass(40 * time.Minute)
		if v := s.view(target); !v.Complete || tag(t, v, "build-3").Problem == "" {
			t.Errorf("complete %v, missing %v", v.Complete, v.Missing)
		}
		w.set(func(w *world) { delete(w.fail, app+":build-3") })
		pass(3 * time.Hour)
		if v := s.view(target); tag(t, v, "build-3").Created.IsZero() {
			t.Errorf("%+v", tag(t, v, "build-3"))
		}
		if n := s.news(); len(n) != 1 || !cmp.Equal(n[0].Resolved, []string{"build-3"}) {
			t.Errorf("news %+v", n)
		}
	})
}

// TestRegistryDown: when image after image fails, the registry is to blame, and
// no tag.
func TestRegistryDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for i := range 50 {
			name := fmt.Sprintf("build-%d", i)
			w.push(app, name)
			w.fail[app+":"+name] = &remote.Error{Status: 500}
		}
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":build-0", "*")
		s.SetTargets([]images.Target{target})
		pass(2 * time.Hour)
		v := s.view(target)
		if v.Complete || len(v.Missing) != 50 || v.Warning == "" {
			t.Errorf("complete %v, %d missing, warning %q", v.Complete, len(v.Missing), v.Warning)
		}
		if got := w.counts()["image "+app]; got > 200 {
			t.Errorf("%d requests to a registry that is down", got)
		}
		w.set(func(w *world) { clear(w.fail) })
		pass(20 * time.Minute)
		if v = s.view(target); !v.Complete || v.Warning != "" {
			t.Errorf("complete %v, %d missing, warning %q", v.Complete, len(v.Missing), v.Warning)
		}
	})
}

// TestClose: what is under way ends at once, and whoever waits is told.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.latency["registry.test"] = time.Hour
		s := inWorld(t, w, images.Settings{})
		target := s.target("shop", app+":1.0.0", "*")
		done := make(chan images.Result, 1)
		go func() { done <- s.Scan(t.Context(), []images.Target{target}, nil)[0] }()
		pass(time.Second)
		begin := time.Now()
		s.close()
		if res := <-done; !errors.Is(res.Err, images.ErrClosed) || time.Since(begin) > 0 {
			t.Errorf("%v after %v", res.Err, time.Since(begin))
		}
		if res := s.Scan(t.Context(), []images.Target{target}, nil)[0]; !errors.Is(res.Err, images.ErrClosed) {
			t.Errorf("after Close: %v", res.Err)
		}
		s.SetTargets([]images.Target{target})
	})
}

// TestCredentialChangesMeanwhile: what was listed while the credential changed
// is nobody's, and the repository is listed again with the new one.
func TestCredentialChangesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.ids["shop"] = "one"
		w.latency["registry.test"] = 10 * time.Second
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(5 * time.Second)
		w.set(func(w *world) { w.ids["shop"] = "two" })
		pass(time.Minute)
		st := s.Status()
		if len(st) != 1 || st[0].Credential != "two" || st[0].Tags != 1 || st[0].Failures != 0 {
			t.Errorf("status %+v", st)
		}
		if _, ok := s.options.Cache.Listing(cache.Key{Host: "registry.test", Repository: "app", Credential: "one"}); ok {
			t.Error("a listing by another credential is kept")
		}
		w.set(func(w *world) { w.ids["shop"] = "three" })
		done := make(chan images.Result, 1)
		go func() { done <- s.Scan(t.Context(), []images.Target{target}, nil)[0] }()
		pass(5 * time.Second)
		w.set(func(w *world) { w.ids["shop"] = "four" })
		if res := <-done; res.Err != nil || res.Tags != 1 {
			t.Errorf("a scan across a change: %+v", res)
		}
	})
}

// TestDockerHub: a GET of a manifest is a pull there, and a HEAD is not, so
// tags of one image cost one GET.
func TestDockerHub(t *testing.T) {
	for host, want := range map[string]map[string]int{
		"index.docker.io": {"tags": 2, "head": 3, "image": 2},
		"registry.test":   {"tags": 2, "image": 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			name := host + "/acme/app"
			for _, tag := range []string{"3.0", "2.0"} {
				w.push(name, tag)
				pass(time.Second)
			}
			w.set(func(w *world) { w.tags[name]["1.0"] = registry.Tag{Name: "1.0", Digest: w.tags[name]["2.0"].Digest} })
			s := inWorld(t, w, images.Settings{})
			defer s.close()
			target := s.target("shop", name+":3.0", "*")
			s.SetTargets([]images.Target{target})
			pass(time.Minute)
			s.Scan(t.Context(), []images.Target{target}, nil)
			got := map[string]int{}
			for kind, n := range w.counts() {
				got[strings.TrimSuffix(kind, " "+name)] = n
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s", host, diff)
			}
		})
	}
}
