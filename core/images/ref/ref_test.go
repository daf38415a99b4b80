package ref_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/ref"
)

var sum = strings.Repeat("0123456789abcdef", 4)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in                        string
		domain, repo, tag, digest string
		name, host, path          string
		canonical                 string
	}{
		{in: "nginx", repo: "nginx", name: "nginx", host: "index.docker.io", path: "library/nginx", canonical: "index.docker.io/library/nginx"},
		{in: "nginx:1.27", repo: "nginx", tag: "1.27", name: "nginx", host: "index.docker.io", path: "library/nginx", canonical: "index.docker.io/library/nginx:1.27"},
		{in: "library/nginx:1", repo: "library/nginx", tag: "1", name: "library/nginx", host: "index.docker.io", path: "library/nginx", canonical: "index.docker.io/library/nginx:1"},
		{in: "docker.io/nginx:1", domain: "docker.io", repo: "nginx", tag: "1", name: "docker.io/nginx", host: "index.docker.io", path: "library/nginx", canonical: "index.docker.io/library/nginx:1"},
		{in: "index.docker.io/nginx", domain: "index.docker.io", repo: "nginx", name: "index.docker.io/nginx", host: "index.docker.io", path: "library/nginx", canonical: "index.docker.io/library/nginx"},
		{in: "registry-1.docker.io/library/nginx", domain: "registry-1.docker.io", repo: "library/nginx", name: "registry-1.docker.io/library/nginx", host: "index.docker.io", path: "library/nginx", canonical: "index.docker.io/library/nginx"},
		{in: "weaveworks/flux:v1", repo: "weaveworks/flux", tag: "v1", name: "weaveworks/flux", host: "index.docker.io", path: "weaveworks/flux", canonical: "index.docker.io/weaveworks/flux:v1"},
		{in: "foo/bar/baz", repo: "foo/bar/baz", name: "foo/bar/baz", host: "index.docker.io", path: "foo/bar/baz", canonical: "index.docker.io/foo/bar/baz"},
		{in: "registry:5000/app", domain: "registry:5000", repo: "app", name: "registry:5000/app", host: "registry:5000", path: "app", canonical: "registry:5000/app"},
		{in: "localhost/app:1", domain: "localhost", repo: "app", tag: "1", name: "localhost/app", host: "localhost", path: "app", canonical: "localhost/app:1"},
		{in: "localhost:5000/a/b/c:x_Y.z-", domain: "localhost:5000", repo: "a/b/c", tag: "x_Y.z-", name: "localhost:5000/a/b/c", host: "localhost:5000", path: "a/b/c", canonical: "localhost:5000/a/b/c:x_Y.z-"},
		{in: "127.0.0.1:5000/app", domain: "127.0.0.1:5000", repo: "app", name: "127.0.0.1:5000/app", host: "127.0.0.1:5000", path: "app", canonical: "127.0.0.1:5000/app"},
		{in: "[::1]:5000/app:1", domain: "[::1]:5000", repo: "app", tag: "1", name: "[::1]:5000/app", host: "[::1]:5000", path: "app", canonical: "[::1]:5000/app:1"},
		{in: "gcr.io/google-samples/hello@sha256:" + sum, domain: "gcr.io", repo: "google-samples/hello", digest: "sha256:" + sum, name: "gcr.io/google-samples/hello", host: "gcr.io", path: "google-samples/hello", canonical: "gcr.io/google-samples/hello"},
		{in: "gcr.io/x/y:v1@sha256:" + sum, domain: "gcr.io", repo: "x/y", tag: "v1", digest: "sha256:" + sum, name: "gcr.io/x/y", host: "gcr.io", path: "x/y", canonical: "gcr.io/x/y:v1"},
		{in: "app@sha512:" + sum + sum, repo: "app", digest: "sha512:" + sum + sum, name: "app", host: "index.docker.io", path: "library/app", canonical: "index.docker.io/library/app"},
		{in: "GCR.io/x/y", domain: "GCR.io", repo: "x/y", name: "GCR.io/x/y", host: "gcr.io", path: "x/y", canonical: "gcr.io/x/y"},
		{in: "Registry/app", domain: "Registry", repo: "app", name: "Registry/app", host: "Registry", path: "app", canonical: "Registry/app"},
		{in: "a__b/c---d.e_f", repo: "a__b/c---d.e_f", name: "a__b/c---d.e_f", host: "index.docker.io", path: "a__b/c---d.e_f", canonical: "index.docker.io/a__b/c---d.e_f"},
	} {
		t.Run(tt.in, func(t *testing.T) {
			r, err := ref.Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			want := ref.Ref{Domain: tt.domain, Repository: tt.repo, Tag: tt.tag, Digest: tt.digest}
			if diff := cmp.Diff(want, r); diff != "" {
				t.Error(diff)
			}
			got := []string{r.String(), r.Name(), r.Host(), r.Path(), r.CanonicalName(), r.Canonical()}
			bare, _, _ := strings.Cut(tt.canonical[len(tt.host):], ":")
			if diff := cmp.Diff([]string{tt.in, tt.name, tt.host, tt.path, tt.host + bare, tt.canonical}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                             `image "": empty`,
		":tag":                         `image ":tag": there is no repository`,
		"@sha256:" + sum:               `there is no repository`,
		"/nginx":                       `the repository begins with a slash`,
		"nginx/":                       `the repository ends with a slash`,
		"gcr.io/":                      `there is no repository`,
		"a//b":                         `repository "a//b": two slashes in a row`,
		"nginx:":                       `the tag after the colon is empty`,
		"nginx:1:2":                    `tag "1:2": there is more than one colon`,
		"nginx:a/b:c":                  `registry "nginx:a": not a host name with or without a port`,
		"library/nginx:a/b":            `tag "a/b": has a slash`,
		"nginx:1.27 ":                  `holds a space or a line end`,
		"nginx:-1":                     `tag "-1": may only have`,
		"nginx:" + sum + sum + "x":     `129 characters, more than 128`,
		"Nginx":                        `repository "Nginx": capital letters are not allowed`,
		"gcr.io/Team/app":              `repository "Team/app": capital letters are not allowed`,
		"-a/b":                         `"-a" may only have a-z, 0-9`,
		"a..b":                         `"a..b" may only have a-z, 0-9`,
		"a___b":                        `"a___b" may only have a-z, 0-9`,
		"-x.io/app":                    `registry "-x.io": not a host name`,
		"x.io:port/app":                `registry "x.io:port": not a host name`,
		"https://gcr.io/app":           `is a URL: leave out the scheme`,
		sum:                            `are an image ID, not a repository`,
		"app@":                         `the digest after the @ is empty`,
		"app@" + sum:                   `has no algorithm such as sha256: before it`,
		"app@sha256:abc":               `digest "sha256:abc": 3 characters after sha256:, not 64`,
		"app@md5:" + sum[:32]:          `unknown algorithm "md5"`,
		"app@sha256:" + sum[:63] + "G": `not hexadecimal in lower case`,
		"app@sha256:" + sum + "@x":     `66 characters after sha256:, not 64`,
		"x.io/" + sum + "/" + sum + "/" + sum + "/" + sum: `the repository has 259 characters, more than 255`,
		"a\xffb": `not UTF-8`,
	} {
		_, err := ref.Parse(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want %s", in, err, want)
		}
	}
	if _, err := ref.Parse(strings.Repeat("x", 1<<20)); err == nil || len(err.Error()) > 300 {
		t.Errorf("an error for a long input has %d bytes", len(err.Error()))
	}
}

func TestWithTag(t *testing.T) {
	for in, want := range map[string]string{
		"nginx":                           "nginx:2",
		"docker.io/nginx:1":               "docker.io/nginx:2",
		"GCR.io/x/y:1@sha256:" + sum:      "GCR.io/x/y:2",
		"registry:5000/app@sha256:" + sum: "registry:5000/app:2",
	} {
		r, err := ref.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.WithTag("2").String(); got != want {
			t.Errorf("%s with another tag is %s, want %s", in, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	got, err := json.Marshal([]ref.Parsed{ref.Describe("docker.io/nginx:1@sha256:" + sum), ref.Describe("nginx:")})
	want := `[{"input":"docker.io/nginx:1@sha256:` + sum + `","domain":"docker.io","repository":"nginx","tag":"1","digest":"sha256:` + sum +
		`","canonical":"index.docker.io/library/nginx:1","error":""},` +
		`{"input":"nginx:","domain":"","repository":"","tag":"","digest":"","canonical":"","error":"image \"nginx:\": the tag after the colon is empty"}]`
	if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// FuzzParse: what is taken prints as it was written and means what the
// library's grammar says; what is not taken has a reason of our own.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"nginx", "registry:5000/a/b:t@sha256:" + sum, "localhost/x", "[::1]:5/a", "docker.io/x:y", "A/b", "a:b/c", "@", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ref.Parse(s)
		named, theirs := reference.ParseNormalizedNamed(s)
		if (err == nil) != (theirs == nil) {
			t.Fatalf("Parse(%q): %v, but the library says %v", s, err, theirs)
		}
		if err != nil {
			if strings.Contains(err.Error(), theirs.Error()) {
				t.Errorf("Parse(%q): %v: no explanation", s, err)
			}
			return
		}
		if r.String() != s {
			t.Errorf("Parse(%q) prints %q", s, r)
		}
		compareWithLibrary(t, s, r, named)
		if again, err := ref.Parse(r.Canonical()); err != nil || again.Canonical() != r.Canonical() {
			t.Errorf("%q: canonical %q becomes %q, %v", s, r.Canonical(), again.Canonical(), err)
		}
	})
}

func compareWithLibrary(t *testing.T, s string, r ref.Ref, named reference.Named) {
	t.Helper()
	tag, digest := "", ""
	if tagged, ok := named.(reference.Tagged); ok {
		tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		digest = digested.Digest().String()
	}
	host := reference.Domain(named)
	if host == "docker.io" {
		host = ref.DockerHub
	}
	if r.Tag != tag || r.Digest != digest {
		t.Errorf("Parse(%q) = %+v, but the library has tag %q, digest %q", s, r, tag, digest)
	}
	// Only here we know better: names of hosts are equal in either case, and
	// registry-1 is Docker Hub too.
	if strings.HasSuffix(strings.ToLower(host), "docker.io") && host != ref.DockerHub {
		return
	}
	if !strings.EqualFold(r.Host(), host) || r.Path() != reference.Path(named) {
		t.Errorf("Parse(%q): %s %s, but the library has %s %s", s, r.Host(), r.Path(), host, reference.Path(named))
	}
}

func TestSame(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"nginx:1.25", "docker.io/library/nginx:1.25"}: true,
		{"nginx", "nginx:latest"}:                      false,
		{"nginx:1.25", "nginx:1.26"}:                   false,
		{"nginx:1.25", "quay.io/nginx:1.25"}:           false,
		{"not an image", "not an image"}:               false,
	} {
		if got := ref.Same(pair[0], pair[1]); got != want {
			t.Errorf("%s and %s: the same is %v", pair[0], pair[1], got)
		}
	}
}
