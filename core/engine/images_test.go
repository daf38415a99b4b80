package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/host"
)

// deployment is a workload of one container called main.
func deployment(namespace, name, image string, annotations map[string]string, secrets ...string) applier.Workload {
	return applier.Workload{
		Ref:         applier.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: namespace, Name: name},
		Containers:  []applier.Container{{Name: "setup", Image: "busybox:1", Init: true}, {Name: "main", Image: image}},
		PullSecrets: secrets, Annotations: annotations, Rollout: applier.Rollout{Phase: applier.RolloutReady, Desired: 1, Ready: 1},
	}
}

// startRunning starts a daemon whose only cluster runs these.
func (w *world) startRunning(hcl string, running ...applier.Workload) *Engine {
	w.runs = true
	w.target("applier.kubernetes.default").Run(running...)
	e := w.start(hcl)
	synctest.Wait()
	return e
}

func TestWorkloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newWorld(t).startRunning(shop,
			deployment("shop", "web", "quay.io/acme/web:1", map[string]string{
				"fluxcd.io/automated": "true", "fluxcd.io/tag.main": "semver:~nonsense", "fluxcd.io/tag.gone": "glob:*",
			}),
			deployment("ops", "cron", "no image", map[string]string{"fluxcd.io/locked": "true", "sluice.dev/ignore": "true"}),
		)
		answer, err := e.Workloads(t.Context(), workload.Request{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range answer.Workloads {
			got = append(got, w.ID+" "+strings.Join(w.Policies, ",")+" "+w.Containers[0].Name)
		}
		if diff := cmp.Diff([]string{"ops:deployment/cron ignore,locked main", "shop:deployment/web automated main"}, got); diff != "" {
			t.Errorf("workloads (-want +got):\n%s", diff)
		}
		for i, want := range [][]string{{"container main"}, {"container main: it takes no image", `"gone"`}} {
			warnings := strings.Join(answer.Workloads[i].Warnings, "\n")
			for _, text := range want {
				if !strings.Contains(warnings, text) {
					t.Errorf("%s: warnings %q lack %q", answer.Workloads[i].ID, warnings, text)
				}
			}
		}
		if only, err := e.Workloads(t.Context(), workload.Request{Namespace: "ops"}); err != nil || len(only.Workloads) != 1 {
			t.Errorf("of one namespace: %v, %v", only, err)
		}
		if _, err := e.Workloads(t.Context(), workload.Request{Applier: "applier.kubernetes.none"}); !errors.Is(err, refusal.ErrNotFound) {
			t.Errorf("of no applier: %v", err)
		}
	})
}

// TestReloadStartsScans: whoever turns scans on need not wait for an interval.
func TestReloadStartsScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		off := shop + "images { scan = \"none\" }\n"
		e := w.startRunning(off, deployment("shop", "web", "registry.invalid/web:1", nil))
		target := w.target("applier.kubernetes.default")
		sleepFor(t, 10*time.Minute)
		if got := target.Calls("Workloads"); got != 0 {
			t.Errorf("%d looks though nothing is scanned", got)
		}
		w.configure(shop)
		if _, err := e.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, discoverDelay+time.Second)
		if got := target.Calls("Workloads"); got != 1 {
			t.Errorf("%d looks soon after scans were turned on, want 1", got)
		}
	})
}

// TestDiscovery: what runs is looked at when the applier opens, soon after a
// sync has changed something, once for many, and at the interval.
func TestDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.startRunning(shop, deployment("shop", "web", "registry.invalid/web:1", nil))
		target := w.target("applier.kubernetes.default")
		sleepFor(t, discoverDelay+time.Second)
		// Two at the start if it is opened for the node and for the sync at once.
		start := target.Calls("Workloads")
		if start < 2 || start > 3 {
			t.Errorf("%d looks after the start and the first sync, want two or three", start)
		}
		for i := range 3 {
			w.repo("mem://shop").commit("a", fmt.Sprint("b", i))
			e.trigger("source.memory.shop", sched.Webhook)
			sleepFor(t, time.Second)
		}
		sleepFor(t, discoverDelay)
		if got := target.Calls("Workloads") - start; got < 1 || got > 2 {
			t.Errorf("%d looks after three syncs in a row, want one or two more", got)
		}
		before := target.Calls("Workloads")
		sleepFor(t, 6*time.Minute)
		if got := target.Calls("Workloads"); got != before+1 {
			t.Errorf("%d looks in an interval", got-before)
		}
	})
}

// The block for a host is the one that names most of it; brackets are no
// pattern.
func TestRegistryOfHost(t *testing.T) {
	im := &imaging{}
	im.registries.Store(&[]config.Registry{{Host: "*.example.com"}, {Host: "eu.example.com"}, {Host: "[::1]:5000"}, {Host: "docker.io"}})
	for host, want := range map[string]string{
		"us.example.com": "*.example.com", "eu.example.com": "eu.example.com", "a.b.example.com": "*.example.com",
		"[::1]:5000": "[::1]:5000", "index.docker.io": "docker.io", "example.com": "*", ":": "*",
	} {
		if got := im.registry(host).Host; got != want {
			t.Errorf("%s is of the block %q, want %q", host, got, want)
		}
	}
}

func TestManyAnnotations(t *testing.T) {
	annotations := map[string]string{}
	for n := range 5000 {
		annotations[fmt.Sprintf("sluice.dev/tag.c%d", n)] = "regexp:("
	}
	w := workload.New("applier.kubernetes.default", deployment("shop", "web", "nginx", annotations))
	if n := len(w.Warnings); n < 10 || n > 50 {
		t.Errorf("%d warnings", n)
	}
}

const withCredentials = shop + `
registry_credential "memory" "all" {
  match = ["*.example.com", "registry.example.com:5000"]
}
registry_credential "memory" "more" {}
`

func TestChainOfCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.passwords = map[string]string{
			"pull secrets of applier.kubernetes.default quay.example.com regcred": "1",
			"registry_credential.memory.all quay.example.com":                     "2",
			"registry_credential.memory.more quay.io":                             "3",
		}
		e := w.startRunning(withCredentials, deployment("shop", "web", "quay.example.com/acme/web:1", nil, "regcred"))
		tests := map[string]struct {
			req  CredentialRequest
			want string // provider
		}{
			"workload":           {CredentialRequest{Image: "quay.example.com/acme/web", Workload: "shop:deployment/web"}, "pull secrets of applier.kubernetes.default"},
			"its pull secret":    {CredentialRequest{Image: "quay.example.com/acme/web", Namespace: "shop", PullSecrets: []string{"regcred"}}, "pull secrets of applier.kubernetes.default"},
			"other pull secret":  {CredentialRequest{Image: "quay.example.com/acme/web", Namespace: "shop", PullSecrets: []string{"other"}}, "registry_credential.memory.all"},
			"daemon":             {CredentialRequest{Image: "quay.example.com/acme/web"}, "registry_credential.memory.all"},
			"without a match":    {CredentialRequest{Image: "quay.io/acme/web"}, "registry_credential.memory.more"},
			"nobody":             {CredentialRequest{Image: "nginx"}, ""},
			"workload elsewhere": {CredentialRequest{Image: "quay.io/acme/web", Workload: "shop:deployment/web"}, "registry_credential.memory.more"},
		}
		for name, tc := range tests {
			x, err := e.ExplainCredential(t.Context(), tc.req)
			if err != nil || x.Provider != tc.want || x.Anonymous != (tc.want == "") {
				t.Errorf("%s: %q, anonymous %v, %v; want %q", name, x.Provider, x.Anonymous, err, tc.want)
			}
		}
		for name, req := range map[string]CredentialRequest{
			"image": {Image: "Nginx"}, "workload": {Image: "nginx", Workload: "web"},
			"secret of no namespace":  {Image: "nginx", PullSecrets: []string{"regcred"}},
			"account of no namespace": {Image: "nginx", ServiceAccount: "default"},
			"workload and secret":     {Image: "nginx", Workload: "shop:deployment/web", Namespace: "shop", PullSecrets: []string{"regcred"}},
		} {
			if _, err := e.ExplainCredential(t.Context(), req); !errors.Is(err, refusal.ErrInvalid) {
				t.Errorf("wrong %s: %v", name, err)
			}
		}
		if _, err := e.ExplainCredential(t.Context(), CredentialRequest{Image: "nginx", Workload: "shop:deployment/none"}); !errors.Is(err, refusal.ErrNotFound) {
			t.Errorf("no such workload: %v", err)
		}
	})
}

// TestCredentialsOverReloads: what did not change goes on, what left the
// configuration answers no more.
func TestCredentialsOverReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.passwords["registry_credential.memory.more quay.io"] = "3"
		e := w.start(withCredentials)
		s := &services{engine: e, caller: pluginhost.Caller{Kind: "source"}}
		ask := host.CredentialRequest{Host: "quay.io", Repository: "acme/web"}
		if c, err := s.Credential(t.Context(), ask); err != nil || c.Password.Reveal() != "3" {
			t.Fatalf("%v, %v", c, err)
		}
		w.configure(withCredentials + "\n# a comment\n")
		if st, err := e.Reload(t.Context()); err != nil || !st.OK {
			t.Fatalf("%v, %v", st, err)
		}
		if c, err := s.Credential(t.Context(), ask); err != nil || c.Password.Reveal() != "3" {
			t.Errorf("%v, %v", c, err)
		}
		w.mu.Lock()
		opens := w.opens["registry_credential.memory.more"]
		w.mu.Unlock()
		if opens != 1 {
			t.Errorf("the instance was opened %d times", opens)
		}
		w.configure(shop)
		if st, err := e.Reload(t.Context()); err != nil || !st.OK {
			t.Fatalf("%v, %v", st, err)
		}
		if _, err := s.Credential(t.Context(), ask); !errors.Is(err, host.ErrAnonymous) {
			t.Errorf("after its block has gone: %v", err)
		}
		origins := func() (list []string) {
			for _, p := range e.Credentials() {
				list = append(list, p.Provider)
			}
			return list
		}
		if got := origins(); !slices.Equal(got, []string{"pull secrets of applier.kubernetes.default"}) {
			t.Errorf("providers: %v", got)
		}
	})
}

func TestWrongCredentialBlocks(t *testing.T) {
	for block, want := range map[string]string{
		`registry_credential "memory" "x" { match = ["https://quay.io"] }`: "Wrong pattern of registries",
		`registry_credential "kubernetes" "x" {}`:                          "Block without effect",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.configure(shop + block)
			e := w.engine()
			diags := e.Load(t.Context())
			if err := diags.Err(); err == nil || !strings.Contains(err.Error(), want) || diags[0].Subject == nil {
				t.Errorf("%s: %v", block, diags)
			}
			if err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestPatternsOfCredentials: what a pattern gets wrong is told where it stands.
func TestPatternsOfCredentials(t *testing.T) {
	at := func(column int) config.Pattern {
		return config.Pattern{Range: diag.Range{File: "main.hcl", Start: diag.Pos{Line: 1, Column: column}}}
	}
	block := func(typ, configuration string, patterns ...string) config.Credential {
		c := config.Credential{Block: config.Block{Address: "registry_credential." + typ + ".x", Type: typ}}
		c.Plugin.JSON = []byte(configuration)
		for i, text := range patterns {
			p := at(i)
			p.Text = text
			c.Match = append(c.Match, p)
		}
		return c
	}
	for name, tt := range map[string]struct {
		block    config.Credential
		severity diag.Severity
		want     string // summary; empty: nothing is wrong
		column   int
	}{
		"default":    {block: block("ecr", `{}`)},
		"its own":    {block: block("ecr", `{}`, "public.ecr.aws", "*.dkr.ecr.eu-west-1.amazonaws.com/team")},
		"elsewhere":  {block("ecr", `{}`, "public.ecr.aws", "quay.io"), diag.Warning, "Pattern without effect", 1},
		"its hosts":  {block: block("gcr", `{"hosts":["proxy.example.com"]}`, "proxy.example.com", "gcr.io")},
		"not its":    {block("gcr", `{"hosts":["proxy.example.com"]}`, "example.com"), diag.Warning, "Pattern without effect", 0},
		"everything": {block: block("acr", `{}`, "*")},
		"any type":   {block: block("exec", `{}`, "quay.io")},
		"no pattern": {block("exec", `{}`, "quay.io", "a b"), diag.Error, "Wrong pattern of registries", 1},
	} {
		l := checkCredentials(&config.Config{Credentials: []config.Credential{tt.block}})
		switch {
		case tt.want == "" && len(l) == 0:
		case tt.want == "" || len(l) != 1 || l[0].Summary != tt.want || l[0].Severity != tt.severity || l[0].Subject.Start.Column != tt.column:
			t.Errorf("%s: %v, want %q", name, l, tt.want)
		}
	}
}
