package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/engine/mirror"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestProblemOfMirroredSourceNamesBothURLs(t *testing.T) {
	s := &sourceNode{original: "https://git.example.com/shop", mirror: "oci://mirror.internal/shop"}
	err := s.named(config.PluginConfig{}, diag.List{diag.Errorf(diag.Attr("url"), "of no known scheme")}.Err())
	const want = "oci://mirror.internal/shop stands in for https://git.example.com/shop"
	if !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
	if problems := problemsOf(err); len(problems) != 1 || problems[0].Detail != want {
		t.Errorf("%+v, want one that says %q", problems, want)
	}
}

func TestMirroredSourceLeavesItsCredentialsBehind(t *testing.T) {
	dir := t.TempDir()
	e := &Engine{dataDir: dir}
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
				"tls": map[string]any{"ca_file": "an authority", "cert_file": "a certificate", "key_file": "a key"},
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.mirror.Prefix = "ssh://git@git.example.com/org"
			p, from, to := e.mirrored(mirror.New([]config.Mirror{c.mirror}), config.PluginConfig{JSON: json.RawMessage(original)})
			if from == "" || to != c.want["url"] {
				t.Errorf("%s stands in for %s", to, from)
			}
			var got map[string]any
			if err := json.Unmarshal(p.JSON, &got); err != nil {
				t.Fatal(err)
			}
			tls, _ := got["tls"].(map[string]any)
			for name, path := range tls {
				tls[name] = readPrivate(t, filepath.Join(dir, "certificates"), path.(string))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// readPrivate reads a file of dir that nobody else may read.
func readPrivate(t *testing.T, dir, path string) string {
	t.Helper()
	if !strings.HasPrefix(path, dir+string(filepath.Separator)) {
		t.Errorf("%s is not in %s", path, dir)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
