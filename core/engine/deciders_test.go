package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// marked puts a marker behind the image of what declared returns.
func marked(text, marker string) string {
	text = strings.Replace(text, "{name: main, image: ", "name: main\n          image: ", 1)
	return strings.Replace(text, "'}\n", "' # {\"$sluice\": \""+marker+"\"}\n", 1)
}

// TestEntriesAreOneByOne: entries of kustomizations that have a name in common
// are decided on, and written, each by itself.
func TestEntriesAreOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := automated + `
image_policy "a" {
  policy = "semver:^1"
  images = ["registry.invalid/a"]
}
image_policy "b" {
  policy = "semver:~2.0"
  images = ["registry.invalid/b"]
}
image_policy "any" { policy = "semver:*" }
`
		entry := func(newName, tag string) string {
			return fmt.Sprintf("images:\n- name: app\n  newName: registry.invalid/%s\n  newTag: %s # as it is\n", newName, tag)
		}
		entryWithMarker := func(tag string) string {
			return fmt.Sprintf("images:\n- name: app\n  newName: registry.invalid/a # {\"$sluice\": \"any:name\"}\n  newTag: %s # {\"$sluice\": \"any:tag\"}\n", tag)
		}
		flux := func(tag string) string {
			return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: f" + tag + ", namespace: x}\nspec:\n  images:\n  - name: app\n    newName: registry.invalid/a\n    newTag: " + tag + "\n"
		}
		f := newFleet(t, hcl, map[string]string{
			"a/kustomization.yaml": entry("a", "1.0.0"), "b/kustomization.yaml": entry("b", "2.0.0"), "c/kustomization.yaml": entry("c", "1.0.0"),
			"marked/kustomization.yaml": entryWithMarker("1.0.0"), "pinned/kustomization.yaml": entry("a", "0.9.0"), "flux.yaml": flux("1.0.0") + "---\n" + flux("2.0.0"),
		})
		f.registry("a", "0.9.0", "1.0.0", "1.1.0", "2.0.0")
		f.registry("b", "1.1.0", "2.0.0", "2.0.1", "2.1.0")
		f.look()
		for file, want := range map[string]string{
			"a/kustomization.yaml": entry("a", "1.1.0"), "b/kustomization.yaml": entry("b", "2.0.1"), "c/kustomization.yaml": entry("c", "1.0.0"),
			"marked/kustomization.yaml": entryWithMarker("2.0.0"), "pinned/kustomization.yaml": entry("a", "1.1.0"), "flux.yaml": flux("1.1.0") + "---\n" + flux("2.0.0"),
		} {
			want = strings.Replace(want, "name: f1.1.0", "name: f1.0.0", 1)
			if got := f.repo.read(file); got != want {
				t.Errorf("%s:\n%s", file, got)
			}
		}
		n := len(f.repo.written())
		sleepFor(t, 2*time.Hour)
		f.wantCommits(n)
		ids := ""
		f.e.mu.Lock()
		for _, r := range f.e.nodes[automation].automation.last.Results {
			ids += r.ID + "\n"
		}
		f.e.mu.Unlock()
		for _, want := range []string{"kustomize:a/kustomization.yaml#app\n", "kustomize:b/kustomization.yaml#app\n", "kustomize:flux.yaml#app\n", "kustomize:flux.yaml#app#2\n"} {
			if strings.Count(ids, want) != 1 {
				t.Errorf("%q is not once in\n%s", want, ids)
			}
		}
	})
}

// TestMarkersObeySync: a marker stands for no policy that is for another sync.
func TestMarkersObeySync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hcl := automated + `
source "memory" "ops" { url = "mem://ops" }
sync "ops" { source = source.memory.ops }
image_policy "ops" {
  sync   = sync.ops
  policy = "semver:*"
  images = ["registry.invalid/secret"]
}
image_policy "own" {
  sync   = sync.shop
  policy = "semver:*"
  images = ["registry.invalid/secret"]
}
`
		f := newFleet(t, hcl, map[string]string{
			"a.yaml": "a: registry.invalid/secret:1.0.0 # {\"$sluice\": \"ops\"}\nb: registry.invalid/secret:1.0.0 # {\"$sluice\": \"own\"}\nc: registry.invalid/secret:1.0.0 # {\"$imagepolicy\": \"flux-system:nobody\"}\n",
		})
		f.registry("secret", "1.0.0", "2.0.0")
		sleepFor(t, time.Minute)
		want := "a: registry.invalid/secret:1.0.0 # {\"$sluice\": \"ops\"}\nb: registry.invalid/secret:2.0.0 # {\"$sluice\": \"own\"}\nc: registry.invalid/secret:1.0.0 # {\"$imagepolicy\": \"flux-system:nobody\"}\n"
		if got := f.repo.read("a.yaml"); got != want {
			t.Errorf("%s", got)
		}
		f.wantProblem("a.yaml", 1, "image_policy.ops, which is for sync.ops")
		f.wantProblem("a.yaml", 3, `"flux-system:nobody"`)
	})
}

// wantProblem wants a problem of the automation at a place.
func (f *fleet) wantProblem(file string, line int, text string) {
	f.t.Helper()
	f.e.mu.Lock()
	defer f.e.mu.Unlock()
	n := f.e.nodes[automation]
	for _, p := range n.view.Problems {
		if p.File == file && p.Line == line && strings.Contains(p.String(), text) {
			return
		}
	}
	f.t.Errorf("no problem at %s:%d says %q: %v", file, line, text, n.view.Problems)
}

// TestOneDecider: a container at which a marker stands is not decided on twice.
func TestOneDecider(t *testing.T) {
	hcl := automated + `
image_policy "marked" {
  policy          = "semver:~1.0"
  images          = ["registry.invalid/web"]
  workloads       = ["other:*"]
  allow_downgrade = true
}
image_policy "all" {
  policy    = "semver:^1"
  workloads = ["shop:deployment/covered"]
}
`
	web := func(name string, annotations ...string) string {
		return marked(declared("shop", name, "registry.invalid/web:1.0.0", annotations...), "marked")
	}
	begin := func(t *testing.T, files map[string]string) *fleet {
		f := newFleet(t, hcl, files)
		f.registry("web", "1.0.0", "1.0.1", "1.1.0", "2.0.0")
		sleepFor(t, 10*time.Minute)
		return f
	}
	t.Run("a block that covers it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t, map[string]string{"web.yaml": web("covered"), "plain.yaml": web("plain")})
			f.wantCommits(1)
			f.wantImage("web.yaml", "registry.invalid/web:1.0.1")
			f.wantImage("plain.yaml", "registry.invalid/web:1.0.1")
		})
	})
	t.Run("annotations that agree", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t, map[string]string{"web.yaml": web("web", "fluxcd.io/automated=true")})
			f.wantCommits(1)
			f.wantImage("web.yaml", "registry.invalid/web:1.0.1")
		})
	})
	t.Run("annotations that do not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t, map[string]string{"web.yaml": web("web", yes...)})
			f.wantCommits(0)
			why, err := f.e.WhyImages(t.Context(), updates.WhyImagesRequest{Workload: "shop:deployment/web"})
			if err != nil || len(why) != 1 || !strings.Contains(why[0].Blocked, "a marker decides on it, by image_policy.marked; nothing is followed: ") {
				t.Errorf("%+v, %v", why, err)
			}
			f.wantProblem("web.yaml", 14, "shop:deployment/web at web.yaml:1 ")
			if got := eventReasons(t, f.e, automation); !slices.Contains(got, updates.EventNotDecided) {
				t.Errorf("events %q", got)
			}
		})
	})
	t.Run("two markers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t, map[string]string{"web.yaml": strings.Replace(web("web"), "\"marked\"}", "\"marked\"} {\"$sluice\": \"all\"}", 1)})
			f.wantCommits(0)
			f.wantProblem("web.yaml", 11, "image_policy.all")
		})
	})
	t.Run("locked", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t, map[string]string{"web.yaml": web("web", "fluxcd.io/locked=true")})
			f.wantCommits(0)
			f.repo.put("web.yaml", web("web"))
			f.e.trigger("source.memory.shop", 0)
			sleepFor(t, time.Minute)
			f.wantCommits(1)
		})
	})
}

// TestBrake: whoever else writes an image back, automation does not answer each
// time.
func TestBrake(t *testing.T) {
	begin := func(t *testing.T, hcl string) *fleet {
		f := newFleet(t, hcl, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.registry("web", "1.0.0", "1.0.1", "1.1.0")
		f.wantCommits(1)
		return f
	}
	t.Run("another daemon", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t, automated)
			back := func() {
				f.repo.put("web.yaml", declared("shop", "web", "registry.invalid/web:1.0.1", yes...))
				f.e.trigger("source.memory.shop", 0)
				sleepFor(t, time.Minute)
			}
			for range 5 {
				back()
			}
			f.wantCommits(1)
			expect(t, f.e, automation, Ready, "1 held back")
			if n := strings.Count(strings.Join(eventReasons(t, f.e, automation), " "), "update_held"); n != 1 {
				t.Errorf("%d events", n)
			}
			why, err := f.e.WhyImages(t.Context(), updates.WhyImagesRequest{Workload: "shop:deployment/web"})
			if err != nil || len(why) != 1 || !strings.Contains(why[0].Blocked, "registry.invalid/web:1.1.0 was written") {
				t.Errorf("%+v, %v", why, err)
			}
			f.restart(nil)
			sleepFor(t, 30*time.Minute)
			f.wantCommits(1)
			f.registry("web", "1.0.0", "1.0.1", "1.1.0", "1.2.0") // a new one is none that was written
			f.wantCommits(2)
			back()
			f.wantCommits(2)
			sleepFor(t, 2*time.Hour)
			f.wantCommits(3)
		})
	})
	t.Run("a person lifts the quarantine", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := begin(t, shop+"image_automation \"shop\" {\n sync = sync.shop\n health {\n  timeout = \"10m\"\n  revert = true\n }\n}\n")
			f.rolledOut(func(w *applier.Workload) { w.Rollout = applier.Rollout{Phase: applier.RolloutFailed, Desired: 1} })
			sleepFor(t, time.Minute)
			f.rolledOut(nil)
			f.wantCommits(3) // there, back, and to 1.0.1, which nobody has written yet
			if _, err := f.e.Unquarantine(t.Context(), updates.UnquarantineRequest{Image: "registry.invalid/web:1.1.0"}); err != nil {
				t.Fatal(err)
			}
			sleepFor(t, time.Minute)
			f.wantCommits(4)
			f.wantImage("web.yaml", "registry.invalid/web:1.1.0")
		})
	})
	t.Run("two syncs of one file", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			hcl := automated + `
sync "twin" {
  source  = source.memory.shop
  suspend = true
}
image_automation "twin" { sync = sync.twin }
image_policy "shop" {
  sync      = sync.shop
  policy    = "semver:^1"
  workloads = ["shop:*"]
}
image_policy "twin" {
  sync            = sync.twin
  policy          = "semver:~1.0"
  workloads       = ["shop:*"]
  allow_downgrade = true
}
`
			f := newFleet(t, hcl, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0")})
			f.rolledOut(func(w *applier.Workload) { w.Owner = "" })
			f.registry("web", "1.0.0", "1.0.1", "1.1.0")
			sleepFor(t, 50*time.Minute)
			if n := len(f.repo.written()); n == 0 || n > 4 {
				t.Errorf("%d commits: %q", n, f.repo.written())
			}
		})
	})
}
