package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestImagePlaces updates images wherever they stand: in values of a release,
// in objects of a kind that nobody knows, under markers, in kustomizations, and
// in what commands generate. It has a cluster of its own, for the kinds.
func TestImagePlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ownCluster()
	w.must("kubectl", "create", "namespace", w.prefix)
	w.crd("helm.fluxcd.io", "HelmRelease", "helmreleases")
	w.crd("example.com", "Widget", "widgets")
	u := w.updates("applier \"kubernetes\" \"c\" {}\n", placesManifests(), blocks{
		sync: `paths = ["plain"]`, more: placesBlocks,
	}, func(r *registry) {
		for _, name := range places {
			r.push("acme/"+name, 0, "1.0.0")
		}
	})
	u.sluice("sync", "--wait", "--timeout", "2m")
	u.everywhere()
}

// places are the repositories of the images, one for each place.
var places = []string{"chart", "side", "widget", "app", "loose", "kust", "updated", "patched"}

const placesBlocks = `
renderer "kustomize" "k" {}
renderer "exec" "flux" {}
sync "NS-kust" {
  source   = source.git.app
  renderer = renderer.kustomize.k
  paths    = ["kust/overlay"]
}
sync "NS-gen" {
  source   = source.git.app
  renderer = renderer.exec.flux
  paths    = ["updated", "patched"]
}
image_automation "NS-kust" { sync = sync.NS-kust }
image_automation "NS-gen" { sync = sync.NS-gen }
image_kind "widget" {
  group      = "example.com"
  kind       = "Widget"
  containers = ["spec.parts"]
  images     = { engine = "spec.engine.image" }
}
image_policy "app" {
  images  = ["registry.example.com/acme/app"]
  policy  = "semver:*"
  markers = ["flux-system:app"]
}
image_policy "loose" {
  images = ["registry.example.com/acme/loose"]
  policy = "semver:*"
}
image_policy "others" {
  workloads = ["NS:*"]
  policy    = "semver:*"
}
`

func placesManifests() map[string]string {
	return map[string]string{
		"plain/release.yaml": `apiVersion: helm.fluxcd.io/v1
kind: HelmRelease
metadata: {name: release, namespace: NS}
spec:
  values:
    image:
      repository: registry.example.com/acme/chart   # of the chart
      tag: "1.0.0"
    sidecar: {image: {registry: registry.example.com, repository: acme/side, tag: 1.0.0}}
`,
		"plain/widget.yaml": `apiVersion: example.com/v1
kind: Widget
metadata: {name: widget, namespace: NS}
spec:
  engine: {image: registry.example.com/acme/widget:1.0.0}
  parts:
  - {name: wheel, image: 'registry.example.com/acme/widget:1.0.0'}
`,
		"plain/settings.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: NS}
data:
  image: registry.example.com/acme/app:1.0.0 # {"$sluice": "app"}
  tag: 1.0.0   # {"$imagepolicy": "flux-system:app:tag"}
  other: 1.0.0 # of something else
`,
		"plain/elsewhere/kustomization.yaml": `images: # for a pipeline elsewhere
- name: registry.example.com/acme/loose
  newTag: 1.0.0
`,
		"kust/base/kustomization.yaml": "resources: [web.yaml]\n",
		"kust/base/web.yaml":           deployment("", "kust", "acme/kust:0"),
		"kust/overlay/kustomization.yaml": `resources: [../base]
images:
- name: acme/kust   # by CI
  newName: registry.example.com/acme/kust
  newTag: 1.0.0
`,
		"updated/.flux.yaml": `version: 1
commandUpdated:
  generators:
  - command: sed "s/TAG/$(cat tag)/" app.tmpl
  updaters:
  - containerImage:
      command: echo "$FLUX_TAG" > tag
`,
		"updated/tag":      "1.0.0\n",
		"updated/app.tmpl": deployment("", "updated", shopHost+"/acme/updated:TAG"),
		"patched/.flux.yaml": `version: 1
patchUpdated:
  generators:
  - command: cat app.tmpl
  patchFile: patch.yaml
`,
		"patched/app.tmpl": deployment("", "patched", shopHost+"/acme/patched:1.0.0"),
	}
}

// crd makes a kind in which everything is allowed.
func (w *world) crd(group, kind, plural string) {
	w.t.Helper()
	file := filepath.Join(w.dir, plural+".yaml")
	text := strings.NewReplacer("GROUP", group, "KIND", kind, "PLURAL", plural, "SINGULAR", strings.ToLower(kind)).Replace(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: PLURAL.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: KIND, plural: PLURAL, singular: SINGULAR}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.must("kubectl", "apply", "-f", file)
	w.must("kubectl", "wait", "--for", "condition=Established", "crd/"+plural+"."+group, "--timeout", "1m")
}

// everywhere pushes one image for each place, and looks at all of them.
func (u *updates) everywhere() {
	u.t.Helper()
	automations := []string{"image_automation." + u.prefix, "image_automation." + u.prefix + "-kust", "image_automation." + u.prefix + "-gen"}
	u.sluice(append([]string{"suspend"}, automations...)...)
	before := u.repo.head()
	for _, name := range places {
		u.reg.push("acme/"+name, 5, "1.1.0")
	}
	u.sluice("images", "-n", u.prefix, "--scan")
	u.sluice(append([]string{"resume"}, automations...)...)
	u.eventually(time.Minute, "all is written", func() bool {
		files, _, _ := u.diffed(before)
		return len(files) == len(placesChanged)
	})
	u.sluice("sync", "--wait", "--timeout", "2m")
	files, added, deleted := u.diffed(before)
	if !slices.Equal(files, placesChanged) || deleted != 9 || added != 9+13 {
		u.t.Errorf("%d added and %d deleted lines of %q", added, deleted, files)
	}
	manifests := placesManifests()
	for _, file := range files[2:6] { // every 1.0.0 is an image's but one
		want := strings.NewReplacer("1.0.0", "1.1.0", "other: 1.0.0", "other: 1.0.0").Replace(manifests[file])
		u.same(file, u.repo.text(file), want)
	}
	for object, want := range map[string]string{
		"deployment/kust": "acme/kust", "deployment/updated": "acme/updated", "deployment/patched": "acme/patched",
		"helmrelease/release": "", "widget/widget": "acme/widget", "configmap/settings": "acme/app",
	} {
		text := u.must("kubectl", "-n", u.prefix, "get", object, "-o", "jsonpath={.spec}{.data}")
		if want != "" && !strings.Contains(text, want+":1.1.0") || want == "" && strings.Count(text, `"tag":"1.1.0"`) != 2 {
			u.t.Errorf("%s in the cluster: %s", object, text)
		}
	}
	u.sluice("images", "-n", u.prefix, "--scan")
	u.sluice(append([]string{"sync", "--wait"}, automations...)...)
	if again, _, _ := u.diffed(before); !slices.Equal(again, files) {
		u.t.Errorf("changed once more: %q", again)
	}
}

// placesChanged are the files that get the new images.
var placesChanged = []string{
	"kust/overlay/kustomization.yaml", "patched/patch.yaml",
	"plain/elsewhere/kustomization.yaml", "plain/release.yaml", "plain/settings.yaml", "plain/widget.yaml", "updated/tag",
}

// diffed adds up what differs since a commit.
func (u *updates) diffed(since string) (files []string, added, deleted int) {
	u.t.Helper()
	for line := range strings.Lines(u.repo.served("diff", "--numstat", since+"..main")) {
		var a, d int
		var file string
		if _, err := fmt.Sscan(line, &a, &d, &file); err != nil {
			u.t.Fatalf("numstat %q: %v", line, err)
		}
		files, added, deleted = append(files, file), added+a, deleted+d
	}
	return files, added, deleted
}
