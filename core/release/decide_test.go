package release

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

var (
	noon    = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	hourAgo = noon.Add(-time.Hour)
	ghost   = helm.ReleaseRef{Namespace: "demo", Name: "ghost"}
	wanted  = Wanted{
		Digest: Digest{Chart: "chart2", Values: "values2", Options: "options1"},
		Chart:  ChartInfo{Name: "ghost", Version: "2.0.0"},
	}
	want = wanted.Digest.String()
)

const mine = "release.ghost"

// rev is a revision of ours. Changes come as functions.
func rev(number int, status, digest string) helm.Revision {
	return helm.Revision{Number: number, Status: status, Digest: digest, Owner: mine, Updated: hourAgo}
}

func owned(r helm.Revision, owner string) helm.Revision { r.Owner = owner; return r }
func tests(r helm.Revision, came string) helm.Revision  { r.Tests = came; return r }
func said(r helm.Revision, message string) helm.Revision {
	r.Message = message
	return r
}
func chart(r helm.Revision, name string) helm.Revision { r.Chart = name; return r }
func updated(r helm.Revision, at time.Time) helm.Revision {
	r.Updated = at
	return r
}

func TestDecide(t *testing.T) {
	const earlier = "chart1.values1.options1"
	good := rev(1, "superseded", earlier)
	bad := rev(2, "failed", want)
	history := []helm.Revision{bad, good}
	at := func(attempts int) Record { return Record{Digest: want, Attempts: attempts} }
	spec := func(change ...func(*Spec)) Spec {
		s := Spec{Owner: mine, Ref: ghost}
		for _, c := range change {
			c(&s)
		}
		return s
	}
	adopt := func(s *Spec) { s.Adopt = true }
	inherits := func(s *Spec) { s.Inherits = "release.other" }
	retries := func(n int, a RemedyAction) func(*Spec) {
		return func(s *Spec) { s.Remedy.Retries, s.Remedy.Action = n, a }
	}
	tested := func(s *Spec) { s.Test = &Test{} }
	quiet := func(s *Spec) { s.Drift.Mode = DriftOff }
	drift := []helm.Change{{Kind: "Service", Namespace: "demo", Name: "ghost"}}

	tests := map[string]struct {
		spec Spec
		seen Seen
		rec  Record
		want string // state, action: reason, of which it is a part
	}{
		"absent":                             {spec(), Seen{}, Record{}, "absent, install: There is no release demo/ghost."},
		"absent, with a history kept":        {spec(), Seen{Revision: owned(rev(3, "uninstalled", want), "somebody")}, Record{}, "absent, install: "},
		"uninstalled as a remedy":            {spec(retries(0, RemedyUninstall)), Seen{}, Record{GivenUp: want}, "failed, refuse: The release failed and was uninstalled"},
		"a remedy of what was wanted before": {spec(retries(0, RemedyUninstall)), Seen{}, Record{GivenUp: earlier}, "absent, install: "},
		"removed after a rollback":           {spec(retries(0, RemedyRollback)), Seen{}, Record{GivenUp: want}, "absent, install: "},

		"nobody's":                     {spec(), Seen{Revision: owned(rev(1, "deployed", ""), "")}, Record{}, "unmanaged, refuse: Release demo/ghost exists and nobody declares it: set adopt = true"},
		"nobody's, adopted":            {spec(adopt), Seen{Revision: owned(rev(1, "deployed", ""), "")}, Record{}, "unmanaged, adopt: Release demo/ghost exists and nobody declares it, so it is taken over."},
		"nobody's and failed, adopted": {spec(adopt), Seen{Revision: owned(rev(1, "failed", ""), "")}, Record{}, "unmanaged, adopt: "},
		"a living one's":               {spec(adopt), Seen{Revision: owned(rev(1, "deployed", earlier), "release.other"), Rival: "release.other (other.hcl:3)"}, Record{}, "unmanaged, refuse: Release demo/ghost belongs to release.other (other.hcl:3), which goes on with it"},
		"a dead one's":                 {spec(), Seen{Revision: owned(rev(1, "deployed", earlier), "release.other")}, Record{}, "unmanaged, refuse: Release demo/ghost belongs to release.other, which is not declared here"},
		"a dead one's, inherited":      {spec(inherits), Seen{Revision: owned(rev(1, "deployed", earlier), "release.other")}, Record{}, "unmanaged, adopt: "},
		"somebody else's by then":      {spec(inherits), Seen{Revision: owned(rev(1, "deployed", earlier), "release.third")}, Record{}, "unmanaged, refuse: Release demo/ghost belongs to release.third, which is not declared here"},
		"nobody's by then":             {spec(inherits), Seen{Revision: owned(rev(1, "deployed", ""), "")}, Record{}, "unmanaged, refuse: Release demo/ghost exists and nobody declares it: set adopt = true"},
		"a dead one's, adopted":        {spec(adopt), Seen{Revision: owned(rev(1, "deployed", earlier), "release.other")}, Record{}, "unmanaged, adopt: "},
		"nobody's, being installed":    {spec(adopt), Seen{Revision: updated(owned(rev(1, "pending-install", ""), ""), noon.Add(-time.Minute))}, Record{}, "locked, wait: Revision 1 is pending-install: somebody else is at work on it."},

		"moved":            {spec(), Seen{Others: []Owned{{Ref: helm.ReleaseRef{Namespace: "old", Name: "blog"}}}}, Record{}, `moved, refuse: The release was old/blog before and is demo/ghost now: set on_move = "reinstall"`},
		"moved, reinstall": {spec(func(s *Spec) { s.OnMove = MoveReinstall }), Seen{Others: []Owned{{Ref: helm.ReleaseRef{Namespace: "old", Name: "blog"}}}}, Record{}, "moved, move: The release was old/blog before"},
		"moved onto another's": {spec(func(s *Spec) { s.OnMove = MoveReinstall }), Seen{Revision: owned(rev(1, "deployed", ""), ""), Others: []Owned{{Ref: helm.ReleaseRef{Namespace: "old", Name: "blog"}}}},
			Record{}, "unmanaged, refuse: "},

		"locked by us, installing":   {spec(), Seen{Revision: updated(rev(1, "pending-install", want), noon), Ours: true}, Record{}, "locked, unlock: Revision 1 is pending-install, left by an operation of ours that was interrupted."},
		"locked by us, upgrading":    {spec(), Seen{Revision: updated(rev(2, "pending-upgrade", earlier), noon), Ours: true}, Record{}, "locked, unlock: "},
		"locked by another daemon":   {spec(), Seen{Revision: updated(rev(2, "pending-upgrade", want), noon.Add(-time.Minute))}, Record{}, "locked, wait: Revision 2 is pending-upgrade: that was begun by another daemon, or by one that has lost its data directory. If it has not ended by 12:04:00 UTC, it is taken for interrupted."},
		"left by another daemon":     {spec(), Seen{Revision: updated(rev(2, "pending-upgrade", want), noon.Add(-6*time.Minute))}, Record{}, "locked, unlock: Revision 2 has been pending-upgrade for longer than the timeout of 5m0s"},
		"locked by us, rolling back": {spec(), Seen{Revision: updated(rev(3, "pending-rollback", ""), noon), Ours: true}, Record{}, "locked, unlock: "},
		"locked, rolling back":       {spec(), Seen{Revision: updated(rev(3, "pending-rollback", ""), noon.Add(-time.Minute))}, Record{}, "locked, wait: Revision 3 is pending-rollback: somebody else is at work on it. If it has not ended by 12:04:00 UTC, it is taken for interrupted."},
		"locked, uninstalling":       {spec(), Seen{Revision: updated(rev(3, "uninstalling", want), noon.Add(-time.Minute))}, Record{}, "locked, wait: "},
		"locked for long":            {spec(), Seen{Revision: updated(rev(3, "pending-upgrade", ""), noon.Add(-6*time.Minute))}, Record{}, "locked, unlock: Revision 3 has been pending-upgrade for longer than the timeout of 5m0s"},
		"locked in the future":       {spec(), Seen{Revision: updated(rev(3, "pending-upgrade", ""), noon.Add(time.Hour))}, Record{}, "locked, wait: Revision 3 is pending-upgrade: somebody else is at work on it. If it has not ended by 12:05:00 UTC"},
		"locked in the future, seen": {spec(), Seen{Revision: updated(rev(3, "pending-upgrade", ""), noon.Add(time.Hour))},
			Record{Lock: Lock{3, "pending-upgrade", noon.Add(time.Hour), noon.Add(-4 * time.Minute)}}, "locked, wait: Revision 3 is pending-upgrade: somebody else is at work on it. If it has not ended by 12:01:00 UTC"},
		"locked in the future for long": {spec(), Seen{Revision: updated(rev(3, "pending-upgrade", ""), noon.Add(time.Hour))},
			Record{Lock: Lock{3, "pending-upgrade", noon.Add(time.Hour), noon.Add(-5 * time.Minute)}}, "locked, unlock: "},
		"locked anew in the future": {spec(), Seen{Revision: updated(rev(3, "pending-upgrade", ""), noon.Add(time.Hour))},
			Record{Lock: Lock{2, "pending-upgrade", noon.Add(time.Hour), noon.Add(-5 * time.Minute)}}, "locked, wait: Revision 3 is pending-upgrade: somebody else is at work on it. If it has not ended by 12:05:00 UTC"},

		"failed, interrupted":                       {spec(retries(0, "")), Seen{Revision: bad, Past: history}, at(0), "failed, upgrade: Revision 2 was interrupted."},
		"failed, attempts left":                     {spec(retries(2, "")), Seen{Revision: bad, Past: history}, at(1), "failed, upgrade: Revision 2 failed. This is attempt 2 of 3."},
		"failed, without end":                       {spec(retries(-1, "")), Seen{Revision: bad, Past: history}, at(70), "failed, upgrade: Revision 2 failed. This is attempt 71."},
		"failed, too early":                         {spec(retries(2, "")), Seen{Revision: bad, Past: history}, Record{Digest: want, Attempts: 1, RetryAt: noon.Add(time.Second)}, "failed, wait: Revision 2 failed. Attempt 2 of 3 follows at 12:00:01 UTC."},
		"failed, left":                              {spec(retries(2, "")), Seen{Revision: bad, Past: history}, at(3), "failed, refuse: Revision 2 failed after 3 attempts. It stays as it is until"},
		"failed, rolled back":                       {spec(retries(0, RemedyRollback)), Seen{Revision: bad, Past: history}, at(1), "failed, rollback: Revision 2 failed after one attempt, so the release goes back to revision 1"},
		"failed, nothing to go back to":             {spec(retries(0, RemedyRollback)), Seen{Revision: bad, Past: history[:1]}, at(1), "failed, refuse: Revision 2 failed after one attempt, and there is no earlier revision to roll back to."},
		"failed, not back to what failed its tests": {spec(retries(0, RemedyRollback)), Seen{Revision: bad, Past: []helm.Revision{bad, tests(good, "failed")}}, at(1), "failed, refuse: "},
		"failed, uninstalled":                       {spec(retries(0, RemedyUninstall)), Seen{Revision: bad, Past: history}, at(1), "failed, uninstall: Revision 2 failed after one attempt, so the release is uninstalled"},
		"failed, and changed since":                 {spec(retries(0, "")), Seen{Revision: chart(rev(2, "failed", earlier), "ghost-1.0.0")}, Record{Digest: earlier, Attempts: 9}, "failed, upgrade: Revision 2 failed, before the chart (ghost-1.0.0 to 2.0.0) and the values changed."},
		"failed by somebody":                        {spec(retries(0, "")), Seen{Revision: rev(2, "failed", "")}, Record{Digest: earlier, Attempts: 9}, "failed, upgrade: "},
		"failed, record lost":                       {spec(retries(1, "")), Seen{Revision: rev(3, "failed", want), Past: []helm.Revision{rev(3, "failed", want), bad, good}}, Record{}, "failed, refuse: Revision 3 failed after 2 attempts."},
		"rollback failed":                           {spec(retries(0, RemedyRollback)), Seen{Revision: rev(3, "failed", ""), Past: []helm.Revision{rev(3, "failed", ""), bad, good}}, Record{Digest: want, Attempts: 1, Undone: 1}, "failed, rollback: "},
		"rollback failed, too early":                {spec(retries(0, RemedyRollback)), Seen{Revision: rev(3, "failed", ""), Past: []helm.Revision{rev(3, "failed", ""), bad, good}}, Record{Digest: want, Attempts: 1, Undone: 1, RetryAt: noon.Add(time.Second)}, "failed, wait: Revision 3 failed, and so did its rollback"},
		"rollbacks failed":                          {spec(retries(0, RemedyRollback)), Seen{Revision: rev(5, "failed", ""), Past: []helm.Revision{rev(5, "failed", ""), bad, good}}, Record{Digest: want, Attempts: 1, Undone: 3}, "failed, refuse: Revision 5 failed, and 3 rollbacks to revision 1 failed, too."},

		"rolled back":                    {spec(quiet), Seen{Revision: rev(3, "deployed", "")}, Record{Digest: want, GivenUp: want}, "rolled_back, none: What is declared failed and was rolled back. It is tried again when its chart, values or options change"},
		"rolled back, looked at":         {spec(), Seen{Revision: rev(3, "deployed", "")}, Record{Digest: want, GivenUp: want}, "rolled_back, compare: "},
		"rolled back, record lost":       {spec(quiet), Seen{Revision: rev(3, "deployed", ""), Past: []helm.Revision{rev(3, "deployed", ""), bad, good}}, Record{}, "rolled_back, none: "},
		"rolled back, and changed since": {spec(quiet), Seen{Revision: rev(3, "deployed", "")}, Record{Digest: earlier, GivenUp: earlier}, "out_of_sync, upgrade: "},
		"rolled back, to be tried again": {spec(quiet, func(s *Spec) { s.Remedy.RetryRolledBack = true }), Seen{Revision: rev(3, "deployed", "")},
			Record{Digest: want, GivenUp: want, Rollbacks: 7, RolledBackAt: noon.Add(-6 * time.Minute)}, "rolled_back, upgrade: What is declared failed and was rolled back 7 times."},
		"rolled back, to be tried later": {spec(quiet, func(s *Spec) { s.Remedy.RetryRolledBack = true }), Seen{Revision: rev(3, "deployed", "")},
			Record{Digest: want, GivenUp: want, Rollbacks: 1, RolledBackAt: noon.Add(-4 * time.Minute)}, "rolled_back, none: What is declared failed and was rolled back. It is tried again at 12:01:00 UTC."},
		"rolled back too often": {spec(quiet, func(s *Spec) { s.Remedy.RetryRolledBack, s.Remedy.MaxRollbacks = true, 2 }), Seen{Revision: rev(3, "deployed", "")},
			Record{Digest: want, GivenUp: want, Rollbacks: 3}, "rolled_back, none: "},

		"another chart":    {spec(), Seen{Revision: chart(rev(1, "deployed", "chart1.values2.options1"), "ghost-1.0.0")}, Record{}, "out_of_sync, upgrade: Revision 1 was made before the chart (ghost-1.0.0 to 2.0.0) changed."},
		"the same version": {spec(), Seen{Revision: chart(rev(1, "deployed", "chart1.values2.options1"), "ghost-2.0.0")}, Record{}, "out_of_sync, upgrade: Revision 1 was made before the chart (ghost-2.0.0, with other files) changed."},
		"other values":     {spec(), Seen{Revision: rev(1, "deployed", "chart2.values1.options1")}, Record{}, "out_of_sync, upgrade: Revision 1 was made before the values changed."},
		"all is different": {spec(), Seen{Revision: rev(1, "deployed", "chart1.values1.options0")}, Record{}, "out_of_sync, upgrade: Revision 1 was made before the chart (to 2.0.0), the values and the options changed."},
		"by hand":          {spec(), Seen{Revision: rev(4, "deployed", ""), Past: history}, Record{Digest: want}, "out_of_sync, upgrade: Revision 4 was made by hand, or with the helm command."},
		"rolled back by hand": {spec(), Seen{Revision: said(rev(4, "deployed", ""), "Rollback to 2"), Past: history}, Record{Digest: want},
			"out_of_sync, upgrade: Revision 4 is a rollback to revision 2, made by hand, or with the helm command."},
		"a rollback, record lost": {spec(), Seen{Revision: said(rev(4, "deployed", ""), "Rollback to 2"), Past: history[1:]}, Record{}, "out_of_sync, upgrade: Revision 4 is a rollback to revision 2."},
		"rolled back by us": {spec(), Seen{Revision: said(rev(4, "deployed", ""), "Rollback to 2"), Past: history}, Record{Digest: earlier, Rollback: Rollback{4, hourAgo, 2, "chart2.values1.options1"}},
			"out_of_sync, upgrade: Revision 4 is the rollback to revision 2, as on_failure says, of what was declared before the values changed."},
		"rolled back, and asked": {spec(), Seen{Revision: said(rev(4, "deployed", ""), "Rollback to 2"), Past: history}, Record{Digest: want, Rollback: Rollback{4, hourAgo, 2, want}},
			"out_of_sync, upgrade: Revision 4 is the rollback to revision 2, as on_failure says. What failed is tried again."},
		"another's digest": {spec(), Seen{Revision: rev(4, "deployed", "some-thing")}, Record{Digest: want}, "out_of_sync, upgrade: Revision 4 was made before what it is made from changed."},
		"superseded":       {spec(), Seen{Revision: rev(4, "superseded", want)}, Record{}, "out_of_sync, upgrade: Revision 4 is superseded, and no newer one is deployed."},

		"untested":                {spec(tested), Seen{Revision: rev(2, "deployed", want)}, Record{Digest: want, Tests: TestRun{Revision: 1, Deployed: hourAgo}}, "untested, test: The tests of revision 2 have not run."},
		"tested":                  {spec(tested, quiet), Seen{Revision: rev(2, "deployed", want)}, Record{Tests: TestRun{Revision: 2, Deployed: hourAgo}}, "in_sync, none: "},
		"tested before it ended":  {spec(tested, quiet), Seen{Revision: rev(2, "deployed", want)}, Record{Tests: TestRun{Revision: 2, Deployed: hourAgo.Add(-time.Hour)}}, "untested, test: "},
		"tested, record lost":     {spec(tested, quiet), Seen{Revision: tests(rev(2, "deployed", want), "passed")}, Record{}, "in_sync, none: "},
		"some tests":              {spec(quiet, func(s *Spec) { s.Test = &Test{Names: []string{"a"}} }), Seen{Revision: tests(rev(2, "deployed", want), "passed")}, Record{}, "untested, test: "},
		"tests failed":            {spec(tested, retries(1, "")), Seen{Revision: tests(rev(2, "deployed", want), "failed")}, at(1), "failed, test: The tests of revision 2 failed. This is attempt 2 of 2."},
		"tests failed, too early": {spec(tested, retries(1, "")), Seen{Revision: tests(rev(2, "deployed", want), "failed")}, Record{Digest: want, Attempts: 1, RetryAt: noon.Add(time.Minute)}, "failed, wait: The tests of revision 2 failed."},
		"tests failed silently":   {spec(tested, retries(1, "")), Seen{Revision: rev(2, "deployed", want)}, Record{Digest: want, Attempts: 1, Tests: TestRun{Revision: 2, Deployed: hourAgo, Failed: true}}, "failed, test: "},
		"failed before it ended":  {spec(tested, retries(1, "")), Seen{Revision: rev(2, "deployed", want)}, Record{Digest: want, Tests: TestRun{Revision: 2, Deployed: hourAgo.Add(-time.Hour), Failed: true}}, "untested, test: "},
		"tests failed, left":      {spec(tested, retries(0, "")), Seen{Revision: tests(rev(2, "deployed", want), "failed")}, at(1), "failed, refuse: The tests of revision 2 failed after one attempt."},
		"tests failed, rollback":  {spec(tested, retries(0, RemedyRollback)), Seen{Revision: tests(rev(2, "deployed", want), "failed"), Past: []helm.Revision{tests(rev(2, "deployed", want), "failed"), good}}, at(1), "failed, rollback: The tests of revision 2 failed after one attempt, so the release goes back to revision 1"},
		"tests failed, ignored":   {spec(quiet, func(s *Spec) { s.Test = &Test{IgnoreFailures: true} }), Seen{Revision: tests(rev(2, "deployed", want), "failed")}, Record{}, "in_sync, none: "},

		"to be compared":        {spec(), Seen{Revision: rev(2, "deployed", want)}, Record{}, "in_sync, compare: "},
		"in sync":               {spec(), Seen{Revision: rev(2, "deployed", want), Compared: true}, Record{}, "in_sync, none: Revision 2 is as declared."},
		"in sync, not compared": {spec(quiet), Seen{Revision: rev(2, "deployed", want)}, Record{}, "in_sync, none: "},
		"drifted":               {spec(), Seen{Revision: rev(2, "deployed", want), Compared: true, Drift: drift}, Record{}, "drifted, correct: Service demo/ghost is not as revision 2 says."},
		"drifted, only told":    {spec(func(s *Spec) { s.Drift.Mode = DriftWarn }), Seen{Revision: rev(2, "deployed", want), Compared: true, Drift: append(drift, helm.Change{Kind: "ClusterRole", Name: "x"})}, Record{}, "drifted, none: Service demo/ghost and ClusterRole x are not as revision 2 says; nothing is done about it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := Decide(tt.spec, wanted, tt.seen, tt.rec, noon)
			got := string(d.State) + ", " + string(d.Action) + ": " + d.Reason
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if (d.Action == ActWait) != !d.Again.IsZero() && d.State != RolledBack {
				t.Errorf("%s: again at %v", d.Action, d.Again)
			}
		})
	}
}

func TestOwnerOf(t *testing.T) {
	long := "helmrelease/" + strings.Repeat("n", 60) + "/ghost"
	ids := []string{"release.ghost", "helmrelease/demo/ghost", "helmrelease/demo_ghost", "helmrelease/demo/Ghost", `release.blog["eu"]`, `release.blog["EU"]`, long, long + "x", "-", ""}
	seen := map[string]string{}
	for _, id := range ids {
		owner := OwnerOf(id)
		if len(owner) == 0 || len(owner) > 63 || strings.Trim(owner, "-_.") != owner {
			t.Errorf("%q has the owner %q, which is no label value", id, owner)
		}
		if other, twice := seen[owner]; twice {
			t.Errorf("%q and %q have the same owner %q", id, other, owner)
		}
		seen[owner] = id
	}
	if got := []string{OwnerOf(ids[0]), OwnerOf(ids[1])}; !cmp.Equal(got, []string{"release.ghost", "helmrelease_demo_ghost"}) {
		t.Errorf("%q are not readable", got)
	}
}

func TestDigestIsALabelValue(t *testing.T) {
	d := digestOf(&Spec{}, "sha256:1", []byte("{}"))
	if s := d.String(); len(s) > maxLabel || !alphanumeric(s) {
		t.Errorf("%q is no label value", s)
	}
	if back, ok := parseDigest(d.String()); !ok || back != d {
		t.Errorf("%v is read as %v", d, back)
	}
}

func TestCheckVersion(t *testing.T) {
	for version, ok := range map[string]bool{"": true, "1.2.3": true, "v1.2.3-rc.1+build": true, "1.x": true, "^1.2": true, ">= 1.2, < 3": true, "*": true, ">1 || <0.5-0": true, "^^1": false, "latest": false, "1.2.3.4": false} {
		if err := CheckVersion(version); (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{"ghost": true, "a.b-c": true, "": false, "Ghost": false, "-a": false, "a_b": false, strings.Repeat("a", 53): true, strings.Repeat("a", 54): false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}
