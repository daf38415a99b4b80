package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/engine"
)

const (
	ofProd = "pull secrets of applier.kubernetes.prod"
	notIts = "its match does not cover the image"
)

func TestWriteExplanation(t *testing.T) {
	consumer := credentials.Consumer{Applier: "applier.kubernetes.prod", Namespace: "shop"}
	for name, tt := range map[string]struct {
		x    credentials.Explanation
		want string
	}{
		"anonymous": {
			credentials.Explanation{
				Host: "quay.io", Repository: "acme/web", Consumer: consumer, Anonymous: true, Advice: "Give it one.",
				Chain: []credentials.Step{
					{Provider: ofProd, Outcome: credentials.Anonymous, Reason: "secret shop/no\x1bpe does not exist"},
					{Provider: "built-in ecr", Outcome: credentials.NotAsked, Reason: notIts},
					{Provider: "built-in gcr", Outcome: credentials.NotAsked, Reason: notIts},
				},
			}, `
quay.io/acme/web for the namespace shop of applier.kubernetes.prod: anonymous, nobody has a credential
Give it one.

  PROVIDER                                 OUTCOME    USER  SCOPE  EXPIRES
  pull secrets of applier.kubernetes.prod  anonymous                
  built-in ecr                             not asked                
  built-in gcr                             not asked                

pull secrets of applier.kubernetes.prod: secret shop/no\x1bpe does not exist
built-in ecr, built-in gcr: its match does not cover the image
`,
		},
		"failed": {
			credentials.Explanation{
				Host: "quay.io", Repository: "acme/web", Error: "no credential for quay.io/acme/web: registry_credential.exec.x: no such program",
				Chain: []credentials.Step{{Provider: "registry_credential.exec.x", Outcome: credentials.Failed, Error: "registry_credential.exec.x: no such program"}},
			}, `
quay.io/acme/web: no credential, see below

  PROVIDER                    OUTCOME  USER  SCOPE  EXPIRES
  registry_credential.exec.x  failed                

registry_credential.exec.x: no such program
`,
		},
		"answered": {
			credentials.Explanation{
				Host: "quay.io", Repository: "acme/web", ID: "registry_credential.exec.x, quay.io",
				Chain: []credentials.Step{{Provider: "registry_credential.exec.x", Outcome: credentials.Answered, Wins: true, Cached: true, Username: "robot", Scope: "registry"}},
			}, `
quay.io/acme/web: registry_credential.exec.x, quay.io

    PROVIDER                    OUTCOME            USER   SCOPE     EXPIRES
->  registry_credential.exec.x  answered (cached)  robot  registry  never
`,
		},
		"not asked": {
			credentials.Explanation{Host: "quay.io", Repository: "acme/web", Error: "the broker is closed"},
			"\nquay.io/acme/web: the broker is closed\n",
		},
	} {
		var b strings.Builder
		if err := writeExplanation(&b, tt.x); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lines(tt.want), lines("\n"+b.String())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// lines are those of text, without spaces at their ends.
func lines(text string) []string {
	all := strings.Split(text, "\n")
	for i := range all {
		all[i] = strings.TrimRight(all[i], " ")
	}
	return all
}

func TestWriteProviders(t *testing.T) {
	list := []credentials.ProviderStatus{
		{
			Provider: ofProd, Origin: credentials.PullSecrets, Applier: "applier.kubernetes.prod", Open: true, Counters: credentials.Counters{Requests: 2},
			Cached: []credentials.CachedStatus{
				{ID: "pull secrets a,b of shop/default (applier.kubernetes.prod), quay.io", Host: "quay.io", Username: "robot"},
				{ID: "pull secrets of ops/default (applier.kubernetes.prod), quay.io/acme/web", Username: "ops"},
			},
		},
		{Provider: "registry_credential.exec.x", Error: "registry_credential.exec.x: no such program", Counters: credentials.Counters{Requests: 1, Failures: 1}},
		{Provider: "registry_credential.exec.y", Match: []string{"a", "b"}, Counters: credentials.Counters{Requests: 1}, Cached: []credentials.CachedStatus{
			{ID: "registry_credential.exec.y, a", Username: "robot", Error: "registry_credential.exec.y: it is down"},
		}},
		{Provider: "built-in gcr", Match: []string{"gcr.io", "*.gcr.io", "*.pkg.dev"}},
		{Provider: "built-in acr", Open: true, Cached: []credentials.CachedStatus{{ID: "built-in acr", ExpiresAt: time.Unix(1, 0)}}},
	}
	const want = `
PROVIDER                                 FOR                 STATE         ASKED  FAILED  USER   EXPIRES  CREDENTIAL
pull secrets of applier.kubernetes.prod  *                   open          2      0       robot  never    a,b of shop/default, quay.io
                                                                                          ops    never    of ops/default, quay.io/acme/web
registry_credential.exec.x               *                   failing       1      1
registry_credential.exec.y               a, b                idle          1      0       robot  never    a
built-in gcr                             gcr.io, and 2 more  not used yet  0      0
built-in acr                             *                   open          0      0              now      for all of these

registry_credential.exec.x: no such program
registry_credential.exec.y: it is down
`
	var b strings.Builder
	if err := writeProviders(&b, list); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(lines(want), lines("\n"+b.String())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFlagsOfConsumers(t *testing.T) {
	for want, req := range map[string]engine.CredentialRequest{
		"":                                       {Namespace: "shop", ServiceAccount: "default", PullSecrets: []string{"a"}},
		"--pull-secret is in a namespace":        {PullSecrets: []string{"a"}},
		"--service-account is in a namespace":    {ServiceAccount: "a"},
		"--pull-secret does not go with --workl": {Namespace: "shop", Workload: "deployment/web", PullSecrets: []string{"a"}},
	} {
		if err := checkConsumer(req); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", req, err, want)
		}
	}
}
