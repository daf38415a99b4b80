package release

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Wanted is what a declaration comes to.
type Wanted struct {
	Digest Digest
	Chart  ChartInfo
}

// Seen is what the cluster has of a release.
type Seen struct {
	Revision helm.Revision // newest; zero if there is none
	Others   []Owned       // of the same owner under other names
	listed   bool          // Others are all there are
	// Past is the history, newest first. Decide needs it only where needsPast
	// says so.
	Past []helm.Revision
	// Ours says that the operation that left the release locked was of this
	// daemon, which knows that it has ended. The owner does not tell that: another
	// daemon may follow the same declaration, and be at work.
	Ours bool
	// Rival is the living declaration whose release it is, if it is another's.
	Rival string
	// Compared says that Drift tells which live objects are not as the release
	// says.
	Compared bool
	Drift    []helm.Change
}

// Owned is a release that somebody owns.
type Owned struct {
	Ref      helm.ReleaseRef `json:"ref"`
	Revision helm.Revision   `json:"revision"`
}

// Words of Helm for the status of a revision.
const (
	deployed     = "deployed"
	failed       = "failed"
	uninstalled  = "uninstalled"
	uninstalling = "uninstalling"
	superseded   = "superseded"
)

func isLocked(status string) bool {
	return strings.HasPrefix(status, "pending-") || status == uninstalling
}

// exists reports whether there is more than a history.
func exists(r helm.Revision) bool { return r.Number > 0 && r.Status != uninstalled }

// needsPast reports whether Decide needs the history to tell how the newest
// revision came about.
func needsPast(r helm.Revision, rec Record) bool {
	return r.Status == failed || r.Tests == failed || rec.Tests.Failed && rec.Tests.of(r) || r.Status == deployed && r.Digest == "" && rec.Digest == ""
}

// Decide tells how a release stands and what is to be done about it. It is
// pure: the same arguments give the same decision.
func Decide(s Spec, w Wanted, seen Seen, rec Record, now time.Time) Decision {
	d := deciding{&s, w, seen, rec, now, w.Digest.String()}
	rev := seen.Revision
	foreign := exists(rev) && rev.Owner != s.Owner
	switch {
	case foreign && (!s.adopts(rev.Owner) || seen.Rival != ""):
		return d.unmanaged()
	case len(seen.Others) > 0:
		return d.moved()
	case isLocked(rev.Status):
		return d.locked()
	case foreign:
		return d.adopt()
	case !exists(rev):
		return d.absent()
	case rev.Status == failed:
		return d.failed()
	case rev.Status != deployed:
		return d.say(OutOfSync, ActUpgrade, "Revision %d is %s, and no newer one is deployed.", rev.Number, rev.Status)
	case rev.Digest == d.want:
		return d.tested()
	case d.gaveUp():
		return d.rolledBack()
	}
	return d.outOfSync()
}

// adopts reports whether a release of owner may be taken over, if nobody declares
// it any more.
func (s *Spec) adopts(owner string) bool {
	return s.Adopt || s.Inherits != "" && s.Inherits == owner
}

// deciding is one decision.
type deciding struct {
	s    *Spec
	w    Wanted
	seen Seen
	rec  Record
	now  time.Time
	want string
}

func (d *deciding) say(state State, action Action, format string, args ...any) Decision {
	return Decision{State: state, Action: action, Reason: fmt.Sprintf(format, args...)}
}

func (d *deciding) ref() string { return refString(d.s.Ref) }

func refString(r helm.ReleaseRef) string { return r.Namespace + "/" + r.Name }

func (d *deciding) unmanaged() Decision {
	owner := d.seen.Revision.Owner
	switch {
	case d.seen.Rival != "":
		return d.say(Unmanaged, ActRefuse, "Release %s belongs to %s, which goes on with it: remove one of the two declarations, or give it another name.", d.ref(), d.seen.Rival)
	case owner != "":
		return d.say(Unmanaged, ActRefuse, "Release %s belongs to %s, which is not declared here: set %s to take it over, or choose another name.", d.ref(), owner, d.option("adopt", true))
	}
	return d.say(Unmanaged, ActRefuse, "Release %s exists and nobody declares it: set %s to take it over, or choose another name.", d.ref(), d.option("adopt", true))
}

func (d *deciding) adopt() Decision {
	return d.say(Unmanaged, ActAdopt, "Release %s exists and nobody declares it, so it is taken over.", d.ref())
}

func (d *deciding) moved() Decision {
	var names []string
	for _, o := range d.seen.Others {
		names = append(names, refString(o.Ref))
	}
	old := strings.Join(names, ", ")
	if d.s.OnMove == MoveReinstall {
		return d.say(Moved, ActMove, "The release was %s before and is %s now: the old one is uninstalled first.", old, d.ref())
	}
	return d.say(Moved, ActRefuse, "The release was %s before and is %s now: set %s to have the old one uninstalled, or uninstall it yourself (sluice helm uninstall %s), so that not two remain.",
		old, d.ref(), d.option("on_move", "reinstall"), names[0])
}

// option is how the author of the declaration sets one.
func (d *deciding) option(name string, value any) string {
	text, isText := value.(string)
	switch {
	case d.s.Annotations == "" && isText:
		return fmt.Sprintf("%s = %q", name, text)
	case d.s.Annotations == "":
		return fmt.Sprintf("%s = %v", name, value)
	case !isText: // YAML would take it for something else than a text
		text = strconv.Quote(fmt.Sprint(value))
	}
	return "the annotation " + d.s.Annotations + strings.ReplaceAll(name, "_", "-") + ": " + text
}

// locked frees a release that nobody can be at work on any more.
func (d *deciding) locked() Decision {
	rev := d.seen.Revision
	if d.seen.Ours {
		return d.say(Locked, ActUnlock, "Revision %d is %s, left by an operation of ours that was interrupted.", rev.Number, rev.Status)
	}
	who := "somebody else is at work on it"
	if rev.Owner == d.s.Owner && rev.Digest != "" && rev.Status != uninstalling {
		who = "that was begun by another daemon, or by one that has lost its data directory"
	}
	grace := d.s.timeout()
	until := d.rec.Lock.held(rev, d.now).Add(grace)
	if d.now.Before(until) {
		dec := d.say(Locked, ActWait, "Revision %d is %s: %s. If it has not ended by %s, it is taken for interrupted.",
			rev.Number, rev.Status, who, until.UTC().Format("15:04:05 MST"))
		dec.Again = until
		return dec
	}
	return d.say(Locked, ActUnlock, "Revision %d has been %s for longer than the timeout of %s, so whoever was at work on it was interrupted.", rev.Number, rev.Status, grace)
}

func (d *deciding) absent() Decision {
	if d.rec.GivenUp == d.want && d.s.Remedy.Action == RemedyUninstall {
		return d.say(Failed, ActRefuse, "The release failed and was uninstalled, as on_failure says. It is installed again when its chart, values or options change, or on request (sluice sync).")
	}
	return d.say(Absent, ActInstall, "There is no release %s.", d.ref())
}

// failed retries, or remedies.
func (d *deciding) failed() Decision {
	rev := d.seen.Revision
	if rev.Digest != d.want && (rev.Digest != "" || d.rec.Digest != d.want) {
		return d.say(Failed, ActUpgrade, "Revision %d failed, before %s changed.", rev.Number, d.w.changes(rev))
	}
	switch attempts := d.attempts(); {
	case attempts == 0:
		return d.say(Failed, ActUpgrade, "Revision %d was interrupted.", rev.Number)
	case d.exhausted(attempts):
		return d.remedy(fmt.Sprintf("revision %d", rev.Number))
	case d.now.Before(d.rec.RetryAt):
		return d.later(fmt.Sprintf("Revision %d failed. Attempt %s follows at %s.", rev.Number, d.nth(attempts+1), d.clock(d.rec.RetryAt)))
	default:
		return d.say(Failed, ActUpgrade, "Revision %d failed. This is attempt %s.", rev.Number, d.nth(attempts+1))
	}
}

func (d *deciding) later(reason string) Decision {
	return Decision{State: Failed, Action: ActWait, Reason: reason, Again: d.rec.RetryAt}
}

func (d *deciding) clock(t time.Time) string { return t.UTC().Format("15:04:05 MST") }

// nth is the number of an attempt, with how many there are.
func (d *deciding) nth(n int) string {
	if d.s.Remedy.Retries < 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d of %d", n, d.s.Remedy.Retries+1)
}

// attempts is how often what is wanted has failed. Without a record, the
// history tells.
func (d *deciding) attempts() int {
	if d.rec.Digest == d.want {
		return d.rec.Attempts
	}
	n := 0
	for _, r := range d.seen.Past {
		if r.Digest == d.want && (r.Status == failed || r.Tests == failed) && !strings.HasPrefix(r.Message, "interrupted") {
			n++
		}
	}
	return n
}

func (d *deciding) exhausted(attempts int) bool {
	return d.s.Remedy.Retries >= 0 && attempts > d.s.Remedy.Retries
}

// mostUndone is how often a rollback is tried at least, if it fails.
const mostUndone = 3

// remedy is for what failed too often.
func (d *deciding) remedy(what string) Decision {
	const until = "It stays as it is until its chart, values or options change, or on request (sluice sync)."
	switch d.s.Remedy.Action {
	case RemedyUninstall:
		return d.say(Failed, ActUninstall, "%s failed after %s, so the release is uninstalled, as on_failure says.", upper(what), d.tries())
	case RemedyRollback:
		back := d.back()
		switch {
		case back == 0:
			return d.say(Failed, ActRefuse, "%s failed after %s, and there is no earlier revision to roll back to. %s", upper(what), d.tries(), until)
		case d.rec.Undone >= max(mostUndone, d.s.Remedy.Retries):
			return d.say(Failed, ActRefuse, "%s failed, and %d rollbacks to revision %d failed, too. %s", upper(what), d.rec.Undone, back, until)
		case d.rec.Undone > 0 && d.now.Before(d.rec.RetryAt):
			return d.later(fmt.Sprintf("%s failed, and so did its rollback, which is tried again at %s.", upper(what), d.clock(d.rec.RetryAt)))
		}
		dec := d.say(Failed, ActRollback, "%s failed after %s, so the release goes back to revision %d, as on_failure says.", upper(what), d.tries(), back)
		dec.back = back
		return dec
	}
	return d.say(Failed, ActRefuse, "%s failed after %s. %s", upper(what), d.tries(), until)
}

func (d *deciding) tries() string {
	if n := d.attempts(); n != 1 {
		return fmt.Sprintf("%d attempts", n)
	}
	return "one attempt"
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// back is the revision that a rollback would return to, zero if there is none.
func (d *deciding) back() int {
	for _, r := range d.seen.Past {
		if r.Number < d.seen.Revision.Number && (r.Status == deployed || r.Status == superseded) && r.Tests != failed {
			return r.Number
		}
	}
	return 0
}

// gaveUp reports whether what is wanted was rolled back. Without a record, the
// history tells: the revision before a rollback is the one that failed.
func (d *deciding) gaveUp() bool {
	if d.rec.Digest != "" || d.rec.GivenUp != "" {
		return d.rec.GivenUp == d.want
	}
	past := d.seen.Past
	return d.seen.Revision.Digest == "" && len(past) > 1 && past[1].Status == failed && past[1].Digest == d.want
}

func (d *deciding) rolledBack() Decision {
	r := d.s.Remedy
	if r.RetryRolledBack && (r.MaxRollbacks == 0 || d.rec.Rollbacks <= r.MaxRollbacks) {
		if next := d.rec.RolledBackAt.Add(d.s.interval()); d.now.Before(next) {
			dec := d.settled(RolledBack, "What is declared failed and was rolled back. It is tried again at %s.", d.clock(next))
			dec.Again = next
			return dec
		}
		return d.say(RolledBack, ActUpgrade, "What is declared failed and was rolled back %d times. It is tried again, as on_failure says.", d.rec.Rollbacks)
	}
	return d.settled(RolledBack, "What is declared failed and was rolled back. It is tried again when its chart, values or options change, or on request (sluice sync).")
}

func (d *deciding) outOfSync() Decision {
	rev, back := d.seen.Revision, d.rec.Rollback
	switch to, isRollback := strings.CutPrefix(rev.Message, "Rollback to "); { // in the words of Helm
	case rev.Digest != "":
		return d.say(OutOfSync, ActUpgrade, "Revision %d was made before %s changed.", rev.Number, d.w.changes(rev))
	case back.of(rev) && back.Failed == d.want:
		return d.say(OutOfSync, ActUpgrade, "Revision %d is the rollback to revision %d, as on_failure says. What failed is tried again.", rev.Number, back.To)
	case back.of(rev):
		return d.say(OutOfSync, ActUpgrade, "Revision %d is the rollback to revision %d, as on_failure says, of what was declared before %s changed.",
			rev.Number, back.To, d.w.changes(helm.Revision{Digest: back.Failed}))
	case isRollback && d.rec.Digest == "": // nobody knows any more
		return d.say(OutOfSync, ActUpgrade, "Revision %d is a rollback to revision %s.", rev.Number, to)
	case isRollback:
		return d.say(OutOfSync, ActUpgrade, "Revision %d is a rollback to revision %s, made by hand, or with the helm command.", rev.Number, to)
	}
	return d.say(OutOfSync, ActUpgrade, "Revision %d was made by hand, or with the helm command.", rev.Number)
}

// tested runs the tests of what is deployed, if there are to be any.
func (d *deciding) tested() Decision {
	rev, t := d.seen.Revision, d.s.Test
	ran := d.rec.Tests.of(rev)
	bad := rev.Tests == failed || ran && d.rec.Tests.Failed
	switch {
	case t == nil, ran && !d.rec.Tests.Failed, rev.Tests == "passed" && len(t.Names) == 0, bad && t.IgnoreFailures:
		return d.settled(InSync, "Revision %d is as declared.", rev.Number)
	case !bad:
		return d.say(Untested, ActTest, "The tests of revision %d have not run.", rev.Number)
	}
	switch attempts := max(d.attempts(), 1); {
	case d.exhausted(attempts):
		return d.remedy(fmt.Sprintf("the tests of revision %d", rev.Number))
	case d.now.Before(d.rec.RetryAt):
		return d.later(fmt.Sprintf("The tests of revision %d failed. Attempt %s follows at %s.", rev.Number, d.nth(attempts+1), d.clock(d.rec.RetryAt)))
	default:
		return d.say(Failed, ActTest, "The tests of revision %d failed. This is attempt %s.", rev.Number, d.nth(attempts+1))
	}
}

// settled is for a deployed revision that stays: what is left to look at are
// the live objects.
func (d *deciding) settled(state State, format string, args ...any) Decision {
	switch {
	case d.s.Drift.Mode == DriftOff:
	case !d.seen.Compared:
		return d.say(state, ActCompare, format, args...)
	case len(d.seen.Drift) > 0 && d.s.Drift.Mode == DriftWarn:
		return d.say(Drifted, ActNone, "%s not as revision %d says; nothing is done about it, as drift says.", are(d.seen.Drift), d.seen.Revision.Number)
	case len(d.seen.Drift) > 0:
		return d.say(Drifted, ActCorrect, "%s not as revision %d says.", are(d.seen.Drift), d.seen.Revision.Number)
	}
	return d.say(state, ActNone, format, args...)
}
