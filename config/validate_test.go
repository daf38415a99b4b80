package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// judges are plugins that dislike every configuration with a token.
type judges struct {
	config.SchemaSource
	asked *[]string
	err   error
}

func (j judges) Validate(kind, typ string, configs []json.RawMessage) ([]diag.List, error) {
	*j.asked = append(*j.asked, fmt.Sprintf("%s/%s %d", kind, typ, len(configs)))
	verdicts := make([]diag.List, len(configs))
	for i, c := range configs {
		if strings.Contains(string(c), `"token"`) {
			d := diag.Errorf(diag.Attr("token"), "the token is %s", c)
			d.Detail = "Choose another."
			verdicts[i] = diag.List{d, diag.Warningf(diag.Attr("ssh", "timeout"), "it takes long")}
		}
	}
	return verdicts, j.err
}

const judged = `source "git" "good" { url = "https://git.example.com/shop.git" }
source "git" "bad" {
  url   = "https://ann:hunter22@git.example.com/shop.git"
  token = "s3cret-token"
}
source "git" "broken" { url = 7 }
sync "good" { source = source.git.good }
sync "bad" { source = source.git.bad }
sync "broken" { source = source.git.broken }
`

func TestPluginsJudgeWhatFitsTheirSchemas(t *testing.T) {
	var asked []string
	o := options()
	o.Schemas = func(config.Settings, []config.Plugin) config.SchemaSource {
		return judges{SchemaSource: installed(config.Settings{}, nil), asked: &asked}
	}
	cfg, diags := config.Load([]string{write(t, judged)}, o)
	if diff := cmp.Diff([]string{"source/git 2", "applier/kubernetes 1"}, asked); diff != "" {
		t.Errorf("what the plugins were asked (-want +got):\n%s", diff)
	}
	var b bytes.Buffer
	config.Render(&b, diags, cfg.Files, false)
	for _, want := range []string{":4:11: error: the token is", "Choose another.", ":2:1: warning: it takes long", ":6:31: error"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "s3cret-token") {
		t.Errorf("shows the token:\n%s", b.String())
	}
	if text := string(cfg.Files[firstKey(cfg.Files)]); strings.Contains(text, "hunter22") || !strings.Contains(text, "ann:********@git") {
		t.Errorf("the password in the URL is not masked:\n%s", text)
	}
}

func TestPluginThatCannotJudge(t *testing.T) {
	var asked []string
	o := options()
	o.Schemas = func(config.Settings, []config.Plugin) config.SchemaSource {
		return judges{SchemaSource: installed(config.Settings{}, nil), asked: &asked, err: errors.New("plugin git: exit status 2")}
	}
	_, diags := config.Load([]string{write(t, `source "git" "a" { url = "https://h/r.git" }
sync "a" { source = source.git.a }
`)}, o)
	if diags.HasErrors() || len(diags) != 2 || !strings.Contains(diags[0].Error(), "Not checked by its plugin: Plugin git: exit status 2.") {
		t.Errorf("got %v", diags)
	}
}
