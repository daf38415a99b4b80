package releases

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// TestAwaiting: a wait says what it is for, which object keeps it, and for how
// long, and nothing once it has ended.
func TestAwaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		p := newProgress(func(e helm.Event) { said = append(said, e.Object+": "+e.Message) })
		end := p.awaiting("waiting for the objects", "", 5*time.Minute)
		p.found.await("Deployment/web")
		time.Sleep(2*patience + time.Second)
		end()
		time.Sleep(2 * patience)
		want := []string{": waiting for the objects", "Deployment/web: waiting for the objects, 15s of 5m0s", "Deployment/web: waiting for the objects, 30s of 5m0s"}
		if diff := cmp.Diff(want, said); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestReword(t *testing.T) {
	t.Parallel()
	object := func(i int) error {
		return fmt.Errorf("resource Deployment/demo/web%d not ready. status: InProgress, message: Updated: 1/2\nand more", i)
	}
	many := []error{context.DeadlineExceeded}
	for i := range mostUnready + 2 {
		many = append(many, object(i))
	}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"one":      {errors.Join(object(0), context.DeadlineExceeded), "late: Deployment/demo/web0: Updated: 1/2 and more"},
		"failed":   {errors.Join(errors.New("resource Job/demo/a not ready. status: Failed, message: Job Failed")), "failed: Job/demo/a: Job Failed"},
		"gone":     {errors.Join(errors.New("resource Pod/demo/a still exists. status: Terminating, message: held"), context.DeadlineExceeded), "late: Pod/demo/a: held"},
		"polling":  {context.DeadlineExceeded, "late"},
		"another":  {errors.New("the server is away"), "failed: the server is away"},
		"too many": {errors.Join(many...), "late: Deployment/demo/web0: Updated: 1/2 and more; Deployment/demo/web1: Updated: 1/2 and more; Deployment/demo/web2: Updated: 1/2 and more; Deployment/demo/web3: Updated: 1/2 and more; Deployment/demo/web4: Updated: 1/2 and more; and 2 more"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &waiter{ended: func() error { return nil }}
			if got := w.reword(tt.err, "late", "failed", "$1: $2"); got.Error() != tt.want || !errors.Is(got, tt.err) {
				t.Errorf("got  %v\nwant %s", got, tt.want)
			}
			w.ended = func() error { return context.Canceled }
			if got := w.reword(tt.err, "late", "failed", "$1: $2"); got.Error() != tt.err.Error() {
				t.Errorf("of an operation that is over: %v", got)
			}
		})
	}
}
