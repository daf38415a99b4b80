package engine

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const releasing = `
source "memory" "shop" { url = "mem://shop" }
release "web" {
  namespace = "shop"
  name      = "front"
  chart { repository = "oci://registry.invalid/charts/web" }
  values_from { config_map = "defaults" }
  values_from {
    source = source.memory.shop
    path   = "values/base.yaml"
  }
  values_from {
    source = source.memory.shop
    path   = "values/prod.yaml"
  }
  values = {
    sidecar = { image = "registry.invalid/web:1.0.0" }
  }
}
image_policy "one" {
  policy    = "semver:^1"
  workloads = ["shop:release/*"]
}
image_automation "shop" { release = release.web }
`

const (
	baseValues = `# for all
image: registry.invalid/web:1.0.0 # the chart's own
api:
  image: {repository: registry.invalid/web, tag: "1.0.0"}
worker: {image: registry.invalid/web, tag: "1.0.0"}
`
	prodValues = "api:\n  image:\n    tag: 1.0.1\nworker:\n  image: 'registry.invalid/web'\n  tag: \"1.0.0\" # here\n"
)

// newReleases starts a daemon with a release of these files of values. Nothing
// installs it: its images are looked after all the same.
func newReleases(t *testing.T, hcl string, files map[string]string) *fleet {
	w := newWorld(t)
	f := &fleet{world: w, repo: w.repo("mem://shop")}
	f.repo.writable, f.repo.rev, f.repo.files = true, 1, files
	w.runs, w.helms = true, true
	w.breakOpen("helm.helm.default", errors.New("there is none"))
	f.e = w.start(hcl)
	synctest.Wait()
	return f
}

// settle makes these the tags of a repository, and waits until the daemon has
// done what it does about them.
func (f *fleet) settle(repository string, tags ...string) {
	f.t.Helper()
	f.registry(repository, tags...)
	sleepFor(f.t, 2*firstStep)
}

func TestReleaseImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newReleases(t, releasing, map[string]string{"values/base.yaml": baseValues, "values/prod.yaml": prodValues})
		f.settle("web", "1.0.0", "1.0.1", "1.1.0", "2.0.0")

		f.wantCommits(1)
		if diff := cmp.Diff(strings.Replace(baseValues, "web:1.0.0", "web:1.1.0", 1), f.repo.read("values/base.yaml")); diff != "" {
			t.Errorf("base (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(strings.Replace(prodValues, `"1.0.0" # here`, `"1.1.0" # here`, 1), f.repo.read("values/prod.yaml")); diff != "" {
			t.Errorf("prod (-want +got):\n%s", diff)
		}
		f.look()
		f.wantCommits(1)

		found, err := f.e.Workloads(t.Context(), workload.Request{Namespace: "shop"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range found.Workloads {
			for _, c := range w.Containers {
				got = append(got, strings.Join([]string{w.ID, w.Applier, w.Owner, c.Name, c.Image}, " "))
			}
		}
		const id = "shop:release/front applier.kubernetes.default release.web "
		want := []string{
			id + "chart-image registry.invalid/web:1.1.0",
			id + "api registry.invalid/web:1.0.1",
			id + "sidecar registry.invalid/web:1.0.0",
			id + "worker registry.invalid/web:1.1.0",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("workloads (-want +got):\n%s", diff)
		}
	})
}

func TestWhyReleaseImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newReleases(t, releasing, map[string]string{"values/base.yaml": baseValues, "values/prod.yaml": prodValues})
		f.settle("web", "1.0.0", "1.0.1", "1.1.0")
		whys, err := f.e.WhyImages(t.Context(), updates.WhyImagesRequest{Workload: "shop:release/front"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range whys {
			text, _, _ := strings.Cut(strings.ReplaceAll(w.Blocked, f.dir+"/", ""), "; ")
			got = append(got, strings.Join([]string{w.Sync, w.Container, w.Image, w.File, w.Target, text}, " | "))
		}
		want := []string{
			"release.web | chart-image | registry.invalid/web:1.1.0 | values/base.yaml |  | ",
			"release.web | api | registry.invalid/web:1.0.1 |  | registry.invalid/web:1.1.0 | only a part of it stands at values/prod.yaml:3",
			"release.web | sidecar | registry.invalid/web:1.0.0 |  | registry.invalid/web:1.1.0 | it is in the values of release.web itself, at sluice.hcl:17:15",
			"release.web | worker | registry.invalid/web:1.1.0 | values/prod.yaml |  | ",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestMarkersInValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prod := strings.Replace(prodValues, "tag: 1.0.1", `tag: 1.0.1 # {"$sluice": "one:tag"}`, 1)
		hcl := strings.Replace(releasing, `workloads = ["shop:release/*"]`, `images = ["registry.invalid/web"]`+"\n  workloads = [\"shop:release/*\"]", 1)
		f := newReleases(t, hcl, map[string]string{"values/base.yaml": "{}", "values/prod.yaml": prod})
		f.settle("web", "1.0.0", "1.0.1", "1.1.0")
		f.wantCommits(1)
		want := strings.NewReplacer("tag: 1.0.1", "tag: 1.1.0", `"1.0.0" # here`, `"1.1.0" # here`).Replace(prod)
		if diff := cmp.Diff(want, f.repo.read("values/prod.yaml")); diff != "" {
			t.Errorf("prod (-want +got):\n%s", diff)
		}
	})
}

// TestReleaseOfImagesInValues has a person release an image by hand.
func TestReleaseOfImagesInValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := strings.Split(releasing, "image_policy")[0]
		f := newReleases(t, hcl, map[string]string{"values/base.yaml": baseValues, "values/prod.yaml": prodValues})
		f.settle("web", "1.0.0", "2.0.0")
		j, err := f.e.Release(t.Context(), jobs.ReleaseRequest{
			Spec: update.Spec{Workloads: []string{"shop:release/front"}, Image: "registry.invalid/web:2.0.0", Force: true}, User: "ann",
		})
		if err != nil {
			t.Fatal(err)
		}
		sleepFor(t, gateInterval)
		if j, err = f.e.Job(j.ID); err != nil {
			t.Fatal(err)
		}
		r := j.Results[0]
		for _, want := range []string{"container api: only a part of it stands at values/prod.yaml:3", "container sidecar: it is in the values of release.web itself, at "} {
			if !strings.Contains(r.Detail, want) {
				t.Errorf("%q lacks %q", r.Detail, want)
			}
		}
		if r.Status != update.Success || len(r.Containers) != 2 || j.State != jobs.Succeeded || j.Error != "" {
			t.Errorf("the job has come to %+v", j)
		}
		f.wantCommits(1)
		for file, before := range map[string]string{"values/base.yaml": baseValues, "values/prod.yaml": prodValues} {
			want := strings.NewReplacer("web:1.0.0 #", "web:2.0.0 #", `"1.0.0" # here`, `"2.0.0" # here`).Replace(before)
			if diff := cmp.Diff(want, f.repo.read(file)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		}
	})
}

func TestBrokenValuesOfReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newReleases(t, releasing, map[string]string{"values/base.yaml": baseValues, "values/prod.yaml": "api: [\n"})
		f.settle("web", "1.0.0", "1.1.0")
		n := expect(t, f.e, automation, Ready, "")
		var texts []string
		for _, p := range n.Problems {
			texts = append(texts, p.String())
		}
		if all := strings.Join(texts, "\n"); !strings.Contains(all, "values/prod.yaml") {
			t.Errorf("problems:\n%s", all)
		}
	})
}

// TestReleasesHaveNoAnnotations asks for a lock, which is an annotation.
func TestReleasesHaveNoAnnotations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newReleases(t, releasing, map[string]string{"values/base.yaml": baseValues, "values/prod.yaml": prodValues})
		j, err := f.e.Policy(t.Context(), jobs.PolicyRequest{Workloads: []string{"shop:release/front"}, Change: update.PolicyChange{Lock: true}})
		if err != nil {
			t.Fatal(err)
		}
		sleepFor(t, gateInterval)
		if j, err = f.e.Job(j.ID); err != nil || j.State != jobs.Failed || !strings.Contains(j.Error, "release.web is a block, which has no annotations") {
			t.Errorf("%v, the job is %+v", err, j)
		}
		f.wantCommits(0)
	})
}

// TestRolloutsOfReleases has an update fail when the release is made from it.
func TestRolloutsOfReleases(t *testing.T) {
	part := func(release, image string, phase applier.Phase) applier.Workload {
		return applier.Workload{
			Ref:         applier.Ref{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "front-" + release},
			Annotations: map[string]string{workload.ReleaseAnnotation: release, workload.ReleaseNamespaceAnnotation: "shop"},
			Containers:  []applier.Container{{Name: "web", Image: "registry.invalid/web:" + image}},
			Rollout:     applier.Rollout{Phase: phase, Message: "0/3 nodes are available"},
		}
	}
	good := release.Report{State: release.InSync}
	for name, tt := range map[string]struct {
		report release.Report
		synced string
		want   string // of the events of the automation
		files  string // tag in the file afterwards
		runs   []applier.Workload
	}{
		"it fails":   {release.Report{State: release.Failed, Reason: "the upgrade failed", Err: errors.New("boom")}, "", updates.EventRolloutFailed, "1.0.0", nil},
		"it is good": {good, "x", updates.EventRolledOut, "1.1.0", nil},
		"it waits":   {release.Report{State: release.Locked, Action: release.ActWait}, "", updates.EventCommitted, "1.1.0", nil},
		// Without wait, Helm tells of success before anything runs.
		"what it made is good":                  {good, "x", updates.EventRolledOut, "1.1.0", []applier.Workload{part("front", "1.1.0", applier.RolloutReady)}},
		"what it made does not run":             {good, "x", updates.EventRolloutFailed, "1.0.0", []applier.Workload{part("front", "1.1.0", applier.RolloutUpdating)}},
		"what it made fails":                    {good, "x", updates.EventRolloutFailed, "1.0.0", []applier.Workload{part("front", "1.1.0", applier.RolloutFailed)}},
		"what it made with another image fails": {good, "x", updates.EventRolledOut, "1.1.0", []applier.Workload{part("front", "0.9.0", applier.RolloutFailed)}},
		"what another release made fails":       {good, "x", updates.EventRolledOut, "1.1.0", []applier.Workload{part("other", "1.1.0", applier.RolloutFailed)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hcl := strings.Replace(releasing, "release = release.web }", "\n  release = release.web\n  health {\n    revert = true\n    timeout = \"1m\"\n  }\n}", 1)
				f := newReleases(t, hcl, map[string]string{"values/base.yaml": "image: registry.invalid/web:1.0.0\n", "values/prod.yaml": ""})
				f.settle("web", "1.0.0", "1.1.0")
				f.wantCommits(1)
				f.e.mu.Lock()
				n := f.e.nodes["release.web"]
				n.release.report, n.release.synced = &tt.report, tt.synced
				n.release.tried = map[string]string{"source.memory.shop": f.e.nodes["source.memory.shop"].source.revision.ID}
				f.e.mu.Unlock()
				f.target(kube).Run(tt.runs...)
				if sleepFor(t, 2*gateInterval); tt.want == updates.EventRolloutFailed {
					sleepFor(t, time.Minute)
				}
				if text := f.repo.read("values/base.yaml"); text != "image: registry.invalid/web:"+tt.files+"\n" {
					t.Errorf("base: %s", text)
				}
				if got := eventReasons(t, f.e, automation); !slices.Contains(got, tt.want) {
					t.Errorf("events %q lack %s", got, tt.want)
				}
			})
		})
	}
}

// TestImagesInTheConfiguration has the images of a block updated in a copy of the
// configuration, which is brought back by hand.
func TestImagesInTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := `
sluice {
  repository {
    source = source.memory.shop
    path   = "clusters/prod"
  }
}
locals { image = "registry.invalid/web:1.0.0" }
source "memory" "shop" { url = "mem://shop" }
release "web" {
  chart { repository = "oci://registry.invalid/charts/web" }
  values = {
    image   = "registry.invalid/web:1.0.0" # of the chart
    sidecar = { image = { repository = "registry.invalid/web", tag = "1.0.0" } }
    local   = { image = local.image }
  }
}
image_policy "one" {
  policy    = "semver:^1"
  workloads = ["default:release/*"]
}
image_automation "shop" { release = release.web }
`
		const file = "clusters/prod/sluice.hcl"
		f := newReleases(t, hcl, map[string]string{file: hcl})
		f.settle("web", "1.0.0", "1.1.0")
		f.wantCommits(1)
		written := strings.NewReplacer(`"registry.invalid/web:1.0.0" #`, `"registry.invalid/web:1.1.0" #`, `tag = "1.0.0"`, `tag = "1.1.0"`).Replace(hcl)
		if diff := cmp.Diff(written, f.repo.read(file)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}

		f.blocked(map[string]string{
			"chart-image": "it is updated when that is", "sidecar": "it is updated when that is", "local": "it is updated when that is",
		})
		f.settle("web", "1.0.0", "1.1.0", "1.2.0")
		f.wantCommits(1)

		f.e.mu.Lock()
		f.e.nodes["release.web"].release.tried = map[string]string{}
		f.e.mu.Unlock()
		if !(site{f.e}).Applied("release.web", "rev2", 0) {
			t.Error("the release waits for a revision of a source that it does not read")
		}

		f.configure(written)
		if _, err := f.e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, 2*firstStep)
		f.wantCommits(2)
		if text := f.repo.read(file); strings.Count(text, "1.2.0") != 2 || strings.Count(text, "1.0.0") != 1 {
			t.Errorf("written:\n%s", text)
		}
	})
}

// blocked checks why the images of the only release are not updated.
func (f *fleet) blocked(want map[string]string) {
	f.t.Helper()
	whys, err := f.e.WhyImages(f.t.Context(), updates.WhyImagesRequest{Workload: "default:release/web"})
	if err != nil {
		f.t.Fatal(err)
	}
	for _, w := range whys {
		if !strings.Contains(w.Blocked, want[w.Container]) {
			f.t.Errorf("%s is blocked by %q, want %q", w.Container, w.Blocked, want[w.Container])
		}
	}
}
