package sched_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/sched"
)

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := sched.NewSlots(1, time.Minute)
		leave, err := slots.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		errLate := errors.New("late")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errLate)
		defer cancel()
		if _, err := slots.Enter(ctx); !errors.Is(err, errLate) {
			t.Errorf("beside another one: %v, want the cause of the end", err)
		}
		began := time.Now()
		leaveNext, err := slots.Enter(t.Context())
		if waited := time.Since(began); err != nil || waited != time.Minute-time.Second {
			t.Errorf("the next one waited %s for one that lasts, %v", waited, err)
		}
		leave() // has no slot any more
		ctx, cancel = context.WithTimeoutCause(t.Context(), time.Second, errLate)
		defer cancel()
		if _, err := slots.Enter(ctx); !errors.Is(err, errLate) {
			t.Errorf("a slot was given back that was another's: %v", err)
		}
		leaveNext()
		leaveNext()
		last, err := slots.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last()
	})
}
