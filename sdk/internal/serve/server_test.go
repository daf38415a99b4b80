package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/handshake"
	"github.com/sluice-gitops/sluice/sdk/internal/serve"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func talkerKind(typ string) sdk.Kind {
	return source.New(typ, openTalker, sdk.Doc("Talks."))
}

func TestNewRefusesBadDeclarations(t *testing.T) {
	type bad struct {
		A chan int `hcl:"a"`
	}
	badKind := source.New("bad", func(context.Context, bad, sdk.Env) (source.Source, error) { return nil, nil })
	tests := map[string]struct {
		p    serve.Plugin
		want string
	}{
		"no kinds":   {serve.Plugin{Name: "p"}, "offers no kinds"},
		"bad name":   {serve.Plugin{Name: "P!", Kinds: []sdk.Kind{talkerKind("t")}}, `the plugin's name "P!" is not valid`},
		"zero kind":  {serve.Plugin{Name: "p", Kinds: []sdk.Kind{{}}}, "a kind is the zero value"},
		"twice":      {serve.Plugin{Name: "p", Kinds: []sdk.Kind{talkerKind("t"), talkerKind("t")}}, "source/t is offered twice"},
		"bad type":   {serve.Plugin{Name: "p", Kinds: []sdk.Kind{talkerKind("a-b")}}, `the type "a-b" of a source is not valid`},
		"bad config": {serve.Plugin{Name: "p", Kinds: []sdk.Kind{badKind}}, "source/bad: serve_test.bad: a: the type chan int is not supported"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := serve.New(tc.p, serve.Options{Log: hclog.NewNullLogger()})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestMainForPeople(t *testing.T) {
	p := serve.Plugin{Name: "talker", Version: "1.2.3", Kinds: []sdk.Kind{talkerKind("talker")}}
	t.Setenv(handshake.CookieKey, "")

	var stdout, stderr bytes.Buffer
	if code := serve.Main(p, []string{"describe"}, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("describe exits with %d: %s", code, &stderr)
	}
	var d client.Description
	if err := json.Unmarshal(stdout.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	if d.Name != "talker" || d.Version != "1.2.3" || d.Kinds[0].Doc != "Talks." || len(d.Kinds[0].Schema.Attributes) != 1 {
		t.Errorf("description %+v", d)
	}

	stdout.Reset()
	if code := serve.Main(p, nil, nil, &stdout, &stderr); code != 1 || stdout.Len() > 0 {
		t.Errorf("run by hand: exit code %d, standard output %q", code, &stdout)
	}
	for _, part := range []string{"talker 1.2.3", "source/talker", "sluice-plugin-talker", "describe", "plugin check"} {
		if !strings.Contains(stderr.String(), part) {
			t.Errorf("the help lacks %q:\n%s", part, &stderr)
		}
	}

	stderr.Reset()
	if code := serve.Main(serve.Plugin{Name: "x"}, nil, nil, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "declared wrongly") {
		t.Errorf("a wrong declaration: exit code %d, %q", code, &stderr)
	}
}

// picky is a configuration with a rule that its schema cannot say.
type picky struct {
	Name string   `hcl:"name"`
	Tags []string `hcl:"tags,optional"`
}

func (p *picky) Validate() diag.List {
	if len(p.Tags) > 0 && p.Tags[0] == p.Name {
		d := diag.Errorf(diag.Attr("tags", 0), "the tag is the name")
		d.Detail = "Choose another."
		return diag.List{d, diag.Warningf(nil, "odd")}
	}
	return nil
}

func TestMainValidates(t *testing.T) {
	open := func(context.Context, picky, sdk.Env) (source.Source, error) { panic("nothing is to be opened") }
	p := serve.Plugin{Name: "picky", Version: "1.0.0", Kinds: []sdk.Kind{source.New("picky", open)}}
	t.Setenv(handshake.CookieKey, "")

	var stdout, stderr bytes.Buffer
	question := `{"kind": "source", "type": "picky", "configs": [{"name": "a", "tags": ["b"]}, {"name": "a", "tags": ["a"]}, {}, 7]}`
	if code := serve.Main(p, []string{"validate"}, strings.NewReader(question), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	var verdict client.Verdict
	if err := json.Unmarshal(stdout.Bytes(), &verdict); err != nil {
		t.Fatal(err)
	}
	got, err := verdict.Diagnostics()
	if err != nil || len(got) != 4 || len(got[0]) != 0 || !got[2].HasErrors() || !got[3].HasErrors() {
		t.Fatalf("verdict %+v, %v", got, err)
	}
	want := (&picky{Name: "a", Tags: []string{"a"}}).Validate()
	if diff := cmp.Diff(want, got[1]); diff != "" {
		t.Errorf("what Validate says (-want +got):\n%s", diff)
	}

	for _, question := range []string{"", "7", `{"kind": "source", "type": "no"}`} {
		stdout.Reset()
		if code := serve.Main(p, []string{"validate"}, strings.NewReader(question), &stdout, &stderr); code != 1 || stdout.Len() > 0 {
			t.Errorf("the question %q: exit code %d, standard output %q", question, code, &stdout)
		}
	}
}
