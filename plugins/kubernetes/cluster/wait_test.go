package cluster

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
)

func TestUntil(t *testing.T) {
	down := errors.New("connection refused")
	seen := func(e watch.Event) bool { return e.Type == watch.Added }
	t.Run("comes back", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			start := func(context.Context) (watch.Interface, error) {
				if tries++; tries < 4 {
					return nil, down
				}
				w := watch.NewFakeWithChanSize(1, false)
				w.Add(nil)
				return w, nil
			}
			if err := Until(t.Context(), start, seen); err != nil || tries != 4 {
				t.Errorf("%d tries, %v", tries, err)
			}
		})
	})
	t.Run("stays away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			tries := 0
			err := Until(ctx, func(context.Context) (watch.Interface, error) { tries++; return nil, down }, seen)
			if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, down) {
				t.Errorf("%v, want the deadline and the cause", err)
			}
			if tries > 30 {
				t.Errorf("%d tries in a minute", tries)
			}
		})
	})
	t.Run("is not allowed", func(t *testing.T) {
		forbidden := apierrors.NewForbidden(schema.GroupResource{}, "a", errors.New("RBAC"))
		tries := 0
		err := Until(t.Context(), func(context.Context) (watch.Interface, error) { tries++; return nil, forbidden }, seen)
		if !apierrors.IsForbidden(err) || tries != 1 {
			t.Errorf("%d tries, %v", tries, err)
		}
	})
}
