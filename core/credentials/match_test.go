package credentials

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string // host/repository
	}{
		{"*", []string{"gcr.io/a", "localhost:5000/a/b", "[::1]:5000/a", "index.docker.io/library/nginx"}, nil},
		{"gcr.io", []string{"gcr.io/a", "GCR.io/a"}, []string{"eu.gcr.io/a", "gcr.io:443/a", "gcr.io.evil.com/a", "xgcr.io/a"}},
		{"*.gcr.io", []string{"eu.gcr.io/a"}, []string{"gcr.io/a", "a.eu.gcr.io/a", ".gcr.io/a"}},
		{"123.dkr.ecr.*.amazonaws.com", []string{"123.dkr.ecr.eu-west-1.amazonaws.com/a"},
			[]string{"123.dkr.ecr.eu-west-1.amazonaws.com.cn/a", "124.dkr.ecr.eu-west-1.amazonaws.com/a", "123.dkr.ecr.evil.com/x.amazonaws.com"}},
		{"registry.example.com:5000", []string{"registry.example.com:5000/a"}, []string{"registry.example.com/a", "registry.example.com:50000/a"}},
		{"registry.example.com:*", []string{"registry.example.com:1/a"}, []string{"registry.example.com/a"}},
		{"registry.example.com", []string{"registry.example.com/a"}, []string{"registry.example.com:5000/a"}},
		{"registry.example.com/team", []string{"registry.example.com/team", "registry.example.com/team/a/b"},
			[]string{"registry.example.com/teams/a", "registry.example.com/", "registry.example.com/Team"}},
		{"registry.example.com/team/", []string{"registry.example.com/team/a"}, []string{"registry.example.com/other"}},
		{"registry.example.com/team/*", []string{"registry.example.com/team/a", "registry.example.com/team/a/b"}, []string{"registry.example.com/team"}},
		{"registry.example.com/*/web-*", []string{"registry.example.com/a/web-1", "registry.example.com/a/web-/x"}, []string{"registry.example.com/web-1", "registry.example.com/a/b/web-1"}},
		{"*/team", []string{"a.b.c:1/team/x"}, []string{"a.b.c:1/other"}},
		{"docker.io", []string{"docker.io/library/nginx", "index.docker.io/library/nginx", "registry-1.docker.io/library/nginx"}, []string{"docker.io.evil.com/a"}},
		{"registry-1.docker.io/team", []string{"index.docker.io/team/a"}, []string{"index.docker.io/library/a"}},
		{"[::1]:5000", []string{"[::1]:5000/a"}, []string{"[::1]/a", "[::2]:5000/a"}},
		{"a*b*c.com", []string{"abc.com/a", "axbbxc.com/a", "abcbc.com/a"}, []string{"ab.com/a", "ac.com/a", "a.b.c.com/a"}},
		{"a*a.com", []string{"aa.com/a"}, []string{"a.com/a"}},
	} {
		if err := CheckMatch(tt.pattern); err != nil {
			t.Errorf("CheckMatch: %v", err)
		}
		m := newMatcher([]string{tt.pattern})
		check := func(image string, want bool) {
			host, repository, _ := strings.Cut(image, "/")
			if got := m.matches(CanonicalHost(host), repository); got != want {
				t.Errorf("pattern %q of %s is %v", tt.pattern, image, got)
			}
		}
		for _, image := range tt.yes {
			check(image, true)
		}
		for _, image := range tt.no {
			check(image, false)
		}
	}
}

func TestCheckMatch(t *testing.T) {
	for _, bad := range []string{
		"", "/", "/team", "https://index.docker.io/v1/", "a..b", ".gcr.io", "a b", "gcr.io/a//b", "host:", "host:1:2",
		"[::1", "[::1]x", "[::1]:", "gcr.i?", "user@host", "{a,b}.io",
	} {
		if CheckMatch(bad) == nil {
			t.Errorf("%q passes", bad)
		}
		if newMatcher([]string{bad}).matches("gcr.io", "a") {
			t.Errorf("%q matches", bad)
		}
	}
	if m := newMatcher([]string{"a b", "gcr.io"}); !m.matches("gcr.io", "a") || m.matches("x.io", "a") || m.err == nil {
		t.Error("a bad pattern stops the good one beside it, or is not told of")
	}
	if !newMatcher(nil).matches("anything:1", "a") {
		t.Error("no pattern is not everything")
	}
}

func TestDefaultMatch(t *testing.T) {
	images := map[string][]string{
		"ecr": {
			"123456789012.dkr.ecr.eu-west-1.amazonaws.com", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
			"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "123456789012.dkr-ecr.eu-west-1.on.aws", "public.ecr.aws",
		},
		"gcr": {"gcr.io", "eu.gcr.io", "europe-docker.pkg.dev"},
		"acr": {"shop.azurecr.io", "shop.azurecr.cn", "shop.azurecr.us", "shop.azurecr.de"},
	}
	for typ, hosts := range images {
		m := newMatcher(DefaultMatch(typ))
		if m.err != nil || len(m.patterns) == 0 {
			t.Errorf("%s: %v, %v", typ, m.patterns, m.err)
		}
		for other, theirs := range images {
			for _, host := range theirs {
				if got := m.matches(host, "a"); got != (typ == other) {
					t.Errorf("%s for %s: %v", typ, host, got)
				}
			}
		}
		if slices.ContainsFunc(hosts, func(h string) bool { return m.matches(h+".evil.com", "a") }) {
			t.Errorf("%s answers for what only begins like its hosts", typ)
		}
	}
	if DefaultMatch("docker_config") != nil || DefaultMatch("exec") != nil {
		t.Error("the docker plugins are not for everything")
	}
}

// FuzzMatch compares the matcher with path.Match, label by label.
func FuzzMatch(f *testing.F) {
	for _, seed := range [][3]string{
		{"*.gcr.io", "eu.gcr.io", "a"}, {"a*b*c:5*/x/*", "abc:50", "x/y"}, {"[::1]:5000", "[::1]:5000", "a"},
		{"*/a", "b", "a"}, {"docker.io", "index.docker.io", "library/nginx"}, {"a:*", "a", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, text, host, repository string) {
		host = CanonicalHost(host)
		p, err := parsePattern(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(text+host+repository, "[]/^-\\?") && !strings.Contains(text, "[") {
			p.matches(host, repository) // must not panic; path.Match reads these characters otherwise
			return
		}
		name, port, err := splitPort(host)
		if err != nil || strings.HasPrefix(host, "[") {
			p.matches(host, repository)
			return
		}
		globs := func(patterns, texts []string) bool {
			if len(texts) < len(patterns) {
				return false
			}
			for i, g := range patterns {
				if ok, err := path.Match(g, texts[i]); err != nil || !ok || texts[i] == "" {
					return false
				}
			}
			return true
		}
		labels := strings.Split(name, ".")
		want := p.any || len(labels) == len(p.labels) && globs(p.labels, labels) &&
			(p.port == "") == (port == "") && (p.port == "" || globs([]string{p.port}, []string{port}))
		want = want && globs(p.repository, strings.Split(repository, "/"))
		if got := p.matches(host, repository); got != want {
			t.Errorf("pattern %q of host %q, repository %q: %v, want %v", text, host, repository, got, want)
		}
	})
}

func TestMayAnswer(t *testing.T) {
	for _, tt := range []struct {
		typ, pattern string
		hosts        []string
		want         bool
	}{
		{"ecr", "quay.io", nil, false},
		{"ecr", "*", nil, true},
		{"ecr", "public.ecr.aws", nil, true},
		{"ecr", "123456789012.dkr.ecr.eu-west-1.amazonaws.com", nil, true},
		{"ecr", "123456789012.dkr.ecr.eu-west-1.amazonaws.com:443/team", nil, true},
		{"ecr", "123456789012.dkr.ecr.eu-west-1.amazonaws.com:5000", nil, false},
		{"ecr", "*.*.ecr.eu-*.amazonaws.com", nil, true},
		{"ecr", "*.amazonaws.com", nil, false},
		{"gcr", "example.com", nil, false},
		{"gcr", "EU.gcr.io/project", nil, true},
		{"gcr", "proxy.example.com:5000", []string{"proxy.example.com:5000"}, true},
		{"gcr", "proxy.example.com", []string{"proxy.example.com:5000"}, false},
		{"acr", "*.example.com", []string{"no host", "proxy.example.com"}, true},
		{"acr", "a*b*.azurecr.io", nil, true},
		{"docker_config", "quay.io", nil, true},
		{"ecr", "https://quay.io", nil, true}, // CheckMatch says what is wrong with it
	} {
		if got := MayAnswer(tt.typ, tt.pattern, tt.hosts); got != tt.want {
			t.Errorf("MayAnswer(%q, %q, %q) = %t", tt.typ, tt.pattern, tt.hosts, got)
		}
	}
}

// Two globs meet if a text made from one of them is the other.
func TestStarsMeet(t *testing.T) {
	const alphabet = "ab*"
	var globs, texts []string
	for n := range 3 * 3 * 3 * 3 {
		var glob strings.Builder
		for range 4 {
			glob.WriteByte(alphabet[n%len(alphabet)])
			n /= len(alphabet)
		}
		globs = append(globs, glob.String(), glob.String()[:2])
	}
	for i := range 1 << 8 { // texts of 8 letters are enough for globs of 4
		for length := range 9 {
			texts = append(texts, strings.NewReplacer("0", "a", "1", "b").Replace(strconv.FormatInt(int64(i)|1<<8, 2)[1:][:length]))
		}
	}
	for _, list := range []*[]string{&globs, &texts} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	for _, a := range globs {
		for _, b := range globs {
			want := slices.ContainsFunc(texts, func(text string) bool { return star(a, text) && star(b, text) })
			if got := starsMeet(a, b); got != want {
				t.Fatalf("starsMeet(%q, %q) = %t", a, b, got)
			}
		}
	}
}
