package limit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/images/limit"
)

// The configured ceiling holds over every span of time, whatever the registry
// answers, however many identities there are and however they come and go.
func TestCeilingHoldsOverEverySpan(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 1))
		limits := limit.Limits{
			RPS:   []float64{0.3, 1, 3, 7.77, 33.3, 150}[r.IntN(6)],
			Burst: []int{1, 2, 5, 20}[r.IntN(4)],
		}
		t.Run(fmt.Sprintf("seed %d, %v rps, burst %d", seed, limits.RPS, limits.Burst), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { checkCeiling(t, r, limits) })
		})
	}
}

func checkCeiling(t *testing.T, r *rand.Rand, limits limit.Limits) {
	l := limit.New(limit.Options{Ceiling: func(string) limit.Limits { return limits }, MaxLanes: 2})
	var (
		mu   sync.Mutex
		sent []time.Time
		wg   sync.WaitGroup
	)
	number := func(n int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(n) }
	start := time.Now()
	for worker := range 20 {
		wg.Go(func() {
			for range 25 {
				time.Sleep(time.Duration(number(4)*number(500)) * time.Millisecond) // virtual time
				key := limit.Key{Host: "registry.example.com", Identity: fmt.Sprint((worker + number(2)) % 4)}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+number(120))*time.Second)
				turn, err := l.Wait(ctx, key, limit.Class(number(2)))
				cancel()
				if err != nil {
					continue
				}
				mu.Lock()
				sent = append(sent, time.Now())
				mu.Unlock()
				time.Sleep(time.Duration(number(300)) * time.Millisecond)
				turn.Done(randomAnswer(number), "")
			}
		})
	}
	wg.Wait()
	if len(sent) < 20 {
		t.Fatalf("only %d requests went through in %s", len(sent), time.Since(start))
	}
	slices.SortFunc(sent, time.Time.Compare)
	for i := range sent {
		for j := i; j < len(sent); j++ {
			span := sent[j].Sub(sent[i])
			if n, most := float64(j-i+1), float64(limits.Burst)+limits.RPS*span.Seconds(); n > most+1e-6 {
				t.Fatalf("%v requests within %s, more than %v", n, span, most)
			}
		}
	}
}

func randomAnswer(number func(int) int) *http.Response {
	switch number(12) {
	case 0:
		return answer(429, "Retry-After", fmt.Sprint(number(5)))
	case 1:
		return answer(503)
	case 2:
		return answer(500)
	case 3:
		return nil
	default:
		return answer(200)
	}
}

// answer makes a response with headers given as name, value, name, value.
func answer(status int, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}}
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	return r
}
