package images_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/images"
)

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
