package update_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
)

var sum = func(c string) string { return "sha256:" + strings.Repeat(c, 64) }

func rules(t *testing.T, pattern string) policy.Rules {
	t.Helper()
	p, err := policy.Parse(pattern)
	return policy.Rules{Policy: p, Err: err, Source: "annotation"}
}

// deployed is a workload that is everywhere.
func deployed(containers ...update.Container) update.Workload {
	return update.Workload{ID: web, InRepo: true, InCluster: true, Containers: containers}
}

// one returns the only result.
func one(t *testing.T, results []update.Result, err error) update.Result {
	t.Helper()
	if err != nil || len(results) != 1 {
		t.Fatalf("%v, %v", results, err)
	}
	return results[0]
}

var everyImage = update.Spec{Workloads: []string{web}, AllImages: true}

// A container that cannot be judged leaves the others alone.
func TestContainersFailAlone(t *testing.T) {
	lost := container("lost", "quay.io/lost:1", rules(t, "glob:*"))
	lost.Input = func() policy.Input { return policy.Input{Incomplete: "the registry does not answer"} }
	unknown := container("unknown", "quay.io/unknown:1", rules(t, "glob:*"))
	unknown.Input = nil
	all := deployed(
		lost, unknown,
		container("typo", "quay.io/typo:1", rules(t, "semver:^^1"), "1", "2"),
		container("broken", "quay.io/Broken:1", rules(t, "glob:*"), "2"),
		container("good", "quay.io/good:1", rules(t, "glob:*"), "1", "2"),
		container("done", "quay.io/done:2", rules(t, "glob:*"), "1", "2"),
	)
	got := one(t, must(update.Release(everyImage, []update.Workload{all}, known)), nil)
	want := []update.Swap{{Container: "good", Current: "quay.io/good:1", Target: "quay.io/good:2"}}
	if diff := cmp.Diff(want, got.Containers); got.Status != update.Success || diff != "" {
		t.Errorf("%s\n%s", got.Status, diff)
	}
	for _, part := range []string{"container lost: the registry does not answer", "container unknown: nothing is known",
		"container typo: ", "container broken: ", "capital letters"} {
		if !strings.Contains(got.Detail, part) {
			t.Errorf("detail %q lacks %q", got.Detail, part)
		}
	}
	all.Containers = all.Containers[:1]
	got = one(t, must(update.Release(everyImage, []update.Workload{all}, known)), nil)
	if got.Status != update.Skipped || got.Reason != update.ReasonImageNotFound {
		t.Errorf("%+v", got)
	}
}

func must(r []update.Result, err error) []update.Result {
	if err != nil {
		panic(err)
	}
	return r
}

// Flux v1 said of a workload what the last container came to; here what says
// most counts.
func TestReasonOfSeveralContainers(t *testing.T) {
	upToDate := container("a", "quay.io/web:2", rules(t, "glob:*"))
	another := container("b", "quay.io/another:1", rules(t, "glob:*"))
	refused := container("c", "quay.io/web:1", rules(t, "glob:stable"))
	spec := update.Spec{All: true, Image: "quay.io/web:2"}
	for _, tt := range []struct {
		containers []update.Container
		reason     string
	}{
		{[]update.Container{upToDate, another}, update.ReasonUpToDate},
		{[]update.Container{another, upToDate}, update.ReasonUpToDate},
		{[]update.Container{upToDate, refused}, update.ReasonImageNotFound},
	} {
		got := one(t, must(update.Release(spec, []update.Workload{deployed(tt.containers...)}, known)), nil)
		if got.Status != update.Skipped || got.Reason != tt.reason {
			t.Errorf("%+v, want %s", got, tt.reason)
		}
	}
}

// Every spelling of a repository is released, in its own spelling, and digests
// are kept up to date.
func TestReleaseOneImage(t *testing.T) {
	digest := func(ref.Ref) (string, error) { return sum("b"), nil }
	for name, tt := range map[string]struct {
		image, current string
		mode           policy.DigestMode
		lookup         update.Lookup
		want, detail   string
	}{
		"other spelling":           {image: "index.docker.io/library/nginx:2", current: "nginx:1", want: "nginx:2"},
		"pinned":                   {image: "nginx:2", current: "nginx:1@" + sum("a"), lookup: digest, want: "nginx:2@" + sum("b")},
		"pinned, digest unknown":   {image: "nginx:2", current: "nginx:1@" + sum("a"), detail: "container main: it is pinned, and the digest of nginx:2 is not known"},
		"pinned, digest dropped":   {image: "nginx:2", current: "nginx:1@" + sum("a"), mode: policy.DropDigest, lookup: digest, want: "nginx:2"},
		"unpinned, to be pinned":   {image: "nginx:2", current: "nginx:1", mode: policy.PinDigest, lookup: digest, want: "nginx:2@" + sum("b")},
		"a person gives a digest":  {image: "nginx:2@" + sum("c"), current: "nginx:1", want: "nginx:2@" + sum("c")},
		"a person names latest":    {image: "nginx:latest", current: "nginx:1", want: "nginx:latest"},
		"same tag, another digest": {image: "nginx:1@" + sum("c"), current: "nginx:1@" + sum("a"), want: "nginx:1@" + sum("c")},
	} {
		t.Run(name, func(t *testing.T) {
			r := policy.Of(nil).Rules("main")
			r.Digest = tt.mode
			if tt.lookup == nil {
				tt.lookup = known
			}
			got := one(t, must(update.Release(update.Spec{All: true, Image: tt.image}, []update.Workload{deployed(container("main", tt.current, r))}, tt.lookup)), nil)
			var want []update.Swap
			if tt.want != "" {
				want = []update.Swap{{Container: "main", Current: tt.current, Target: tt.want}}
			}
			if diff := cmp.Diff(want, got.Containers); diff != "" || got.Detail != tt.detail {
				t.Errorf("detail %q\n%s", got.Detail, diff)
			}
		})
	}
}

// An image by hand that automation would not leave there is released with a
// warning, unless nobody would touch it.
func TestAutomationGoesOn(t *testing.T) {
	const warning = "container main: automation will replace it by quay.io/app:1.2: `sluice lock " + web + "` keeps it"
	for name, tt := range map[string]struct {
		target   string
		change   func(*update.Workload)
		warnings []string
	}{
		"an older one":     {target: "1.0", warnings: []string{warning}},
		"the newest":       {target: "1.2"},
		"not automated":    {target: "1.0", change: func(w *update.Workload) { w.Containers[0].Automated = false }},
		"no automation":    {target: "1.0", change: func(w *update.Workload) { w.Attended = false }},
		"locked, by force": {target: "1.0", change: func(w *update.Workload) { w.Policy.Locked = true }},
	} {
		t.Run(name, func(t *testing.T) {
			w := deployed(container("main", "quay.io/app:1.1", rules(t, "semver:*"), "1.0", "1.1", "1.2"))
			w.Attended, w.Containers[0].Automated = true, true
			if tt.change != nil {
				tt.change(&w)
			}
			image := "quay.io/app:" + tt.target
			for _, spec := range []update.Spec{
				{Workloads: []string{web}, Image: image, Force: true},
				{Containers: map[string][]update.Swap{web: {{Container: "main", Target: image}}}, Force: true},
			} {
				got := one(t, must(update.Release(spec, []update.Workload{w}, known)), nil)
				if diff := cmp.Diff(tt.warnings, got.Warnings); diff != "" || len(got.Containers) != 1 {
					t.Errorf("%+v\n%s", got, diff)
				}
			}
		})
	}
}

// What would be better and is in quarantine is told, whatever comes of the rest.
func TestQuarantineIsTold(t *testing.T) {
	c := container("main", "quay.io/app:1.0", rules(t, "semver:*"), "1.0", "1.1")
	input := c.Input
	c.Input = func() policy.Input {
		in := input()
		in.Tags[1].Quarantined = "its rollout failed"
		return in
	}
	got := one(t, must(update.Release(everyImage, []update.Workload{deployed(c)}, known)), nil)
	want := []string{"container main: 1.1 is in quarantine: `sluice images quarantine lift quay.io/app:1.1` ends that"}
	if diff := cmp.Diff(want, got.Warnings); diff != "" || got.Reason != update.ReasonUpToDate {
		t.Errorf("%+v\n%s", got, diff)
	}
}

// Whose images have to be known is told before they are.
func TestConcerned(t *testing.T) {
	workload := func(id string, change func(*update.Workload)) update.Workload {
		w := deployed()
		w.ID = id
		if change != nil {
			change(&w)
		}
		return w
	}
	all := []update.Workload{
		workload("a", nil), workload("b", nil),
		workload("locked", func(w *update.Workload) { w.Policy.Locked = true }),
		workload("away", func(w *update.Workload) { w.InCluster = false }),
		workload("broken", func(w *update.Workload) { w.Problem = "it is declared twice" }),
	}
	for _, tt := range []struct {
		spec update.Spec
		want []string
	}{
		{update.Spec{All: true, AllImages: true, Exclude: []string{"b"}}, []string{"a"}},
		{update.Spec{Workloads: []string{"b", "locked"}, AllImages: true}, []string{"b"}},
		{update.Spec{Workloads: []string{"b", "locked"}, AllImages: true, Force: true}, []string{"b", "locked"}},
		{update.Spec{All: true, Image: "quay.io/app:1"}, nil},
		{update.Spec{AllImages: true}, nil},
	} {
		var got []string
		for _, w := range tt.spec.Concerned(all) {
			got = append(got, w.ID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v: %s", tt.spec, diff)
		}
	}
}

// A workload that cannot be edited says why; one of two clusters is there twice.
func TestProblemsAndTwins(t *testing.T) {
	bad := deployed(container("main", "quay.io/web:1", rules(t, "glob:*"), "1", "2"))
	bad.Problem = "declared in a.yaml and b.yaml"
	twin := deployed(container("main", "quay.io/web:1", rules(t, "glob:*"), "1", "2"))
	twin.Sync = "sync.b"
	results, err := update.Release(everyImage, []update.Workload{twin, bad}, known)
	if err != nil || len(results) != 2 || results[0].Status != update.Failed || results[0].Reason != bad.Problem ||
		results[1].Sync != "sync.b" || results[1].Status != update.Success {
		t.Errorf("%+v, %v", results, err)
	}
}

func TestSpecValidate(t *testing.T) {
	exact := map[string][]update.Swap{web: {{Container: "main", Target: "a:1"}}}
	for _, bad := range []update.Spec{
		{}, {All: true}, {AllImages: true}, {All: true, AllImages: true, Image: "a:1"}, {All: true, Workloads: []string{web}, AllImages: true},
		{All: true, AllImages: true, Force: true}, {Containers: exact, All: true}, {Containers: exact, AllImages: true}, {Containers: exact, Exclude: []string{web}},
	} {
		if _, err := update.Release(bad, nil, known); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	for _, image := range []string{"nginx", "Nginx:1", "nginx:"} {
		if _, err := update.Release(update.Spec{All: true, Image: image}, nil, known); err == nil {
			t.Errorf("image %q is taken", image)
		}
	}
	for _, good := range []update.Spec{{Containers: exact, Force: true, SkipMismatches: true}, {All: true, Force: true, Image: "a:1"}, {Workloads: []string{web}, AllImages: true, Force: true}} {
		if err := good.Validate(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
}

// TestExactContainers is the release that a person has picked from a menu.
func TestExactContainers(t *testing.T) {
	w := deployed(container("main", "docker.io/nginx:1", policy.Rules{}), container("side", "quay.io/side:1", policy.Rules{}))
	locked := w
	locked.Policy = policy.Of(map[string]string{"fluxcd.io/locked": "true"})
	swap := func(container, current, target string) update.Swap {
		return update.Swap{Container: container, Current: current, Target: target}
	}
	for name, tt := range map[string]struct {
		workload    update.Workload
		swaps       []update.Swap
		skip, force bool
		status      update.Status
		reason      string
		changes     int
		err         error
	}{
		"both":                     {w, []update.Swap{swap("main", "nginx:1", "nginx:2"), swap("side", "", "quay.io/side:2")}, false, false, update.Success, "", 2, nil},
		"moved meanwhile":          {w, []update.Swap{swap("main", "nginx:0", "nginx:2")}, false, false, update.Failed, "container(s) tag mismatch: main", 0, update.ErrCannotSatisfy},
		"one moved, skipped":       {w, []update.Swap{swap("main", "nginx:0", "nginx:2"), swap("side", "", "quay.io/side:2")}, true, false, update.Success, "container(s) tag mismatch: main", 1, nil},
		"all moved, skipped":       {w, []update.Swap{swap("main", "nginx:0", "nginx:2")}, true, false, update.Skipped, "container(s) tag mismatch: main", 0, update.ErrNoChanges},
		"no such containers":       {w, []update.Swap{swap("a", "", "nginx:2"), swap("b", "", "nginx:2"), swap("side", "", "quay.io/side:2")}, true, false, update.Failed, "container(s) not found: a, b", 0, update.ErrCannotSatisfy},
		"up to date":               {w, []update.Swap{swap("side", "quay.io/side:1", "quay.io/side:1")}, false, false, update.Skipped, "image(s) up to date", 0, update.ErrNoChanges},
		"locked":                   {locked, []update.Swap{swap("side", "", "quay.io/side:2")}, false, false, update.Skipped, "locked", 0, update.ErrNoChanges},
		"locked and forced":        {locked, []update.Swap{swap("side", "", "quay.io/side:2")}, false, true, update.Success, "", 1, nil},
		"target is no reference":   {w, []update.Swap{swap("side", "", "quay.io/Side:2")}, false, false, update.Failed, "", 0, update.ErrCannotSatisfy},
		"a digest that is another": {w, []update.Swap{swap("side", "quay.io/side:1@"+sum("a"), "quay.io/side:2")}, false, false, update.Failed, "container(s) tag mismatch: side", 0, update.ErrCannotSatisfy},
	} {
		t.Run(name, func(t *testing.T) {
			spec := update.Spec{Containers: map[string][]update.Swap{web: tt.swaps}, SkipMismatches: tt.skip, Force: tt.force}
			bystander := update.Workload{ID: other, InRepo: true, InCluster: true}
			results, err := update.Release(spec, []update.Workload{tt.workload, bystander}, known)
			if !errors.Is(err, tt.err) || len(results) != 2 {
				t.Fatalf("%v, %v", results, err)
			}
			if got := results[0]; got.Status != update.Ignored || got.Reason != "not included" {
				t.Errorf("the other one: %+v", got)
			}
			got := results[1]
			if got.Status != tt.status || len(got.Containers) != tt.changes || tt.reason != got.Reason && (tt.reason != "" || got.Status == update.Success) {
				t.Errorf("%+v", got)
			}
		})
	}
	spec := update.Spec{Containers: map[string][]update.Swap{"shop:deployment/gone": {swap("main", "", "nginx:2")}}}
	results, err := update.Release(spec, nil, known)
	if !errors.Is(err, update.ErrNoChanges) || one(t, results, nil).Reason != update.ReasonNotInRepo {
		t.Errorf("%v, %v", results, err)
	}
}

// TestAutomate: only what is automated moves, and nothing that is held.
func TestAutomate(t *testing.T) {
	automated := func(name string, tags ...string) update.Container {
		c := container(name, "quay.io/"+name+":1", rules(t, "glob:*"), tags...)
		c.Automated = true
		return c
	}
	var all []update.Workload
	add := func(name string, change func(*update.Workload), containers ...update.Container) {
		w := deployed(containers...)
		w.ID = name
		if change != nil {
			change(&w)
		}
		all = append(all, w)
	}
	add("h:new", nil, automated("a", "1", "2"), container("not", "quay.io/not:1", rules(t, "glob:*"), "1", "2"))
	add("g:current", nil, automated("a", "1"))
	add("f:none", nil, container("not", "quay.io/not:1", rules(t, "glob:*"), "1", "2"))
	add("e:locked", func(w *update.Workload) { w.Policy = policy.Of(map[string]string{"sluice.dev/locked": "true"}) }, automated("a", "1", "2"))
	add("d:ignored", func(w *update.Workload) { w.Ignored = true }, automated("a", "1", "2"))
	add("c:away", func(w *update.Workload) { w.InCluster = false }, automated("a", "1", "2"))
	add("b:undeclared", func(w *update.Workload) { w.InRepo = false }, automated("a", "1", "2"))
	add("a:bad", func(w *update.Workload) { w.Problem = "declared twice" }, automated("a", "1", "2"))
	results, next := update.Automate(all, noon)
	var got []string
	for _, r := range results {
		got = append(got, r.ID+" "+string(r.Status)+" "+r.Reason)
	}
	want := []string{
		"a:bad failed declared twice", "c:away skipped not accessible in cluster", "d:ignored skipped ignore",
		"e:locked skipped locked", "g:current skipped image(s) up to date", "h:new success ",
	}
	if diff := cmp.Diff(want, got); diff != "" || !next.IsZero() {
		t.Errorf("next %v\n%s", next, diff)
	}
	if diff := cmp.Diff([]update.Swap{{Container: "a", Current: "quay.io/a:1", Target: "quay.io/a:2"}}, results[len(results)-1].Containers); diff != "" {
		t.Error(diff)
	}
}

// The earliest time at which an image is old enough is when to look again.
func TestAutomateTooYoung(t *testing.T) {
	young := func(name string, minAge time.Duration) update.Workload {
		r := rules(t, "semver:*")
		r.MinAge = minAge
		c := container("main", "quay.io/web:1.0.0", r)
		c.Automated = true
		c.Input = func() policy.Input {
			return policy.Input{Complete: true, Now: noon, Tags: []policy.Tag{
				{Tag: "1.0.0", Created: noon.Add(-100 * time.Hour)}, {Tag: "1.1.0", Created: noon.Add(-time.Hour)},
			}}
		}
		w := deployed(c)
		w.ID = name
		return w
	}
	results, next := update.Automate([]update.Workload{young("a", 6*time.Hour), young("b", 3*time.Hour), young("c", 4*time.Hour)}, noon)
	for _, r := range results {
		if r.Status != update.Skipped || r.Reason != update.ReasonUpToDate {
			t.Errorf("%+v", r)
		}
	}
	if want := noon.Add(2 * time.Hour); !next.Equal(want) {
		t.Errorf("next %v, want %v", next, want)
	}
}

// What cannot be changed where it stands is left alone, and says why to who asks
// for it.
func TestFixedContainers(t *testing.T) {
	fixed := container("fixed", "quay.io/web:1", rules(t, "semver:*"), "1", "2", "3")
	fixed.Fixed, fixed.Automated = "it is computed", true
	free := container("free", "quay.io/web:1", rules(t, "semver:*"), "1", "2", "3")
	free.Automated = true
	w := deployed(fixed, free)
	w.Attended, w.Keeps = true, "another policy"

	results, _ := update.Automate([]update.Workload{w}, time.Now())
	want := []update.Swap{{Container: "free", Current: "quay.io/web:1", Target: "quay.io/web:3"}}
	if diff := cmp.Diff(want, results[0].Containers); diff != "" || results[0].Detail != "" {
		t.Errorf("automated, %q:\n%s", results[0].Detail, diff)
	}
	got := one(t, must(update.Release(everyImage, []update.Workload{w}, known)), nil)
	if diff := cmp.Diff(want, got.Containers); diff != "" || got.Detail != "container fixed: it is computed" {
		t.Errorf("released, %q:\n%s", got.Detail, diff)
	}
	exact := func(container string) update.Result {
		spec := update.Spec{Containers: map[string][]update.Swap{web: {{Container: container, Target: "quay.io/web:2"}}}}
		results, _ := update.Release(spec, []update.Workload{w}, known) // the result tells
		return one(t, results, nil)
	}
	if got := exact("fixed"); got.Status != update.Failed || got.Reason != "container fixed: it is computed" {
		t.Errorf("asked for: %+v", got)
	}
	if got := exact("free"); len(got.Warnings) != 1 || !strings.HasSuffix(got.Warnings[0], "another policy keeps it") {
		t.Errorf("warnings: %q", got.Warnings)
	}
}
