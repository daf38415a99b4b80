package images_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/remote"
)

// TestChaos: with everything changing at once for two hours, and failing, the
// scanner ends in the right state, and no registry was asked more often than
// its users did.
func TestChaos(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { chaos(t, seed) })
		})
	}
}

func chaos(t *testing.T, seed uint64) {
	const repositories, namespaces = 12, 3
	w := newWorld()
	s := inWorld(t, w, images.Settings{})
	defer s.close()
	name := func(i int) string { return fmt.Sprintf("host%d.test/app%d", i%3, i) }
	var all []images.Target
	for i := range repositories {
		w.push(name(i), "build-0")
		for n := range namespaces {
			all = append(all, s.target(fmt.Sprint("ns", n), name(i)+":build-0", []string{"*", "semver:*"}[i%2]))
		}
	}
	some := func(r *rand.Rand) []images.Target {
		n := r.IntN(len(all))
		return all[n:min(len(all), n+1+r.IntN(10))]
	}
	acts := []func(*rand.Rand){
		func(r *rand.Rand) { s.SetTargets(some(r)) },
		func(r *rand.Rand) { s.SetTargets(all) },
		func(r *rand.Rand) {
			s.Configure(images.Settings{Interval: time.Duration(1+r.IntN(30)) * time.Minute, Scan: []images.Mode{images.All, images.None}[r.IntN(2)]})
		},
		func(r *rand.Rand) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(20))*time.Second)
			defer cancel()
			s.Scan(ctx, some(r), nil)
		},
		func(r *rand.Rand) { w.push(name(r.IntN(repositories)), fmt.Sprint("build-", r.IntN(100))) },
		func(r *rand.Rand) {
			i := r.IntN(repositories)
			w.set(func(w *world) {
				w.fail[name(i)] = []error{nil, nil, errors.New("reset"), &remote.Error{Status: 429}, &remote.Error{Status: 404}}[r.IntN(5)]
				w.latency[fmt.Sprintf("host%d.test", i%3)] = time.Duration(r.IntN(3000)) * time.Millisecond
			})
		},
		func(r *rand.Rand) {
			w.set(func(w *world) { w.ids[fmt.Sprint("ns", r.IntN(namespaces))] = fmt.Sprint("credential", r.IntN(2)) })
		},
		func(r *rand.Rand) {
			_ = s.Resolve(t.Context(), all[r.IntN(len(all))], []string{"build-0", "build-7"}) // registries fail here
		},
		func(r *rand.Rand) {
			s.view(all[r.IntN(len(all))])
			s.Status()
			s.Metrics()
			s.Again(name(r.IntN(repositories)))
		},
	}
	var actors sync.WaitGroup
	for actor := range uint64(4) {
		actors.Go(func() {
			r := rand.New(rand.NewPCG(seed, actor))
			for range 200 {
				acts[r.IntN(len(acts))](r)
				<-time.After(time.Duration(r.IntN(60)) * time.Second)
			}
		})
	}
	actors.Wait()

	w.set(func(w *world) { clear(w.fail); clear(w.latency) })
	s.Configure(images.Settings{Interval: 10 * time.Minute})
	s.SetTargets(all)
	pass(7 * time.Hour)
	for _, target := range all {
		v := s.view(target)
		if !v.Complete || v.Error != "" || len(v.Tags) != len(w.tags[v.Repository]) || v.Next.IsZero() {
			t.Errorf("%s: complete %v, missing %v, error %q, next %v, %d tags of %d", v.Repository, v.Complete, v.Missing, v.Error, v.Next,
				len(v.Tags), len(w.tags[v.Repository]))
		}
	}
	w.counts()
	pass(80 * time.Minute)
	for i := range repositories {
		if got := w.counts()["tags "+name(i)]; got > 3*namespaces {
			t.Errorf("%s: %d listings in 80 quiet minutes", name(i), got)
		}
	}
	for _, st := range s.Status() {
		if st.Scanning || st.Missing > 0 || st.Failures > 0 || st.Next.After(time.Now().Add(90*time.Minute)) {
			t.Errorf("status %+v", st)
		}
	}
}
