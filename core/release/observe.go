package release

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// ObserverOptions configures an Observer.
type ObserverOptions struct {
	// Can tells whether the helm has a capability, see helm.CanList; nil:
	// whether the helm implements it.
	Can func(capability string) bool
	// Age is how old a listing may be; zero: 10 seconds.
	Age time.Duration
	Now func() time.Time // nil: time.Now
}

// Observer tells how the releases of one helm stand, with one listing for all
// of them. Safe for concurrent use.
type Observer struct {
	helm   helm.Helm
	lister helm.Lister // nil if it cannot list
	age    time.Duration
	now    func() time.Time

	mu      sync.Mutex
	all     map[helm.ReleaseRef]helm.Revision
	began   time.Time // of the listing that all is from; zero: none yet
	flight  chan struct{}
	failure error // of the newest listing
	failed  time.Time
	changes map[helm.ReleaseRef]change
}

// change is what is known of a release beyond the listing.
type change struct {
	at    time.Time
	rev   helm.Revision
	known bool // or else it must be asked for
}

// failureAge is how long a listing that failed is not tried again.
const failureAge = time.Minute

// NewObserver makes an Observer of h.
func NewObserver(h helm.Helm, o ObserverOptions) *Observer {
	obs := &Observer{helm: h, age: o.Age, now: o.Now, changes: map[helm.ReleaseRef]change{}}
	if obs.age <= 0 {
		obs.age = 10 * time.Second
	}
	if obs.now == nil {
		obs.now = time.Now
	}
	if lister, ok := h.(helm.Lister); ok && (o.Can == nil || o.Can(helm.CanList)) {
		obs.lister = lister
	}
	return obs
}

// Observe returns the newest revision of a release, and the releases of owner
// that have other names, no older than the options say and never older than a
// Changed of it. Revisions of a listing have no more than helm.Lister gives.
func (o *Observer) Observe(ctx context.Context, ref helm.ReleaseRef, owner string) (Seen, error) {
	if err := o.list(ctx); err != nil {
		if ctx.Err() != nil {
			return Seen{}, err
		}
		rev, err := o.Fresh(ctx, ref) // it may be that only listing is not allowed
		return Seen{Revision: rev}, err
	}
	o.mu.Lock()
	c, changed := o.changes[ref]
	seen := Seen{Revision: o.all[ref], Others: o.others(ref, owner), listed: true}
	o.mu.Unlock()
	if changed && !c.known {
		rev, err := o.Fresh(ctx, ref)
		seen.Revision = rev
		return seen, err
	}
	return seen, nil
}

// others are the releases of owner but for one. o.mu is held.
func (o *Observer) others(ref helm.ReleaseRef, owner string) (list []Owned) {
	if owner == "" {
		return nil
	}
	for other, rev := range o.all {
		if rev.Owner == owner && other != ref && exists(rev) {
			list = append(list, Owned{other, rev})
		}
	}
	slices.SortFunc(list, byName)
	return list
}

func byName(a, b Owned) int { return strings.Compare(refString(a.Ref), refString(b.Ref)) }

// Fresh asks for the newest revision of a release, all of it; a zero Revision
// if there is no release.
func (o *Observer) Fresh(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	at := o.now()
	rev, err := o.helm.Status(ctx, ref)
	if err != nil {
		return helm.Revision{}, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if c := o.changes[ref]; !c.at.After(at) {
		o.note(ref, change{at: at, rev: rev, known: true})
	}
	return rev, nil
}

// note keeps what is known of a release. o.mu is held.
func (o *Observer) note(ref helm.ReleaseRef, c change) {
	o.changes[ref] = c
	if o.all == nil || !c.known {
		return
	}
	if c.rev.Number == 0 {
		delete(o.all, ref)
		return
	}
	o.all[ref] = c.rev
}

// Changed says that something has changed a release: what was known of it does
// not count any more.
func (o *Observer) Changed(ref helm.ReleaseRef) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(ref, change{at: o.now()})
}

// learned says what an operation has made of a release.
func (o *Observer) learned(ref helm.ReleaseRef, rev helm.Revision) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(ref, change{at: o.now(), rev: rev, known: true})
}

// List returns the newest revision of every release of a namespace, of all if
// it is empty, ordered by name.
func (o *Observer) List(ctx context.Context, namespace string) ([]Owned, error) {
	if err := o.list(ctx); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []Owned
	for ref, rev := range o.all {
		if namespace == "" || ref.Namespace == namespace {
			list = append(list, Owned{ref, rev})
		}
	}
	slices.SortFunc(list, byName)
	return list, nil
}

// list sees to a listing that is young enough. Who comes while one is under way
// waits for it. One that failed is not tried again for a minute.
func (o *Observer) list(ctx context.Context) error {
	if o.lister == nil {
		return errors.New("this helm cannot list releases")
	}
	for {
		o.mu.Lock()
		now := o.now()
		if o.failure != nil && now.Sub(o.failed) < failureAge {
			defer o.mu.Unlock()
			return o.failure
		}
		if o.all != nil && now.Sub(o.began) < o.age {
			o.mu.Unlock()
			return nil
		}
		flight := o.flight
		if flight == nil {
			o.flight = make(chan struct{})
			o.mu.Unlock()
			return o.lead(ctx, now)
		}
		o.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lead makes a listing.
func (o *Observer) lead(ctx context.Context, began time.Time) error {
	all := map[helm.ReleaseRef]helm.Revision{}
	err := o.lister.List(ctx, "", func(ref helm.ReleaseRef, rev helm.Revision) { all[ref] = rev })
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.flight)
	o.flight = nil
	if err != nil {
		err = fmt.Errorf("list releases: %w", err)
		if ctx.Err() == nil {
			o.failure, o.failed = err, o.now()
		}
		return err
	}
	o.all, o.began, o.failure = all, began, nil
	// What changed before the listing began is in it.
	maps.DeleteFunc(o.changes, func(_ helm.ReleaseRef, c change) bool { return c.at.Before(began) })
	for ref, c := range o.changes {
		o.note(ref, c)
	}
	return nil
}
