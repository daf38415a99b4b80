package schema_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type config struct {
	URL     string            `hcl:"url" format:"url" doc:"Where it is | lives."`
	Depth   int               `hcl:"depth,optional"`
	Ratio   float32           `hcl:"ratio" default:"0.5"`
	Verbose bool              `hcl:"verbose" default:"true"`
	Poll    time.Duration     `hcl:"poll" default:"1m"`
	Token   secret.Secret     `hcl:"token,optional"`
	Limit   int64             `hcl:"limit" format:"bytes" default:"64MiB"`
	Mode    string            `hcl:"mode" enum:"fast, safe" default:"safe"`
	Paths   []string          `hcl:"paths" default:"[\"a\", \"b\"]"`
	Labels  map[string]string `hcl:"labels,optional"`
	Extra   any               `hcl:"extra,optional"`
	Raw     json.RawMessage   `hcl:"raw,optional"`
	Old     *bool             `hcl:"old" deprecated:"use mode"`
	Mirrors []mirror          `hcl:"mirrors,optional"`
	Auth    *auth             `hcl:"auth,block" doc:"How to log in."`
	Proxy   proxy             `hcl:"proxy,block"`
	Rules   []rule            `hcl:"rule,block"`
	Regions map[string]region `hcl:"region,block"`
	_       int
	Skipped func() `hcl:"-"`
}

type mirror struct {
	From string `hcl:"from"`
	To   string `hcl:"to,optional"`
}

type auth struct {
	User     string        `hcl:"user"`
	Password secret.Secret `hcl:"password"`
}

type proxy struct {
	Port uint16 `hcl:"port"`
}

type rule struct {
	Match string `hcl:"match" format:"regexp"`
}

type region struct {
	Weight int8 `hcl:"weight" default:"1"`
}

// Validate reports two values that exclude each other.
func (c *config) Validate() diag.List {
	if c.Mode == "fast" && c.Depth > 0 {
		return diag.List{diag.Errorf(diag.Attr("depth"), "not with mode fast")}
	}
	if c.Old != nil {
		return diag.List{diag.Warningf(diag.Attr("old"), "no longer used")}
	}
	return nil
}

func TestOf(t *testing.T) {
	s, err := schema.Of[config]()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.json", string(text)+"\n")
	golden(t, "schema.md", s.Markdown())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestOfRefuses(t *testing.T) {
	type loop struct {
		Next []loop `hcl:"next,block"`
	}
	tests := map[string]struct {
		of   func() (*schema.Schema, error)
		want string
	}{
		"not a struct": {schema.Of[int], "a configuration is a struct, not int"},
		"no tag":       {schema.Of[struct{ A string }], `.A: has no hcl tag; add hcl:"a"`},
		"unexported": {schema.Of[struct {
			a string `hcl:"a"`
		}], "not exported"},
		"bad name": {schema.Of[struct {
			A string `hcl:"Big-Name"`
		}], "is not a name"},
		"bad mode": {schema.Of[struct {
			A string `hcl:"a,omitempty"`
		}], `neither "optional" nor "block"`},
		"twice": {schema.Of[struct {
			A string `hcl:"a"`
			B string `hcl:"a"`
		}], `the name "a" is already taken by the field A`},
		"channel": {schema.Of[struct {
			A chan int `hcl:"a"`
		}], "the type chan int is not supported"},
		"int keys": {schema.Of[struct {
			A map[int]string `hcl:"a"`
		}], "the keys of map[int]string must be strings"},
		"block of strings": {schema.Of[struct {
			A []string `hcl:"a,block"`
		}], "a block is made of structs, not of string"},
		"format": {schema.Of[struct {
			A string `hcl:"a" format:"iso8601"`
		}], `unknown format "iso8601"`},
		"format of number": {schema.Of[struct {
			A int `hcl:"a" format:"url"`
		}], `format "url" needs a string`},
		"default": {schema.Of[struct {
			A int `hcl:"a" default:"many"`
		}], `default "many"`},
		"default duration": {schema.Of[struct {
			A time.Duration `hcl:"a" default:"5"`
		}], "missing unit"},
		"default outside enum": {schema.Of[struct {
			A string `hcl:"a" enum:"x,y" default:"z"`
		}], "is not one of"},
		"default secret": {schema.Of[struct {
			A secret.Secret `hcl:"a" default:"z"`
		}], "a secret has no default"},
		"default too large": {schema.Of[struct {
			A uint8 `hcl:"a" default:"256"`
		}], "does not fit"},
		"enum of number": {schema.Of[struct {
			A int `hcl:"a" enum:"1,2"`
		}], "an enum tag needs a string"},
		"recursion": {schema.Of[loop], "does it contain itself"},
		"embedded":  {schema.Of[struct{ mirror }], "embedding is not supported"},
		"block in a value": {schema.Of[struct {
			A []struct {
				B *mirror `hcl:"b,block"`
			} `hcl:"a"`
		}], "make the outer one a block"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := tc.of()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestDecodeDefaults(t *testing.T) {
	var got config
	if l := schema.Decode(json.RawMessage(`{"url": "https://x", "proxy": {"port": 80}}`), &got); len(l) > 0 {
		t.Fatal(l.Err())
	}
	want := config{
		URL: "https://x", Ratio: 0.5, Verbose: true, Poll: time.Minute, Limit: 64 << 20,
		Mode: "safe", Paths: []string{"a", "b"}, Proxy: proxy{Port: 80},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, secret.Secret{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeEverything(t *testing.T) {
	const in = `{
		"url": "u", "depth": 3.0, "ratio": 1e-1, "verbose": false, "poll": "90s", "token": "t0k",
		"limit": "2KiB", "mode": "safe", "paths": [], "labels": {"k": "v"}, "extra": {"n": 12345678901234567890},
		"raw": [1, {"a": null}], "old": true, "mirrors": [{"from": "f"}],
		"auth": {"user": "me", "password": "p"}, "proxy": {"port": 8080},
		"rule": [{"match": "a"}, {"match": "b"}], "region": {"eu": {}, "us": {"weight": 2}}
	}`
	var got config
	warnings := schema.Decode(json.RawMessage(in), &got)
	if len(warnings) != 1 || warnings.HasErrors() || warnings[0].Path.String() != "old" {
		t.Errorf("warnings %v", warnings)
	}
	old := true
	want := config{
		URL: "u", Depth: 3, Ratio: 0.1, Poll: 90 * time.Second, Token: secret.New("t0k"), Limit: 2048,
		Mode: "safe", Paths: []string{}, Labels: map[string]string{"k": "v"},
		Extra: map[string]any{"n": json.Number("12345678901234567890")},
		Raw:   json.RawMessage(`[1,{"a":null}]`), Old: &old, Mirrors: []mirror{{From: "f"}},
		Auth: &auth{"me", secret.New("p")}, Proxy: proxy{8080},
		Rules: []rule{{"a"}, {"b"}}, Regions: map[string]region{"eu": {1}, "us": {2}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, secret.Secret{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeReportsEveryMistakeAtItsPath(t *testing.T) {
	const in = `{
		"depth": "deep", "poll": "1 minute", "token": 5, "limit": "64 bits", "mode": "slow", "paths": ["a", 7],
		"old": null, "auth": {"user": "x"}, "proxy": {"port": 70000}, "rule": [{}, {"match": "x", "extra": 1}],
		"region": {"eu": {"weight": 1.5}}, "hunter2": "hunter2"
	}`
	var got []string
	for _, d := range schema.Decode(json.RawMessage(in), &config{}) {
		got = append(got, d.Error())
	}
	want := []string{
		"url: the argument is missing",
		"depth: a number is required",
		`poll: a duration is required, like "90s"`,
		"token: a string is required",
		`limit: a number of bytes is required, like "64MiB"`,
		"mode: must be one of fast, safe",
		"paths[1]: a string is required",
		"auth.password: the argument is missing",
		"proxy.port: the number does not fit; a whole number that is not negative is required",
		"rule[0].match: the argument is missing",
		"rule[1].extra: there is no argument or block of this name",
		"region.eu.weight: the number does not fit; a whole number is required",
		"hunter2: there is no argument or block of this name",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDecodeValidates(t *testing.T) {
	in := json.RawMessage(`{"url": "u", "mode": "fast", "depth": 1, "proxy": {"port": 1}}`)
	l := schema.Decode(in, &config{})
	if len(l) != 1 || l[0].Path.String() != "depth" {
		t.Errorf("diagnostics %v", l)
	}
}

func TestDecodeRefusesWhatIsNotAnObject(t *testing.T) {
	for _, in := range []string{`[]`, `"x"`, `{`, `{} {}`, `null`, `5`} {
		if l := schema.Decode(json.RawMessage(in), &struct{}{}); !l.HasErrors() {
			t.Errorf("Decode(%s) accepted it", in)
		}
	}
	if l := schema.Decode(nil, &struct{}{}); len(l) > 0 {
		t.Errorf("no configuration: %v", l)
	}
}

func TestParseBytes(t *testing.T) {
	good := map[string]int64{"0": 0, "512": 512, "1KiB": 1024, "1.5 KiB": 1536, "2MB": 2e6, "1TiB": 1 << 40, " 7B ": 7}
	for in, want := range good {
		if got, err := schema.ParseBytes(in); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "MiB", "-1", "0.3B", "1e300", "NaN", "Inf", "12 parsecs"} {
		if got, err := schema.ParseBytes(in); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", in, got)
		}
	}
}

// FuzzDecode checks that no input panics, and that what is accepted once is
// accepted again with the same result.
func FuzzDecode(f *testing.F) {
	f.Add(`{"url": "u", "proxy": {"port": 1}}`)
	f.Add(`{"url": "u", "proxy": {"port": 1e99999}, "extra": [null], "paths": null}`)
	f.Fuzz(func(t *testing.T, in string) {
		var a, b config
		first := schema.Decode(json.RawMessage(in), &a)
		second := schema.Decode(json.RawMessage(in), &b)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("two runs differ:\n%s", diff)
		}
		if diff := cmp.Diff(a, b, cmp.AllowUnexported(config{}, secret.Secret{})); diff != "" {
			t.Errorf("two results differ:\n%s", diff)
		}
	})
}
