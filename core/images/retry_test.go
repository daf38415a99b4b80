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

// TestSpread: a few first scans begin soon, many are spread.
func TestSpread(t *testing.T) {
	for n, within := range map[int]time.Duration{1: 100 * time.Millisecond, 50: 5 * time.Second, 1000: 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			s := inWorld(t, w, images.Settings{})
			defer func() { s.close() }()
			s.close()
			s.options.Spread, s.options.Rand = 0, nil
			s.open()
			var targets []images.Target
			for i := range n {
				name := fmt.Sprintf("registry%d.test/app", i)
				w.push(name, "1.0.0")
				targets = append(targets, s.target("shop", name+":1.0.0", "semver:*"))
			}
			s.SetTargets(targets)
			early := 0
			pass(within/2 + 10*time.Millisecond)
			for _, st := range s.Status() {
				early += st.Tags
			}
			if n > 10 && (early < n/5 || early > n*4/5) {
				t.Errorf("%d of %d in the first half", early, n)
			}
			pass(within/2 + 10*time.Millisecond)
			if got := s.Status(); len(got) != n || got[n-1].Tags != 1 {
				t.Errorf("%d of %d within %v", len(got), n, within)
			}
		})
	}
}

// TestNotYet: what was not scanned says why, and when it will be.
func TestNotYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := inWorld(t, w, images.Settings{Exclude: []string{"registry.test/secret"}})
		defer func() { s.close() }()
		s.close()
		s.options.Spread, s.options.Rand = 0, func() float64 { return 0.9999 }
		s.open()
		var automated []images.Target
		for i := range 100 {
			automated = append(automated, s.target("shop", fmt.Sprintf("registry.test/app%d:1.0.0", i), "semver:*"))
		}
		if got := s.view(automated[0]).Error; got != "not scanned yet; --scan does it now" {
			t.Error(got)
		}
		s.SetTargets(automated)
		for want, target := range map[string]images.Target{
			"not scanned yet: due in 10s; --scan does it now": automated[0],
			"not scanned: not automated; --scan does it now":  s.target("shop", "registry.test/other:1", ""),
			"excluded": s.target("shop", "registry.test/secret:1", "*"),
		} {
			if got := s.view(target).Error; got != want {
				t.Errorf("%q, not %q", got, want)
			}
		}
	})
}

// TestPlainErrors: what is read beside the name of the repository does not
// repeat it.
func TestPlainErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push(app, "1.0.0")
		w.fail[app] = fmt.Errorf("%s: the tags: %w", app, errors.New("connection refused"))
		s := inWorld(t, w, images.Settings{})
		defer s.close()
		target := s.target("shop", app+":1.0.0", "*")
		s.SetTargets([]images.Target{target})
		pass(time.Second)
		res := s.Scan(t.Context(), []images.Target{target}, nil)[0]
		for _, got := range []string{s.view(target).Error, s.Status()[0].Error, res.Err.Error()} {
			if got != "the tags: connection refused" {
				t.Error(got)
			}
		}
		w.set(func(w *world) {
			w.fail = map[string]error{app + ":1.0.0": fmt.Errorf("%s: the manifest: it is of no known kind", app)}
		})
		s.Scan(t.Context(), []images.Target{target}, nil)
		if got := tag(t, s.view(target), "1.0.0").Problem; got != "the manifest: it is of no known kind" {
			t.Error(got)
		}
		w.set(func(w *world) { w.noID = fmt.Errorf("no credential for %s: ecr: it is down", app) })
		res = s.Scan(t.Context(), []images.Target{target}, nil)[0]
		if got := res.Err.Error(); got != "no credential: ecr: it is down" || strings.Contains(s.view(target).Error, app) {
			t.Error(got)
		}
	})
}
