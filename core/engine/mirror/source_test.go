package mirror_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/engine/mirror"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestMirroredSourceLeavesItsCredentialsBehind(t *testing.T) {
	const original = `{"url":"git@git.example.com:org/charts","branch":"main","auth":{"password":"x"},"ssh":{"key":"secret"},"tls":{"cert_file":"/client.pem"}}`
	cases := map[string]struct {
		mirror config.Mirror
		want   map[string]any
	}{
		"of another scheme": {
			config.Mirror{To: "https://mirror.internal"},
			map[string]any{"url": "https://mirror.internal/charts", "branch": "main", "auth": nil, "ssh": nil, "tls": nil},
		},
		"over ssh": {
			config.Mirror{To: "ssh://git@mirror.internal/org", Access: config.Access{CA: "an authority"}},
			map[string]any{"url": "ssh://git@mirror.internal/org/charts", "branch": "main", "auth": nil, "ssh": map[string]any{"key": "secret"}, "tls": nil},
		},
		"with certificates": {
			config.Mirror{To: "https://mirror.internal", Access: config.Access{
				Username: "me", Password: secret.New("pass"), CA: "an authority", Cert: "a certificate", Key: secret.New("a key"),
			}},
			map[string]any{
				"url": "https://mirror.internal/charts", "branch": "main", "ssh": nil, "auth": map[string]any{"username": "me", "password": "pass"},
				"tls": map[string]any{"ca_file": "file of an authority", "cert_file": "file of a certificate", "key_file": "file of a key"},
			},
		},
	}
	file := func(text string) string { return "file of " + text }
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.mirror.Prefix = "ssh://git@git.example.com/org"
			p, from, to := mirror.New([]config.Mirror{c.mirror}).Source(config.PluginConfig{JSON: json.RawMessage(original)}, file)
			if from == "" || to != c.want["url"] {
				t.Errorf("%s stands in for %s", to, from)
			}
			var got map[string]any
			if err := json.Unmarshal(p.JSON, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
