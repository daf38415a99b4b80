package releases

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v4/pkg/kube"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// waiter is one of Helm's that tells what it waits for, and in one line what
// has not come.
type waiter struct {
	kube.Waiter
	hooksOnly bool
	ended     func() error
	log       *progress
}

// GetWaiter implements kube.Interface.
func (c *client) GetWaiter(s kube.WaitStrategy) (kube.Waiter, error) {
	return c.GetWaiterWithOptions(s)
}

// GetWaiterWithOptions implements kube.InterfaceWaitOptions.
func (c *client) GetWaiterWithOptions(s kube.WaitStrategy, options ...kube.WaitOption) (kube.Waiter, error) {
	w, err := c.Client.GetWaiterWithOptions(s, options...)
	if err != nil {
		return nil, err
	}
	return &waiter{w, s == kube.HookOnlyStrategy, c.ended, c.log}, nil
}

// WatchUntilReady implements kube.Waiter: it waits for a hook.
func (w *waiter) WatchUntilReady(list kube.ResourceList, timeout time.Duration) error {
	if len(list) == 0 {
		return nil
	}
	hook := list[0].Mapping.GroupVersionKind.Kind + "/" + list[0].Name
	end := w.log.awaiting("waiting for the hook", hook, timeout)
	err := w.Waiter.WatchUntilReady(list, timeout)
	end()
	return w.reword(err, fmt.Sprintf("hook %s is not done within %s", hook, timeout), fmt.Sprintf("hook %s failed", hook), "$2")
}

// Wait implements kube.Waiter.
func (w *waiter) Wait(list kube.ResourceList, timeout time.Duration) error {
	return w.wait(w.Waiter.Wait, list, timeout)
}

// WaitWithJobs implements kube.Waiter.
func (w *waiter) WaitWithJobs(list kube.ResourceList, timeout time.Duration) error {
	return w.wait(w.Waiter.WaitWithJobs, list, timeout)
}

func (w *waiter) wait(wait func(kube.ResourceList, time.Duration) error, list kube.ResourceList, timeout time.Duration) error {
	if w.hooksOnly || len(list) == 0 {
		return nil
	}
	end := w.log.awaiting("waiting for the objects", "", timeout)
	err := wait(list, timeout)
	end()
	return w.reword(err, fmt.Sprintf("not ready within %s", timeout), "not ready", "$1: $2")
}

// WaitForDelete implements kube.Waiter.
func (w *waiter) WaitForDelete(list kube.ResourceList, timeout time.Duration) error {
	return w.reword(w.Waiter.WaitForDelete(list, timeout), fmt.Sprintf("not gone within %s", timeout), "not gone", "$1: $2")
}

// patience is how often a wait says that it still lasts.
const patience = 15 * time.Second

// awaiting says now and every now and then what is waited for, and for how
// long, until it is ended.
func (p *progress) awaiting(what, object string, timeout time.Duration) (end func()) {
	p.found.await("")
	p.emit(helm.Event{Time: time.Now(), Object: object, Message: what})
	began, done := time.Now(), make(chan struct{})
	var teller sync.WaitGroup
	teller.Go(func() {
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case now := <-tick.C:
				text := fmt.Sprintf("%s, %s of %s", what, now.Sub(began).Round(time.Second), timeout)
				p.emit(helm.Event{Time: now, Object: cmp.Or(object, p.found.waitedFor()), Message: text})
			}
		}
	})
	return func() {
		close(done)
		teller.Wait()
	}
}

// unready is what Helm says of each object.
var unready = regexp.MustCompile(`(?s)^resource (\S+) (?:not ready|still exists)\. status: \w+, message: (.*)$`)

// mostUnready are told.
const mostUnready = 5

// reword makes one line of an error of a wait. Each object is told of as form
// says, of its name and its message.
func (w *waiter) reword(err error, late, failed, form string) error {
	if err == nil || w.ended() != nil { // why the operation is over is told by whoever ended it
		return err
	}
	what := failed
	if errors.Is(err, context.DeadlineExceeded) {
		what = late
	}
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	var reasons []string
	for _, one := range all {
		if !errors.Is(one, context.DeadlineExceeded) {
			reasons = append(reasons, oneLine(unready.ReplaceAllString(one.Error(), form)))
		}
	}
	if more := len(reasons) - mostUnready; more > 0 {
		reasons = append(reasons[:mostUnready], fmt.Sprintf("and %d more", more))
	}
	return &reworded{strings.TrimSuffix(what+": "+strings.Join(reasons, "; "), ": "), err}
}
