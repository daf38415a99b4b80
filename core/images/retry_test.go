package images_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/remote"
)

// TestScanMovesWhatIsScanned: a pull secret is made where there was none, and
// somebody scans: what was scanned is what everybody sees from then on.
func TestScanMovesWhatIsScanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		w.good = "right"
		s := inWorld(t, w, images.Settings{Interval: time.Hour})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		if v := s.view(target); v.Error == "" || s.Status()[0].Problem != images.Unauthorized {
			t.Fatalf("error %q, status %+v", v.Error, s.Status())
		}
		w.set(func(w *world) { w.ids["shop"], w.values["shop"] = "regcred", "right" })
		res := s.Scan(t.Context(), []images.Target{target}, nil)[0]
		if res.Err != nil || res.Tags != 1 {
			t.Fatalf("result %+v", res)
		}
		synctest.Wait()
		if v := s.view(target); v.Error != "" || len(v.Tags) != 1 || v.Next.Before(time.Now().Add(30*time.Minute)) {
			t.Errorf("error %q, tags %v, next %v", v.Error, names(v.Tags), v.Next)
		}
		if st := s.Status(); len(st) != 1 || st[0].Credential != "regcred" || st[0].Tags != 1 || st[0].Failures != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

// TestNoCredential: while there is no credential, both that and what was known
// before are shown, of targets that are scanned and of others.
func TestNoCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		automated, other := s.target("shop", app+":1.0.0", "semver:*"), s.target("ops", app+":1.0.0", "")
		s.SetTargets([]images.Target{automated, other})
		both := []images.Target{automated, other}
		s.Scan(t.Context(), both, nil)
		w.set(func(w *world) { w.noID = errors.New("the plugin has crashed") })
		for _, res := range s.Scan(t.Context(), both, nil) {
			if res.Err == nil || res.Err.Error() != "the plugin has crashed" {
				t.Errorf("result %+v", res)
			}
		}
		for _, target := range both {
			if v := s.view(target); v.Error != "the plugin has crashed" || len(v.Tags) != 1 {
				t.Errorf("%s: error %q, tags %v", target.Workload, v.Error, names(v.Tags))
			}
		}
		w.set(func(w *world) { w.noID = nil })
		s.Scan(t.Context(), both, nil)
		for _, target := range both {
			if v := s.view(target); v.Error != "" || len(v.Tags) != 1 {
				t.Errorf("%s afterwards: error %q, tags %v", target.Workload, v.Error, names(v.Tags))
			}
		}
	})
}

// TestImpatience: scans of people do not make the next one later.
func TestImpatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fail[app] = &remote.Error{Host: "registry.test", Repository: "app", Asked: "the tags", Status: 404}
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		for range 10 {
			s.Scan(t.Context(), []images.Target{target}, nil)
		}
		if next := time.Until(s.view(target).Next); next > 10*time.Minute {
			t.Errorf("next in %v", next)
		}
	})
}

// TestUnreachableAtShortIntervals: who wants to know soon what is new also wants
// to know soon when a registry is back.
func TestUnreachableAtShortIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		w.fail[app] = errors.New("connection refused")
		s := inWorld(t, w, images.Settings{Interval: 10 * time.Second})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(3 * time.Hour)
		w.set(func(w *world) { clear(w.fail) })
		pass(80 * time.Second)
		if v := s.view(target); v.Error != "" {
			t.Errorf("eight intervals later: %s", v.Error)
		}
	})
}

// TestAnotherCredential: who was refused is tried again as soon as there is
// another credential, by its ID or its value, and not before.
func TestAnotherCredential(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"first one":  func(w *world) { w.ids["shop"], w.ids["ops"], w.values["shop"] = "regcred", "regcred", "right" },
		"another ID": func(w *world) { w.ids["shop"], w.values["shop"] = "another", "right" },
		"new value":  func(w *world) { w.values["shop"] = "right" },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.push(app, "1.0.0")
				w.good = "right"
				if name != "first one" {
					w.ids["shop"], w.values["shop"] = "one", "wrong"
				}
				s := inWorld(t, w, images.Settings{})
				defer s.close()
				target := s.target("shop", app+":1.0.0", "semver:*")
				s.SetTargets([]images.Target{target})
				pass(4 * time.Hour)
				if diff := cmp.Diff(minutes(5, 10, 20, 40, 60, 60), w.gaps(app)); diff != "" {
					t.Errorf("while nothing changes: %s", diff)
				}
				w.set(change)
				pass(10*time.Minute + time.Second)
				if v := s.view(target); v.Error != "" || len(v.Tags) != 1 {
					t.Errorf("an interval later: error %q, tags %v", v.Error, names(v.Tags))
				}
			})
		})
	}
}

// TestAnotherCredentialAfterRestart: what was refused before a restart is looked
// at after one, too.
func TestAnotherCredentialAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		w.ids["shop"], w.values["shop"] = "one", "right"
		s := inWorld(t, w, images.Settings{})
		defer func() { s.close() }()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(time.Minute)
		w.set(func(w *world) { w.good = "left" })
		pass(3 * time.Hour)
		s.close()
		s.open()
		w.set(func(w *world) { w.values["shop"] = "left" })
		s.SetTargets([]images.Target{target})
		pass(10*time.Minute + time.Second)
		if st := s.Status(); len(st) != 1 || st[0].Problem != "" {
			t.Errorf("status %+v", st)
		}
	})
}

// TestOthersOfTheOldCredential: when the credential of one changes, the others
// that were refused with it are looked at, too.
func TestOthersOfTheOldCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		w.good = "right"
		s := inWorld(t, w, images.Settings{Interval: time.Hour})
		defer s.close()
		shop, ops := s.target("shop", app+":1.0.0", "semver:*"), s.target("ops", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{shop, ops})
		pass(time.Minute)
		w.set(func(w *world) {
			for _, ns := range []string{"shop", "ops"} {
				w.ids[ns], w.values[ns] = "regcred "+ns, "right"
			}
		})
		s.Scan(t.Context(), []images.Target{shop}, nil)
		pass(time.Second)
		if v := s.view(ops); v.Error != "" || len(v.Tags) != 1 {
			t.Errorf("error %q, tags %v", v.Error, names(v.Tags))
		}
	})
}

// TestRetry: what has failed is due soon after Retry, what is well stays as it
// was.
func TestRetry(t *testing.T) {
	const fine, flaky = "registry.test/fine", "registry.test/flaky"
	for name, again := range map[string]func(s *station){
		"retry": func(s *station) { s.Retry() },
		"configure": func(s *station) {
			s.Configure(images.Settings{Interval: 10 * time.Minute, TrustLabels: []string{"x/*"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				for _, repository := range []string{app, fine, flaky} {
					w.push(repository, "1.0.0")
				}
				w.fail[app] = &remote.Error{Host: "registry.test", Repository: "app", Asked: "the tags", Status: 404}
				w.fail[flaky+":1.0.0"] = &remote.Error{Status: 429, RetryAfter: 3 * time.Hour}
				s := inWorld(t, w, images.Settings{})
				defer s.close()
				s.SetTargets([]images.Target{s.target("shop", app+":1.0.0", "semver:*"),
					s.target("shop", fine+":1.0.0", "semver:*"), s.target("shop", flaky+":1.0.0", "*")})
				pass(time.Hour)
				w.set(func(w *world) { clear(w.fail) })
				w.counts()
				again(s)
				pass(time.Second)
				if diff := cmp.Diff(map[string]int{"tags " + app: 1, "image " + flaky: 1}, w.counts()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestRetryMeanwhile: a listing that was begun before Retry and fails after it
// is made again.
func TestRetryMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		w.fail[app] = errors.New("no route to host")
		w.latency["registry.test"] = time.Minute
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "semver:*")
		s.SetTargets([]images.Target{target})
		pass(30 * time.Second)
		s.Retry()
		pass(31 * time.Second)
		w.set(func(w *world) { clear(w.fail) })
		pass(time.Minute)
		if v := s.view(target); v.Error != "" || len(v.Tags) != 1 {
			t.Errorf("error %q, tags %v", v.Error, names(v.Tags))
		}
	})
}

// TestTurned: who has targets is told once that their repository fails, and
// once that it does not any more.
func TestTurned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		w.fail[app] = &remote.Error{Host: "registry.test", Repository: "app", Asked: "the tags", Status: 503}
		s := inWorld(t, w, images.Settings{})
		s.close()
		turned := make(chan int, 100)
		s.options.Turned = func(targets []images.Target) { turned <- len(targets) }
		s.open()
		defer s.close()
		targets := []images.Target{s.target("shop", app+":1.0.0", "semver:*")}
		start := time.Now()
		s.SetTargets(targets)
		pass(time.Hour)
		failing := s.Failing(targets)
		if len(turned) != 1 || len(failing) != 1 || failing[0].Problem != images.Unreachable || failing[0].Failing.Sub(start).Abs() > time.Minute {
			t.Errorf("%d turns, failing %+v", len(turned), failing)
		}
		w.set(func(w *world) { clear(w.fail) })
		pass(time.Hour)
		if failing := s.Failing(targets); len(turned) != 2 || len(failing) > 0 {
			t.Errorf("%d turns, failing %+v", len(turned), failing)
		}
	})
}
