package remote

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

func newTokens() *tokens {
	return &tokens{kept: newMemory[tokenKey, secret.Secret](10), flights: map[tokenKey]*flight{}}
}

// A caller that gives up while it fetches a token leaves the fetching to one of
// those who wait for it.
func TestTokenOfACallerThatGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts, key := newTokens(), tokenKey{host: "a"}
		var wg sync.WaitGroup
		fetched := 0
		for i := range 5 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				if i > 0 {
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
				}
				defer cancel()
				token, _, err := ts.get(ctx, key, func() (secret.Secret, time.Duration, error) {
					fetched++
					select {
					case <-time.After(time.Minute):
						return secret.New("t"), time.Minute, nil
					case <-ctx.Done():
						return secret.Secret{}, 0, ctx.Err()
					}
				})
				if i == 0 && !errors.Is(err, context.DeadlineExceeded) || i > 0 && (err != nil || token != secret.New("t")) {
					t.Errorf("caller %d: %v, %v", i, token, err)
				}
			})
		}
		wg.Wait()
		if fetched != 2 {
			t.Errorf("fetched %d times, want 2", fetched)
		}
	})
}

// A token that the registry refused is dropped, but not the one that another
// poll fetched meanwhile.
func TestForgetOnlyWhatWasRefused(t *testing.T) {
	ts, key := newTokens(), tokenKey{host: "a", credential: "c"}
	ts.kept.put(key, secret.New("new"), time.Hour)
	ts.forget(key, "Bearer old")
	if _, ok := ts.kept.get(key); !ok {
		t.Error("the new token is gone")
	}
	ts.forget(key, "Bearer new")
	if _, ok := ts.kept.get(key); ok {
		t.Error("the refused token is still there")
	}
}

func TestMemoryIsBoundedAndForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory[int, string](3)
		m.put(1, "a", time.Second)
		m.put(2, "b", time.Minute)
		time.Sleep(2 * time.Second)
		if _, ok := m.get(1); ok {
			t.Error("1 is still there")
		}
		for i := range 10 {
			m.put(10+i, "x", time.Minute)
			if _, ok := m.get(10 + i); !ok || len(m.entries) > 3 {
				t.Errorf("after %d: %d entries, the newest there: %t", i, len(m.entries), ok)
			}
		}
		m.put(19, "y", time.Minute)
		if len(m.entries) != 3 {
			t.Errorf("putting what is there leaves %d entries", len(m.entries))
		}
	})
}
