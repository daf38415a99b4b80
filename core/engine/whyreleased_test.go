package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// madeByHelm are the annotations that Helm leaves on what it makes.
func madeByHelm(namespace, name string) map[string]string {
	return map[string]string{workload.ReleaseAnnotation: name, workload.ReleaseNamespaceAnnotation: namespace}
}

// TestWhyOfWhatAReleaseHas explains objects of releases: by what they say
// themselves, or by the manifest, with a few requests whatever there is.
func TestWhyOfWhatAReleaseHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		w.repo("mem://objects").commit("apps/web=" + hr("web", "  releaseName: web\n"))
		spec := webSpec("one")
		spec["releaseName"] = "web"
		w.resources.apply("web", spec)
		w.resources.made = map[applier.Ref]map[string]string{
			{Kind: "Service", Namespace: "demo", Name: "web"}:      madeByHelm("demo", "web"),
			{Kind: "Service", Namespace: "demo", Name: "ghost-db"}: madeByHelm("demo", "ghost"),
			{Kind: "Service", Namespace: "ops", Name: "theirs"}:    madeByHelm("ops", "vault"),
			{Kind: "Service", Namespace: "demo", Name: "nobodys"}:  {},
		}
		w.cluster.releases[helm.ReleaseRef{Namespace: "ops", Name: "vault"}] = []installed{{Revision: helm.Revision{Number: 4, Status: "deployed", Chart: "vault-2.0.0"}}}
		w.cluster.manifest = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate}\n"
		many := ""
		for i := range 20 {
			many += releaseBlock(fmt.Sprintf("many%02d", i), "one")
		}
		e := w.start(chartSourceBlock + objectsBlock + releaseBlock("ghost", "one") + many)
		expect(t, e, web, Ready, "")
		expect(t, e, "release.ghost", Ready, "")
		tests := map[string]struct {
			target, namespace string
			release           string // id, else namespace/name
			want              []string
		}{
			"of a resource": {"service/web", "demo", web, []string{
				"demo:service/web belongs to the Helm release demo/web", workload.ReleaseAnnotation,
				"declared by HelmRelease demo/web, which sync.objects applies from apps/web.yaml:1",
				web + " is ready", "revision 1 of ", " is deployed", "it did install",
			}},
			"of a block":              {"demo:svc/ghost-db", "", "release.ghost", []string{"declared by ", "sluice.hcl:"}},
			"in no named namespace":   {"svc/ghost-db", "", "release.ghost", nil},
			"that nobody declares":    {"svc/theirs", "ops", "ops/vault", []string{"nobody declares that release", "revision 4 of vault-2.0.0 is deployed"}},
			"a hook":                  {"job/migrate", "demo", web, []string{"the manifest of its revision 1 has it"}},
			"that no release has":     {"svc/nobodys", "demo", "", []string{"which does not say that Helm made it"}},
			"that is not there":       {"svc/nothing", "demo", "", []string{"no sync has"}},
			"without a namespace, no": {"svc/nothing", "", "", []string{"no sync has"}},
		}
		for name, tt := range tests {
			w.resources.asked, w.cluster.reads = 0, 0
			x, err := e.Why(t.Context(), tt.target, tt.namespace)
			text := strings.Join(x.Lines, "\n")
			got := ""
			switch {
			case err != nil:
				text = err.Error()
				if !errors.Is(err, refusal.ErrNotFound) {
					t.Errorf("%s: %v", name, err)
				}
			case x.Node != nil:
				got = x.Node.ID
			default:
				got = releaseName(x.Release)
			}
			if got != tt.release {
				t.Errorf("%s: it is of %q, want %q", name, got, tt.release)
			}
			for _, want := range tt.want {
				if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
					t.Errorf("%s: want %q in:\n%s", name, want, text)
				}
			}
			if n := w.resources.asked + w.cluster.reads; n > mostLooks+mostManifests {
				t.Errorf("%s: %d requests", name, n)
			}
		}
	})
}

func releaseName(r *HelmRelease) string { return r.Namespace + "/" + r.Name }

// TestWhyOfWhatIsGone: what a release lacks is known without a request.
func TestWhyOfWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := resourceWorld(t)
		e := w.start(chartSourceBlock + releaseBlock("ghost", "one"))
		expect(t, e, "release.ghost", Ready, "")
		e.mu.Lock()
		report := *e.nodes["release.ghost"].release.report
		report.State, report.Drift = release.Drifted, []helm.Change{{Kind: "Deployment", Namespace: "demo", Name: "ghost", Action: "create"}}
		e.nodes["release.ghost"].release.report = &report
		e.mu.Unlock()
		x, err := e.Why(t.Context(), "deployment.apps/ghost", "demo")
		if err != nil || x.Node == nil || x.Node.ID != "release.ghost" || w.resources.asked != 0 {
			t.Errorf("%+v %v, %d requests", x, err, w.resources.asked)
		}
	})
}
