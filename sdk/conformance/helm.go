package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// helmChecks work on Subject.Tree, a chart, or else on one of their own. Those
// that ask the target need Subject.Namespace.
var helmChecks = []Check{
	{"helm-resolves-the-same-twice", withHelm(resolvesAChartTwice)},
	{"helm-pulls-only-what-was-resolved", withHelm(pullsOnlyWhatWasResolved)},
	{"helm-templates-the-same-twice", withHelm(templatesTheSameTwice)},
	{"helm-knows-what-does-not-exist", withHelm(knowsWhatDoesNotExist)},
	{"helm-plans-without-changing", withHelm(plansWithoutChanging)},
	{"helm-installs-upgrades-and-rolls-back", withHelm(installsUpgradesAndRollsBack)},
	{"helm-respects-owners", withHelm(respectsOwners)},
	{"helm-compares-with-the-deployed-revision", withHelm(comparesWithTheDeployedRevision)},
	{"helm-lists-what-it-has-installed", withHelm(listsWhatItHasInstalled)},
	{"helm-lacks-what-it-does-not-claim", withHelm(comparesOnlyIfClaimed)},
}

type openHelm struct {
	*client.Helm
	caps      []string
	tree      string
	namespace string
}

// withHelm runs a check on an open helm, and closes it.
func withHelm(check func(t T, h openHelm)) func(T, *Subject) {
	return func(t T, s *Subject) {
		o := s.open(t)
		defer s.closed(t, o.Instance)
		tree := s.Tree
		if tree == "" {
			tree = chart(t)
		}
		check(t, openHelm{client.NewHelm(s.caller(t, o)), o.Capabilities, tree, s.Namespace})
	}
}

// chart writes the smallest chart that has something to install.
func chart(t T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "templates"), 0o755); err != nil {
		t.Fatalf("sample chart: %v", err)
	}
	for name, content := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: conformance\nversion: 1.0.0\n",
		"templates/configmap.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data: {sample: "true"}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(content), 0o600); err != nil {
			t.Fatalf("sample chart: %v", err)
		}
	}
	return dir
}

// sample resolves the sample chart.
func (h openHelm) sample(t T) helm.Chart {
	t.Helper()
	c, err := h.Resolve(t.Context(), helm.ChartRef{Tree: h.tree, Path: "."})
	if err != nil {
		t.Fatalf("Resolve: %v", err)
	}
	if c.Version == "" || c.Digest == "" {
		t.Errorf("Resolve returned the version %q and the digest %q", c.Version, c.Digest)
	}
	return c
}

// release pulls the sample chart, and returns it as a release called name.
func (h openHelm) release(t T, name string) helm.Release {
	t.Helper()
	c := h.sample(t)
	if h.namespace == "" {
		t.Skipf("no namespace to install in")
	}
	dir := t.TempDir()
	if err := h.Pull(t.Context(), c, dir); err != nil {
		t.Fatalf("Pull: %v", err)
	}
	return helm.Release{
		Ref: helm.ReleaseRef{Namespace: h.namespace, Name: name}, Chart: dir,
		Values: secret.New("{}"), Owner: "conformance", Digest: "one",
	}
}

func (h openHelm) uninstall(t T, ref helm.ReleaseRef) {
	t.Helper()
	if err := h.Uninstall(t.Context(), helm.Uninstall{Ref: ref}, func(helm.Event) {}); err != nil {
		t.Errorf("Uninstall: %v", err)
	}
}

func resolvesAChartTwice(t T, h openHelm) {
	if first, second := h.sample(t), h.sample(t); first.Digest != second.Digest || first.Version != second.Version {
		t.Errorf("Resolve returned %s %s, then %s %s", first.Version, first.Digest, second.Version, second.Digest)
	}
}

func pullsOnlyWhatWasResolved(t T, h openHelm) {
	c := h.sample(t)
	dir := t.TempDir()
	if err := h.Pull(t.Context(), c, dir); err != nil {
		t.Fatalf("Pull: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "Chart.yaml")); err != nil {
		t.Errorf("Pull wrote no Chart.yaml: %v", err)
	}
	c.Digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	if err := h.Pull(t.Context(), c, t.TempDir()); err == nil {
		t.Errorf("Pull accepts a chart whose digest is not the one that is asked for")
	}
}

func templatesTheSameTwice(t T, h openHelm) {
	r := h.release(t, "conformance-template")
	var digests []string
	for _, name := range []string{"a", "b"} {
		out := filepath.Join(t.TempDir(), name)
		rendered, err := h.Template(t.Context(), r, out)
		if err != nil {
			t.Fatalf("Template: %v", err)
		}
		if _, err := os.Stat(out); err != nil {
			t.Errorf("Template wrote no file: %v", err)
		}
		digests = append(digests, rendered.Digest)
	}
	if digests[0] != digests[1] || digests[0] == "" {
		t.Errorf("Template returned the digests %q", digests)
	}
}

func knowsWhatDoesNotExist(t T, h openHelm) {
	if h.namespace == "" {
		t.Skipf("no namespace")
	}
	ref := helm.ReleaseRef{Namespace: h.namespace, Name: "conformance-none"}
	if rev, err := h.Status(t.Context(), ref); err != nil || rev != (helm.Revision{}) {
		t.Errorf("Status of what does not exist is %+v, %v; want a zero Revision", rev, err)
	}
	if rev, err := h.Unlock(t.Context(), ref); err != nil || rev != (helm.Revision{}) {
		t.Errorf("Unlock of what does not exist is %+v, %v; want a zero Revision", rev, err)
	}
	if err := h.History(t.Context(), ref, func(rev helm.Revision) { t.Errorf("History emits %+v", rev) }); err != nil {
		t.Errorf("History of what does not exist: %v", err)
	}
	h.uninstall(t, ref)
	if _, err := h.Rollback(t.Context(), helm.Rollback{Ref: ref}, func(helm.Event) {}); !errors.Is(err, helm.ErrNotFound) {
		t.Errorf("Rollback of what does not exist: %v; want ErrNotFound", err)
	}
	if err := h.Test(t.Context(), helm.Test{Ref: ref}, func(helm.Event) {}); !errors.Is(err, helm.ErrNotFound) {
		t.Errorf("Test of what does not exist: %v; want ErrNotFound", err)
	}
}

func plansWithoutChanging(t T, h openHelm) {
	r := h.release(t, "conformance-plan")
	created := 0
	if _, err := h.Plan(t.Context(), r, func(c helm.Change) {
		if c.Action == "create" {
			created++
		}
	}); err != nil {
		t.Fatalf("Plan: %v", err)
	}
	if created == 0 {
		t.Errorf("Plan of an install creates nothing")
	}
	if rev, err := h.Status(t.Context(), r.Ref); err != nil || rev.Number != 0 {
		t.Errorf("after Plan, Status is %+v, %v", rev, err)
	}
}

func installsUpgradesAndRollsBack(t T, h openHelm) {
	r := h.release(t, "conformance-life")
	defer h.uninstall(t, r.Ref)
	none := func(helm.Event) {}
	for i, digest := range []string{"one", "two"} {
		r.Digest = digest
		rev, err := h.Upgrade(t.Context(), r, none)
		if err != nil {
			t.Fatalf("Upgrade: %v", err)
		}
		if rev.Number != i+1 || rev.Status != "deployed" || rev.Digest != digest || rev.Owner != r.Owner {
			t.Errorf("Upgrade returned %+v", rev)
		}
		if now, err := h.Status(t.Context(), r.Ref); err != nil || now.Number != rev.Number || now.Digest != digest {
			t.Errorf("after Upgrade, Status is %+v, %v", now, err)
		}
	}
	if slices.Contains(h.caps, helm.CanPlanRollback) {
		to, err := h.PlanRollback(t.Context(), helm.Rollback{Ref: r.Ref, To: 1}, func(helm.Change) {})
		if err != nil || to.Number != 1 {
			t.Errorf("PlanRollback returned %+v, %v; want revision 1", to, err)
		}
		if now, err := h.Status(t.Context(), r.Ref); err != nil || now.Number != 2 {
			t.Errorf("after PlanRollback, Status is %+v, %v", now, err)
		}
	}
	if rev, err := h.Rollback(t.Context(), helm.Rollback{Ref: r.Ref, To: 1}, none); err != nil || rev.Number != 3 || rev.Digest != "" {
		t.Errorf("Rollback returned %+v, %v; want revision 3, without a digest", rev, err)
	}
	var numbers []int
	if err := h.History(t.Context(), r.Ref, func(rev helm.Revision) { numbers = append(numbers, rev.Number) }); err != nil || !slices.Equal(numbers, []int{3, 2, 1}) {
		t.Errorf("History is %v, %v; want 3, 2, 1", numbers, err)
	}
	if rev, err := h.Unlock(t.Context(), r.Ref); err != nil || rev.Status != "deployed" {
		t.Errorf("Unlock of what is not locked returned %+v, %v", rev, err)
	}
}

func respectsOwners(t T, h openHelm) {
	r := h.release(t, "conformance-owner")
	none := func(helm.Event) {}
	if _, err := h.Upgrade(t.Context(), r, none); err != nil {
		t.Fatalf("Upgrade: %v", err)
	}
	defer h.uninstall(t, r.Ref)
	r.Owner = "somebody-else"
	if _, err := h.Upgrade(t.Context(), r, none); !errors.Is(err, helm.ErrOwned) {
		t.Errorf("Upgrade of another owner's release: %v; want ErrOwned", err)
	}
	if err := h.Uninstall(t.Context(), helm.Uninstall{Ref: r.Ref, Owner: r.Owner}, none); !errors.Is(err, helm.ErrOwned) {
		t.Errorf("Uninstall of another owner's release: %v; want ErrOwned", err)
	}
	r.Adopt = true
	if rev, err := h.Upgrade(t.Context(), r, none); err != nil || rev.Owner != r.Owner {
		t.Errorf("adopting it returned %+v, %v", rev, err)
	}
}

func comparesWithTheDeployedRevision(t T, h openHelm) {
	if !slices.Contains(h.caps, helm.CanCompare) {
		t.Skipf("it does not claim %s", helm.CanCompare)
	}
	r := h.release(t, "conformance-compare")
	if _, err := h.Upgrade(t.Context(), r, func(helm.Event) {}); err != nil {
		t.Fatalf("Upgrade: %v", err)
	}
	defer h.uninstall(t, r.Ref)
	for _, c := range []helm.Comparison{{}, {}, {Fresh: true}, {Correct: true}} { // the second may be from memory
		c.Ref = r.Ref
		if err := h.Compare(t.Context(), c, func(c helm.Change) { t.Errorf("Compare of what was just installed emits %+v", c) }); err != nil {
			t.Errorf("Compare: %v", err)
		}
	}
	none := helm.ReleaseRef{Namespace: h.namespace, Name: "conformance-none"}
	if err := h.Compare(t.Context(), helm.Comparison{Ref: none}, func(helm.Change) {}); !errors.Is(err, helm.ErrNotFound) {
		t.Errorf("Compare of what does not exist: %v; want ErrNotFound", err)
	}
}

func listsWhatItHasInstalled(t T, h openHelm) {
	if !slices.Contains(h.caps, helm.CanList) {
		t.Skipf("it does not claim %s", helm.CanList)
	}
	r := h.release(t, "conformance-list")
	for number := range 2 {
		if _, err := h.Upgrade(t.Context(), r, func(helm.Event) {}); err != nil {
			t.Fatalf("Upgrade: %v", err)
		}
		for _, namespace := range []string{"", h.namespace} {
			var found []helm.Revision
			if err := h.List(t.Context(), namespace, func(ref helm.ReleaseRef, rev helm.Revision) {
				if ref == r.Ref {
					found = append(found, rev)
				}
			}); err != nil {
				t.Fatalf("List: %v", err)
			}
			if len(found) != 1 || found[0].Number != number+1 || found[0].Status != "deployed" || found[0].Owner != r.Owner || found[0].Digest != r.Digest {
				t.Errorf("List of namespace %q emits %+v", namespace, found)
			}
		}
	}
	h.uninstall(t, r.Ref)
	if err := h.List(t.Context(), h.namespace, func(ref helm.ReleaseRef, rev helm.Revision) {
		if ref == r.Ref {
			t.Errorf("after Uninstall, List emits %+v", rev)
		}
	}); err != nil {
		t.Errorf("List: %v", err)
	}
}

func comparesOnlyIfClaimed(t T, h openHelm) {
	if slices.Contains(h.caps, helm.CanCompare) {
		t.Skipf("it claims them")
	}
	ref := helm.ReleaseRef{Namespace: "conformance", Name: "none"}
	if err := h.Compare(t.Context(), helm.Comparison{Ref: ref}, func(helm.Change) {}); !errors.Is(err, client.ErrUnsupported) {
		t.Errorf("Compare: %v; want ErrUnsupported, as %s is not claimed", err, helm.CanCompare)
	}
}
