package remote

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/credentials"
)

func TestChallenges(t *testing.T) {
	type params = map[string]string
	for _, tt := range []struct {
		header []string
		want   []challenge
	}{
		{nil, nil},
		{[]string{`Basic realm="Registry"`}, []challenge{{"basic", params{"realm": "Registry"}}}},
		{[]string{`basic`}, []challenge{{"basic", params{}}}},
		{[]string{`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull,push"`},
			[]challenge{{"bearer", params{"realm": "https://auth.docker.io/token", "service": "registry.docker.io", "scope": "repository:library/nginx:pull,push"}}}},
		{[]string{`BEARER  Realm = "a" , Service=b`}, []challenge{{"bearer", params{"realm": "a", "service": "b"}}}},
		{[]string{`Negotiate, Basic realm="a, b=\"c\"", Bearer realm="d"`},
			[]challenge{{"negotiate", params{}}, {"basic", params{"realm": `a, b="c"`}}, {"bearer", params{"realm": "d"}}}},
		{[]string{`Negotiate`, `Bearer realm="d"`}, []challenge{{"negotiate", params{}}, {"bearer", params{"realm": "d"}}}},
		{[]string{`Bearer realm="unclosed`}, []challenge{{"bearer", params{"realm": "unclosed"}}}},
		{[]string{`Bearer realm="a\`}, []challenge{{"bearer", params{"realm": "a"}}}},
		{[]string{`Bearer realm=https://a.example.com/token?x=1&y=2,service=s`}, []challenge{{"bearer", params{"realm": "https://a.example.com/token?x=1&y=2", "service": "s"}}}},
		{[]string{`realm="of nothing"`}, nil},
		{[]string{`,,, Basic ,,,`}, []challenge{{"basic", params{}}}},
		{[]string{`Digest abc/def==`, `Basic realm=x`}, []challenge{{"digest", params{}}, {"basic", params{"realm": "x"}}}},
		{[]string{`"`}, nil},
	} {
		got := parseChallenges(http.Header{"Www-Authenticate": tt.header})
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(challenge{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.header, diff)
		}
	}
}

func TestActions(t *testing.T) {
	for scope, want := range map[string]string{
		"":                             "pull",
		"repository:a/b:pull":          "pull",
		"repository:a/b:pull,push":     "pull",
		"repository:a/b:*":             "pull",
		"repository:a:5000/b:delete":   "pull",
		"repository:a/b:metadata_read": "pull,metadata_read",
		"repository:a:pull repository:b:metadata_read": "pull,metadata_read",
	} {
		if got := readActions(scope); got != want {
			t.Errorf("%q: %q, want %q", scope, got, want)
		}
	}
}

func FuzzChallenges(f *testing.F) {
	for _, s := range []string{`Bearer realm="https://a/t",service="s",scope="x"`, `Negotiate, Basic realm="a\"b"`, `a=b,c`, `Bearer realm = x, Basic`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all := parseChallenges(http.Header{"Www-Authenticate": {text, text}})
		if len(all) > maxChallenges {
			t.Errorf("%d challenges", len(all))
		}
		for _, c := range all {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || strings.ContainsAny(c.scheme, " \t,=\"") {
				t.Errorf("scheme %q", c.scheme)
			}
			// A challenge that is written again reads the same.
			for name, value := range c.params {
				quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
				again := parseHeader(c.scheme + " " + name + `="` + quoted + `"`)
				if name != "" && (len(again) != 1 || again[0].params[name] != value) {
					t.Errorf("%q=%q reads as %+v", name, value, again)
				}
			}
		}
	})
}

func TestLinks(t *testing.T) {
	for text, want := range map[string]string{
		"": "",
		`</v2/a/tags/list?last=b&n=1000>; rel="next"`:                   "/v2/a/tags/list?last=b&n=1000",
		`<https://r.example.com/x,y;z>; rel=next`:                       "https://r.example.com/x,y;z",
		`</first>; rel="first", </next>; title="a, b"; rel="prev next"`: "/next",
		`</prev>; rel=prev`:        "",
		`</a>; REL=NEXT`:           "/a",
		`</a>;rel="next";x=y,</b>`: "/a",
		`</a>`:                     "",
		`</unclosed; rel="next"`:   "",
		`rel="next"`:               "",
		`</a>; x=</b>; rel="next"`: "/a",
		`</a>; x="</b>; rel=next"`: "",
		`<>; rel="next"`:           "",
	} {
		if got := nextLink(http.Header{"Link": {text}}); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	two := http.Header{"Link": {`</a>; rel="prev"`, `</b>; rel="next"`}}
	if got := nextLink(two); got != "/b" {
		t.Errorf("of two headers: %q", got)
	}
}

func TestFollow(t *testing.T) {
	base, err := url.Parse("https://mirror.example.com")
	if err != nil {
		t.Fatal(err)
	}
	target := &target{req: credentials.Request{Host: "registry.example.com"}, base: base}
	current := base.JoinPath("v2/a/tags/list")
	for link, want := range map[string]string{
		"/v2/a/tags/list?last=b":                             "https://mirror.example.com/v2/a/tags/list?last=b",
		"?last=b":                                            "https://mirror.example.com/v2/a/tags/list?last=b",
		"https://mirror.example.com/x":                       "https://mirror.example.com/x",
		"https://user:pass@mirror.example.com/x#f":           "https://mirror.example.com/x",
		"https://registry.example.com/v2/a/tags/list?last=b": "https://mirror.example.com/v2/a/tags/list?last=b",
		"http://mirror.example.com/x":                        "https://mirror.example.com/x",
		"https://mirror.example.com:443/x":                   "https://mirror.example.com/x",
		"https://mirror.example.com:444/x":                   "",
		"https://thief.example.com/x":                        "",
		"//thief.example.com/x":                              "",
		"file:///etc/passwd":                                 "",
		"%zz":                                                "",
	} {
		got, err := target.follow(current, link)
		if (err != nil) != (want == "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v, want %q", link, got, err, want)
		}
	}
}

func FuzzLinks(f *testing.F) {
	for _, s := range []string{`</a>; rel="next"`, `</a>; rel=prev, <b>; x="y\""; rel=next`, `<`, `<>;;;;=,`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := nextLink(http.Header{"Link": {text}})
		if got != "" && !strings.Contains(text, "<"+got+">") {
			t.Errorf("%q is not in %q", got, text)
		}
	})
}
