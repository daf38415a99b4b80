package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestExamples runs each example as its README says, on a cluster of its own,
// because their objects have fixed names.
func TestExamples(t *testing.T) {
	w := newWorld(t)
	w.ownCluster()
	t.Run("git-to-cluster", func(t *testing.T) {
		w := w.in(t)
		r := w.exampleRepository("deploy", "git-to-cluster/manifests")
		args := []string{"--config", example("git-to-cluster/sluice.hcl"), "--var", "repository=" + r.url, "--data-dir", filepath.Join(w.dir, "one")}
		if o := w.run("sluice", append([]string{"plan"}, args...)...); o.code != 2 {
			t.Errorf("plan: exit %d, want 2\n%s%s", o.code, o.out, o.errOut)
		}
		w.must("sluice", append([]string{"apply"}, args...)...)
		if !w.exists("shop", "deployment/web") {
			t.Error("the deployment is missing")
		}
		w.must("kubectl", "delete", "namespace", "shop")
	})
	t.Run("two-repositories", func(t *testing.T) {
		w := w.in(t)
		w.exampleRepository("platform", "two-repositories/platform")
		w.exampleRepository("shop", "two-repositories/shop")
		args := []string{"--config", example("two-repositories/sluice.hcl"), "--var", "git=" + w.gitURL, "--var", "data_dir=" + filepath.Join(w.dir, "two")}
		w.must("sluice", append([]string{"apply"}, args...)...)
		for _, object := range []string{"deployment/worker", "resourcequota/shop", "deployment/board"} {
			if !w.exists("shop", object) {
				t.Errorf("there is no %s", object)
			}
		}
	})
	t.Run("images", func(t *testing.T) { w.in(t).imagesExample() })
	t.Run("helm", func(t *testing.T) {
		w := w.in(t)
		w.must("kubectl", "delete", "namespace", "shop", "--ignore-not-found")
		w.helmExample()
	})
	t.Run("plugin-dir", func(t *testing.T) {
		w := w.in(t)
		plugins := filepath.Join(w.dir, "plugins")
		if err := os.CopyFS(plugins, os.DirFS(w.bin)); err != nil {
			t.Fatal(err)
		}
		build := w.command(t.Context(), "go", "build", "-o", filepath.Join(plugins, "sluice-plugin-dir"), ".")
		build.Dir, build.Env = example("plugin-dir"), append(os.Environ(), "GOWORK=off")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build the plugin: %v\n%s", err, out)
		}
		args := []string{"--config", example("plugin-dir/sluice.hcl"), "--plugin-dir", plugins, "--data-dir", filepath.Join(w.dir, "three")}
		w.must("sluice", append([]string{"apply"}, args...)...)
		if !w.exists("default", "configmap/hello") {
			t.Error("the object is missing")
		}
	})
}

// TestPluginCheck runs the conformance suites against our own plugins, as a
// third party would against theirs.
func TestPluginCheck(t *testing.T) {
	w := newWorld(t)
	r := w.repo("app", map[string]string{"a.yaml": configMap("", "a", "1")})
	check := func(args ...string) {
		t.Helper()
		o := w.run("sluice", append([]string{"plugin", "check"}, args...)...)
		if o.code != 0 || !strings.Contains(o.out, "ok") {
			t.Errorf("exit %d\n%s%s", o.code, o.out, o.errOut)
		}
	}
	check(filepath.Join(w.bin, "sluice-plugin-git"), "--instance", `{"url": "`+r.url+`"}`)

	w.must("kubectl", "create", "namespace", w.prefix)
	samples := filepath.Join(w.dir, "samples.jsonl")
	text := w.must("sluice", "manifest", "render", r.dir, "-o", "jsonl")
	if err := os.WriteFile(samples, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	check(filepath.Join(w.bin, "sluice-plugin-kubernetes"), "--type", "applier/kubernetes", "--instance", "{}", "--objects", samples, "--env", "KUBECONFIG="+os.Getenv("SLUICE_TEST_KUBECONFIG"))

	logins := filepath.Join(w.dir, "docker.json")
	if err := os.WriteFile(logins, []byte(`{"auths": {"registry.example.com": {"username": "ann", "password": "s3cret"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	check(filepath.Join(w.bin, "sluice-plugin-docker"), "--type", "registry_credential/docker_config",
		"--instance", `{"path": "`+logins+`"}`, "--image", "registry.example.com/acme/web")
}

// imagesExample runs the daemon, with a registry that asks for a password.
func (w *world) imagesExample() {
	config := filepath.Join(w.dir, "docker.json")
	auths := map[string]any{"registry.example.com": map[string]string{"username": "ann", "password": "s3cret"}}
	if err := os.WriteFile(config, asJSON(map[string]any{"auths": auths}), 0o600); err != nil {
		w.t.Fatal(err)
	}
	reg := w.registry("-auth", "basic", "-user", "ann:s3cret")
	reg.push("storefront/web", 0, "1.4.0", "1.4.1", "1.4.2")
	reg.push("storefront/report", 0, "main-4f2a1c")
	r := w.exampleRepository("storefront", "images/manifests")
	w.env = append(w.env, "SLUICE_VAR_repository="+r.url, "SLUICE_VAR_mirror=http://"+reg.Address,
		"SLUICE_VAR_docker_config="+config, "SLUICE_VAR_data_dir="+filepath.Join(w.dir, "images"))
	s := &site{world: w, reg: reg, config: example("images/sluice.hcl")}
	s.start()
	s.sluice("sync", "--wait")
	if got := s.images("-n", "storefront", "deployment/web", "--container", "web"); len(got) != 1 || !slices.Equal(got[0].tags(), []string{"1.4.2", "1.4.1", "1.4.0"}) {
		w.t.Errorf("images of web: %+v", got)
	}
	if got := s.images("-n", "storefront", "cronjob/report"); len(got) != 1 || got[0].Error != "" {
		w.t.Errorf("images of report: %+v", got)
	}
	explained := s.sluice("credentials", "explain", "registry.example.com/storefront/web", "-w", "storefront:deployment/web")
	if !strings.Contains(explained, "registry_credential.docker_config.own") || !strings.Contains(explained, "ann") {
		w.t.Errorf("explain does not name who answers:\n%s", explained)
	}
	s.releaseExample(r)
}

// releaseExample does what the README does with the example of images: automation
// holds back what is new, a person does not.
func (s *site) releaseExample(r *repo) {
	w := s.world
	w.eventually(time.Minute, "automation waits for the soak time", func() bool {
		return strings.Contains(s.sluice("images", "why", "-n", "storefront", "deployment/web", "--container", "web"), "soaks until")
	})
	plan := s.sluice("release", "-n", "storefront", "deployment/web", "--update-all-images", "--dry-run")
	if !strings.Contains(plan, "web: registry.example.com/storefront/web:1.4.1 -> 1.4.2") {
		w.t.Errorf("the plan of a release:\n%s", plan)
	}
	released := s.sluice("release", "-n", "storefront", "deployment/web", "--update-all-images", "--user", "Ann <ann@example.com>", "--watch")
	for _, want := range []string{"Commit pushed:\t", "Commit applied:\t", "storefront/web:1.4.2  ready"} {
		if !strings.Contains(released, want) {
			w.t.Errorf("no %q in what a release shows:\n%s", want, released)
		}
	}
	r.git("pull", "-q", "origin", "main")
	if got := r.git("log", "-1", "--format=%an %s", "--shortstat"); !strings.HasPrefix(got, "Ann ") || !strings.Contains(got, "1 file changed, 1 insertion(+), 1 deletion(-)") {
		w.t.Errorf("the commit of a release: %s", got)
	}
	s.sluice("lock", "-n", "storefront", "deployment/web", "-m", "stock-taking")
	if o := s.try("release", "-n", "storefront", "deployment/web", "--update-all-images", "-v"); o.code != 0 || !strings.Contains(o.out, "locked") {
		w.t.Errorf("a release of what is locked: %+v", o)
	}
	if jobs := s.sluice("jobs"); strings.Count(jobs, "Ann <ann@example.com>") != 1 || !strings.Contains(jobs, "stock-taking") {
		w.t.Errorf("jobs:\n%s", jobs)
	}
}

func example(path string) string {
	abs, err := filepath.Abs(filepath.Join("..", path))
	if err != nil {
		panic(err) // the working directory is gone
	}
	return abs
}

// in is the world for a subtest.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.t = t
	return &sub
}

// exampleRepository makes a repository of an example's files.
func (w *world) exampleRepository(name, path string) *repo {
	w.t.Helper()
	r := w.repo(name, nil)
	if err := os.CopyFS(r.dir, os.DirFS(example(path))); err != nil {
		w.t.Fatal(err)
	}
	r.commit(nil)
	return r
}
