package release

import (
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Record is what a run leaves for the next one. The zero Record is that of a
// release that never ran, or whose record was lost.
type Record struct {
	Owner     string          `json:"owner,omitempty"`
	Ref       helm.ReleaseRef `json:"ref"`
	Uninstall Uninstall       `json:"uninstall,omitzero"` // as declared last
	// Others are releases that a run may have made, or not have uninstalled yet,
	// when the declaration changed from one name to another.
	Others []helm.ReleaseRef `json:"others,omitempty"`

	Chart Pinned    `json:"chart,omitzero"`
	Info  ChartInfo `json:"info,omitzero"` // of Chart

	// Secrets are the JSON pointers of values that have come from Secrets.
	Secrets []string `json:"secrets,omitempty"`

	Digest   string    `json:"digest,omitempty"`   // what the release was last to be made from
	Attempts int       `json:"attempts,omitempty"` // at Digest that failed
	Why      string    `json:"why,omitempty"`      // the last of them failed
	Undone   int       `json:"undone,omitempty"`   // rollbacks of Digest that failed
	RetryAt  time.Time `json:"retry_at,omitzero"`  // not before
	Failures int       `json:"failures,omitempty"` // runs in a row that failed

	GivenUp      string    `json:"given_up,omitempty"`  // digest that was rolled back or uninstalled
	Rollbacks    int       `json:"rollbacks,omitempty"` // of GivenUp
	RolledBackAt time.Time `json:"rolled_back_at,omitzero"`

	Rollback Rollback `json:"rollback,omitzero"` // the last one of ours

	Tests TestRun `json:"tests,omitzero"` // the last ones that came to an end
	Lock  Lock    `json:"lock,omitzero"`  // that the release was seen under

	Last   helm.Revision `json:"last,omitzero"`   // as it was read last
	Listed time.Time     `json:"listed,omitzero"` // Updated of Last in listings
}

// Pinned is a chart as it was resolved from what Key stands for.
type Pinned struct {
	Key          string            `json:"key,omitempty"`
	Version      string            `json:"version,omitempty"`
	Digest       string            `json:"digest,omitempty"`
	Dependencies []helm.Dependency `json:"dependencies,omitempty"`
}

// Rollback is a revision that undid what had failed.
type Rollback struct {
	Revision int       `json:"revision"`
	Made     time.Time `json:"made"`
	To       int       `json:"to"`     // revision
	Failed   string    `json:"failed"` // digest
}

// of reports whether it was b that made r.
func (b Rollback) of(r helm.Revision) bool {
	return b.Revision == r.Number && r.Number > 0 && b.Made.Equal(r.Updated)
}

// TestRun is what came of the tests of a revision. Their numbers begin anew with
// each installation, so that the time tells it from one of an earlier release.
type TestRun struct {
	Revision int       `json:"revision"`
	Deployed time.Time `json:"deployed"`
	Failed   bool      `json:"failed,omitempty"` // also without a word in Helm's record
}

// of reports whether it was r that was tested.
func (t TestRun) of(r helm.Revision) bool {
	return t.Revision == r.Number && r.Number > 0 && t.Deployed.Equal(r.Updated)
}

// Lock is a revision that somebody was, or is, at work on.
type Lock struct {
	Revision int       `json:"revision"`
	Status   string    `json:"status"`
	Updated  time.Time `json:"updated"` // by the clock of whoever locked it
	Seen     time.Time `json:"seen"`    // first, by ours
}

// of reports whether r is locked so.
func (l Lock) of(r helm.Revision) bool {
	return l.Revision == r.Number && l.Status == r.Status && l.Updated.Equal(r.Updated)
}

// held is since when r has been locked at the latest.
func (l Lock) held(r helm.Revision, now time.Time) time.Time {
	if l.of(r) {
		now = l.Seen
	}
	if r.Updated.Before(now) {
		return r.Updated
	}
	return now // the other clock is ahead
}

// look is r after a look at the newest revision.
func (r Record) look(newest helm.Revision, now time.Time) Record {
	switch {
	case !isLocked(newest.Status):
		r.Lock = Lock{}
	case !r.Lock.of(newest):
		r.Lock = Lock{newest.Number, newest.Status, newest.Updated, now}
	}
	return r
}

// Forgive is r after somebody asked to try again: what failed counts no more.
func (r Record) Forgive() Record {
	r.Attempts, r.Why, r.Undone, r.Failures, r.RetryAt = 0, "", 0, 0, time.Time{}
	r.GivenUp, r.Rollbacks, r.RolledBackAt = "", 0, time.Time{}
	return r
}

// Begin is r before a run of s: whoever keeps it then, and is killed during the
// run, knows what to remove when s is not declared any more.
func (r Record) Begin(s Spec) Record {
	switch {
	case r.Ref == (helm.ReleaseRef{}):
		r.Owner, r.Ref, r.Uninstall = s.Owner, s.Ref, s.Uninstall
	case !r.Knows(s.Ref):
		r.Others = append(slices.Clone(r.Others), s.Ref)
	}
	return r
}

// Knows reports whether r is of a release, perhaps among others.
func (r Record) Knows(ref helm.ReleaseRef) bool {
	return r.Ref == ref || slices.Contains(r.Others, ref)
}

// own is r of a run of s that has the release, beside those of other names that
// are still there.
func (r Record) own(s *Spec, others []Owned) Record {
	r.Owner, r.Ref, r.Uninstall, r.Others = s.Owner, s.Ref, s.Uninstall, nil
	for _, o := range others {
		r.Others = append(r.Others, o.Ref)
	}
	return r
}

// beside are the releases that r knows beside the one that s declares.
func (r Record) beside(s *Spec) []helm.ReleaseRef {
	if r.Owner != s.Owner || r.Ref.Name == "" {
		return nil
	}
	return slices.DeleteFunc(append([]helm.ReleaseRef{r.Ref}, r.Others...), func(ref helm.ReleaseRef) bool { return ref == s.Ref })
}

// blank reports whether no run has left anything in r.
func (r Record) blank() bool { return r.Digest == "" && r.Last.Number == 0 }

// sane is r without what only a clock that was ahead can have written.
func (r Record) sane(now time.Time) Record {
	if r.RetryAt.After(now.Add(longestBackoff)) {
		r.RetryAt = now
	}
	if r.RolledBackAt.After(now) {
		r.RolledBackAt = now
	}
	if r.Lock.Seen.After(now) {
		r.Lock.Seen = now
	}
	return r
}

// longestBackoff is the Max of a zero sched.Backoff.
const longestBackoff = 5 * time.Minute

// Removal is how to remove what r is of: as it was declared last.
func (r Record) Removal() Removal {
	return Removal{Owner: r.Owner, Ref: r.Ref, Others: r.Others, Uninstall: r.Uninstall}
}

// aim is r when the release is to be made from a digest. Another one than
// before starts anew.
func (r Record) aim(digest string) Record {
	if r.Digest == digest {
		return r
	}
	failures := r.Failures
	if r = r.Forgive(); r.Digest == "" {
		r.Failures = failures
	}
	r.Digest = digest
	return r
}
