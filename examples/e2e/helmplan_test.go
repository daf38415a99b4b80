package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// plannedResult is one of `sluice plan -o json`.
type plannedResult struct {
	Node, Error, File string
	Line              int
	Problems          []struct {
		Summary, File string
		Line          int
	}
	Release *struct {
		Action  string
		Changes []struct{ Kind, Name, Action, Diff string }
	}
}

// plan is what `sluice plan` says, by node.
func (w *world) plan(config string) map[string]plannedResult {
	w.t.Helper()
	o := w.run("sluice", "plan", "--config", config, "-o", "json")
	var answer struct{ Plans []plannedResult }
	if err := json.Unmarshal([]byte(o.out), &answer); err != nil {
		w.t.Fatalf("plan: %v: %s%s", err, o.out, o.errOut)
	}
	all := map[string]plannedResult{}
	for _, p := range answer.Plans {
		all[p.Node] = p
	}
	return all
}

// hush is a value of a Secret, which nobody is to see.
const hush = "hush-hush-hush"

// showingChart makes a ConfigMap of its values, one of which is secret.
var showingChart = webChart("web", "1.0.0", map[string]string{
	"values.schema.json":     `{"properties": {"replicas": {"type": "integer"}}}`,
	"templates/config.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {key: {{ .Values.greeting | quote }}, password: {{ .Values.password | quote }}}\n",
	"templates/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}-front}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n",
})

// settings are a ConfigMap and a Secret with values of releases.
func settings(greeting string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: NS}\ndata: {values.yaml: \"greeting: %s\"}\n---\n"+
		"apiVersion: v1\nkind: Secret\nmetadata: {name: settings, namespace: NS}\nstringData: {values.yaml: \"password: %s\"}\n", greeting, hush)
}

// TestWhatPeopleSeeOfReleases: a plan names the places of HelmReleases and reads
// what it is about to apply itself, why knows the objects of releases, and a dry
// run of a rollback tells what it would change. Nobody sees a Secret.
func TestWhatPeopleSeeOfReleases(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.definitions()
	w.namespaces("")
	within := func(text string) string { return strings.ReplaceAll(text, "NS", w.prefix) }
	r := w.repo("app", trees(showingChart))
	const from = "valuesFrom:\n- configMapKeyRef: {name: settings}\n- secretKeyRef: {name: settings}\n"
	both := "# of the shop\n" + within(r.gitRelease("web", "web", from)) + "---\n" + within(r.gitRelease("bad", "web", from+"values:\n  replicas: many\n"))
	r.commit(map[string]string{"deploy/settings.yaml": within(settings("one")), "deploy/web.yaml": both})
	config := w.config(followed("") + r.source() + "sync \"app\" {\n  source = source.git.app\n  paths = [\"deploy\"]\n}\n" +
		releaseBlock("after", "web", "depends_on = [sync.app]\n  values_from { config_map = \"settings\" }\n  values_from { secret = \"settings\" }"))

	plans := w.plan(config)
	for _, id := range []string{"helmrelease.c/" + w.prefix + "/web", "release.after"} {
		p := plans[id]
		if p.Error != "" || p.Release == nil || p.Release.Action != "install" || len(p.Release.Changes) != 2 || !strings.Contains(p.Release.Changes[0].Diff, "key: one") {
			t.Errorf("the plan of %s: %+v", id, p)
		}
	}
	if p := plans["helmrelease.c/"+w.prefix+"/web"]; p.File != "deploy/web.yaml" || p.Line != 2 {
		t.Errorf("web stands at %s:%d", p.File, p.Line)
	}
	bad := plans["helmrelease.c/"+w.prefix+"/bad"]
	line := 1 + strings.Count(strings.Split(both, "replicas: many")[0], "\n")
	if len(bad.Problems) != 1 || bad.Problems[0].File != "deploy/web.yaml" || bad.Problems[0].Line != line || !strings.Contains(bad.Problems[0].Summary, "values.replicas") {
		t.Errorf("replicas are wrong in line %d: %+v", line, bad)
	}
	text := w.run("sluice", "plan", "--config", config)
	if want := fmt.Sprintf("deploy/web.yaml:%d", line); text.code != 1 || !strings.Contains(text.out, want) || !strings.Contains(text.out, "/web (deploy/web.yaml:2)") {
		t.Errorf("exit %d, want %s in\n%s", text.code, want, text.out)
	}

	r.commit(map[string]string{"deploy/web.yaml": within(r.gitRelease("web", "web", from))})
	d := w.daemon(config)
	w.eventually(time.Minute, "the installs", func() bool { return w.allReady(config, "web", "after") })
	why := w.must("sluice", "why", "--config", config, "-n", w.prefix, "service/web-front")
	for _, want := range []string{"belongs to the Helm release " + w.prefix + "/web", "HelmRelease " + w.prefix + "/web, which sync.app applies from deploy/web.yaml:1", "revision 1 of web-1.0.0 is deployed", "it did install"} {
		if !strings.Contains(why, want) {
			t.Errorf("want %q in\n%s", want, why)
		}
	}
	var x struct {
		Node    struct{ ID string }
		Release listed
	}
	if err := json.Unmarshal([]byte(w.must("sluice", "why", "--config", config, w.prefix+":svc/after-front", "-o", "json")), &x); err != nil || x.Node.ID != "release.after" || x.Release.Name != "after" || x.Release.Revision != 1 {
		t.Errorf("%+v %v", x, err)
	}

	r.commit(map[string]string{"deploy/settings.yaml": within(settings("two"))})
	w.eventually(time.Minute, "the ConfigMap changes", func() bool {
		return strings.Contains(w.must("kubectl", "-n", w.prefix, "get", "cm", "settings", "-o", "yaml"), "two")
	})
	w.must("sluice", "sync", "--config", config, "release.after")
	w.eventually(time.Minute, "the upgrade", func() bool { return w.value("after") == "two" && w.allReady(config, "after") })
	dry := w.must("sluice", "helm", "rollback", "after", "1", "--dry-run", "--config", config)
	for _, want := range []string{"would roll back to revision 1", "-  key: two", "+  key: one"} {
		if !strings.Contains(dry, want) {
			t.Errorf("want %q in\n%s", want, dry)
		}
	}
	if w.deployed(w.prefix, "after") != 2 {
		t.Error("a dry run has changed something")
	}
	d.stop()
	for _, said := range []string{text.out + text.errOut, fmt.Sprint(plans), why, dry} {
		if strings.Contains(said, hush) {
			t.Errorf("a Secret is shown in\n%s", said)
		}
	}
}
