package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestFluxGetStarted applies a repository that users of Flux v1 started with:
// some of its kinds are not served, and that holds nothing else back. Its
// HelmReleases are of a group and a kind of this test's own: other tests install
// the definitions of the real ones in the same cluster.
func TestFluxGetStarted(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	group := ns + ".example.com"
	files := filesUnder(t, "flux-get-started", "charts")
	private := strings.NewReplacer("namespace: demo", "namespace: "+ns, "name: demo", "name: "+ns, "helm.fluxcd.io/v1", group+"/v1", "kind: HelmRelease", "kind: StartedRelease")
	for name, content := range files {
		files[name] = private.Replace(content)
	}
	set := applier.Set{Owner: "get-started", Complete: true, Objects: itemsOf(t, files)}
	results := applyOf(t, target, set)

	for _, ref := range []string{"Namespace/" + ns, ns + ":Deployment.apps/podinfo", ns + ":Service/podinfo", ns + ":Secret/redis-auth"} {
		if results[ref].Outcome != applier.Created {
			t.Errorf("%s: %+v, want it created", ref, results[ref])
		}
	}
	for ref, want := range map[string]struct{ file, text string }{
		ns + ":HorizontalPodAutoscaler.autoscaling/podinfo": {"workloads/podinfo-hpa.yaml",
			"HorizontalPodAutoscaler autoscaling/v2beta1 is not served; the cluster serves autoscaling/v2, autoscaling/v1"},
		ns + ":StartedRelease." + group + "/ghost":   {"releases/ghost.yaml", "no CRD installed for StartedRelease " + group + "/v1"},
		ns + ":StartedRelease." + group + "/mongodb": {"releases/mongodb.yaml", "no CRD installed for StartedRelease " + group + "/v1"},
	} {
		r := results[ref]
		if r.Outcome != applier.Failed || r.Diagnostic == nil {
			t.Errorf("%s: %+v, want a failure with a diagnostic", ref, r)
			continue
		}
		if got := r.Diagnostic.Subject.String(); r.Diagnostic.Summary != want.text || !strings.HasPrefix(got, want.file+":") {
			t.Errorf("%s: %s: %q, want %s: %q", ref, got, r.Diagnostic.Summary, want.file, want.text)
		}
	}
}

// TestKubePrometheus applies definitions and their objects, and everything
// around them, in one go.
func TestKubePrometheus(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	files := privately(t, filesUnder(t, "kube-prometheus/manifests"))
	set := applier.Set{Owner: "monitoring", Complete: true, Objects: itemsOf(t, files)}
	began := time.Now()
	results := applyOf(t, target, set)
	t.Logf("%d objects applied in %s", len(results), time.Since(began).Round(time.Millisecond))
	t.Cleanup(func() { deleteAll(t, target, "monitoring") })
	for ref, r := range results {
		if r.Outcome != applier.Created {
			t.Errorf("%s: %+v", ref, r)
		}
	}
	staysAsItIs(t, target, set)
}

// staysAsItIs plans and applies a set again, twice: nothing changes, whatever
// the cluster's own controllers have done since.
func staysAsItIs(t *testing.T, target *target, set applier.Set) {
	t.Helper()
	for round := range 2 {
		for ref, c := range planOf(t, target, set) {
			if c.Action != applier.None {
				t.Errorf("round %d: plan: %s: %s (%s)", round+1, ref, c.Action, c.Reason)
			}
		}
		for ref, r := range applyOf(t, target, set) {
			if r.Outcome != applier.Unchanged {
				t.Errorf("round %d: apply: %s: %s (%s)", round+1, ref, r.Outcome, r.Reason)
			}
		}
	}
}

// privately moves everything into namespaces, API groups and cluster-scoped
// names of the test's own.
func privately(t *testing.T, files map[string]string) map[string]string {
	t.Helper()
	mine := uniqueName(t, "p")
	kube, def := mine+"-kube", mine+"-default"
	out := map[string]string{"extra.yaml": fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", kube, def)}
	replace := strings.NewReplacer(
		"namespace: monitoring", "namespace: "+mine, "name: monitoring\n", "name: "+mine+"\n",
		"namespace: kube-system", "namespace: "+kube, "namespace: default", "namespace: "+def,
		"monitoring.coreos.com", mine+".example.com", "metrics.k8s.io", mine+".metrics.example.com",
	)
	for name, content := range files {
		if strings.Contains(content, "kind: ClusterRole") {
			content = renameClusterRoles(content, mine)
		}
		out[name] = replace.Replace(content)
	}
	t.Cleanup(func() { deleteNamespace(t, kube); deleteNamespace(t, def) })
	return out
}

func renameClusterRoles(content, suffix string) string {
	lines := strings.Split(content, "\n")
	for i, line := range lines {
		role := i > 0 && strings.TrimSpace(lines[i-1]) == "kind: ClusterRole" || strings.Contains(content, "\nkind: ClusterRole") && strings.HasPrefix(line, "  name: ")
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "name: "); ok && role && strings.HasPrefix(line, "  name: ") && name != "system:auth-delegator" {
			lines[i] = "  name: " + name + "-" + suffix
		}
	}
	return strings.Join(lines, "\n")
}

// deleteAll removes everything that owner has, which tests the deletion of
// every kind that the test made.
func deleteAll(t *testing.T, target *target, owner string) {
	t.Helper()
	set := applier.Set{Owner: owner, Complete: true, Objects: itemsOf(t, nil)}
	began := time.Now()
	var refs []applier.Ref
	if _, err := target.Plan(ctxOf(t), set, func(c applier.Change) { refs = append(refs, c.Ref) }); err != nil {
		t.Error(err)
	}
	if _, err := target.Delete(ctxOf(t), applier.Deletion{Owner: owner, Refs: refs}, func(r applier.Result) {
		if r.Outcome != applier.Deleted {
			t.Errorf("delete %s: %+v", r.Ref, r)
		}
	}); err != nil {
		t.Error(err)
	}
	t.Logf("%d objects deleted in %s", len(refs), time.Since(began).Round(time.Millisecond))
}

func TestPodinfo(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	target.config.DefaultNamespace = ns
	files := filesUnder(t, "podinfo/kustomize")
	delete(files, "kustomization.yaml") // the core's loader leaves it out
	files["ns.yaml"] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + ns + "}\n"
	set := applier.Set{Owner: "podinfo", Complete: true, Objects: itemsOf(t, files)}
	results := applyOf(t, target, set)
	for _, ref := range slices.Sorted(maps.Keys(results)) {
		if results[ref].Outcome != applier.Created {
			t.Errorf("%s: %+v", ref, results[ref])
		}
	}
	if len(results) != 4 {
		t.Errorf("%d results, want 4", len(results))
	}
	staysAsItIs(t, target, set)
}
