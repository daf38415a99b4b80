package conformance

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// listsWorkloads looks at whatever runs in the target, and at what the samples
// make run, if they do.
func listsWorkloads(t T, a *openApplier) {
	if !slices.Contains(a.caps, applier.CanListWorkloads) {
		t.Skipf("the applier lacks the capability %s", applier.CanListWorkloads)
	}
	a.apply(t, a.samples(t))
	all := a.workloads(t, applier.WorkloadFilter{})
	wantWellFormed(t, all)
	mine := a.workloads(t, applier.WorkloadFilter{Owner: a.owner})
	wantWellFormed(t, mine)
	for _, w := range mine {
		if w.Owner != a.owner {
			t.Errorf("%s is of the owner %q, and was listed as one of %q", w.Ref, w.Owner, a.owner)
		}
		if !slices.ContainsFunc(all, func(o applier.Workload) bool { return o.Ref.Identity() == w.Ref.Identity() }) {
			t.Errorf("the list of everything leaves out %s", w.Ref)
		}
		narrow := applier.WorkloadFilter{Owner: a.owner, Namespace: w.Ref.Namespace}
		if n := len(a.workloads(t, narrow)); w.Ref.Namespace != "" && n != inNamespace(mine, w.Ref.Namespace) {
			t.Errorf("%+v matches %d workloads, want %d", narrow, n, inNamespace(mine, w.Ref.Namespace))
		}
	}
	for _, nothing := range []applier.WorkloadFilter{
		{Owner: a.owner + "-other"},
		{Namespace: "conformance-no-such"},
		{Owner: a.owner, Namespace: "conformance-no-such"},
	} {
		for _, w := range a.workloads(t, nothing) {
			t.Errorf("%+v matches %s, want nothing", nothing, w.Ref)
		}
	}
}

func (a *openApplier) workloads(t T, filter applier.WorkloadFilter) []applier.Workload {
	t.Helper()
	var all collector[applier.Workload]
	if err := a.Workloads(t.Context(), filter, all.add); err != nil {
		t.Fatalf("Workloads %+v: %v", filter, err)
	}
	return all.list
}

func inNamespace(list []applier.Workload, namespace string) int {
	n := 0
	for _, w := range list {
		if w.Ref.Namespace == namespace {
			n++
		}
	}
	return n
}

var phases = []applier.Phase{"", applier.RolloutStarted, applier.RolloutUpdating, applier.RolloutReady, applier.RolloutFailed}

// wantWellFormed fails unless each workload can be named and told from the
// others, and they come in order.
func wantWellFormed(t T, list []applier.Workload) {
	t.Helper()
	for i, w := range list {
		if w.Ref.Kind == "" || w.Ref.Name == "" {
			t.Errorf("a workload is called %q, without a kind or a name", w.Ref)
		}
		if !slices.Contains(phases, w.Rollout.Phase) {
			t.Errorf("%s: the phase of its rollout is %q, which is none of %q", w.Ref, w.Rollout.Phase, phases)
		}
		names := map[string]bool{"": true}
		for _, c := range w.Containers {
			if names[c.Name] {
				t.Errorf("%s: a container has no name, or the name %q of another one", w.Ref, c.Name)
			}
			names[c.Name] = true
		}
		if slices.Contains(w.PullSecrets, "") || len(slices.Compact(slices.Sorted(slices.Values(w.PullSecrets)))) != len(w.PullSecrets) {
			t.Errorf("%s: its pull secrets %q are not each there once", w.Ref, w.PullSecrets)
		}
		if i > 0 && byRef(list[i-1], w) > 0 {
			t.Errorf("%s comes after %s; want the order of namespace, kind and name", w.Ref, list[i-1].Ref)
		}
		if slices.ContainsFunc(list[:i], func(o applier.Workload) bool { return o.Ref.Identity() == w.Ref.Identity() }) {
			t.Errorf("%s is listed twice", w.Ref)
		}
	}
}

func byRef(a, b applier.Workload) int {
	return cmp.Or(strings.Compare(a.Ref.Namespace, b.Ref.Namespace), strings.Compare(a.Ref.Kind, b.Ref.Kind), strings.Compare(a.Ref.Name, b.Ref.Name))
}

// marksItsOwners marks the record of an owner, and one that is not there.
func marksItsOwners(t T, a *openApplier) {
	if !slices.Contains(a.caps, applier.CanMark) {
		t.Skipf("the applier lacks the capability %s", applier.CanMark)
	}
	const name = "conformance.sluice.dev/mark"
	a.apply(t, a.samples(t))
	for _, value := range []string{"1", "1", "2", "", ""} {
		if err := a.Mark(t.Context(), a.owner, name, value); err != nil {
			t.Errorf("Mark with the value %q: %v", value, err)
		}
	}
	if err := a.Mark(t.Context(), a.owner+"-other", name, "1"); err == nil {
		t.Errorf("Mark of an owner that has no record succeeded")
	}
}
