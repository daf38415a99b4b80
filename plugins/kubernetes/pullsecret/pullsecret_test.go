package pullsecret

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// auth is what docker login writes.
func auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// ringOf has one secret with an entry for each key, whose password is the key.
func ringOf(t *testing.T, keys ...string) *Ring {
	t.Helper()
	r := &Ring{}
	for _, key := range keys {
		add(t, r, key, strings.TrimSpace(key))
	}
	return r
}

func add(t *testing.T, r *Ring, key, password string) {
	t.Helper()
	content, err := json.Marshal(map[string]any{"auths": map[string]any{key: map[string]string{"auth": auth("user", password)}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(TypeDockerConfigJSON, map[string][]byte{keyDockerConfigJSON: content}); err != nil {
		t.Fatal(err)
	}
}

// TestSpellings: every way in which people and tools write a host.
func TestSpellings(t *testing.T) {
	const hub = "index.docker.io"
	for key, host := range map[string]string{
		"registry.example.com":                      "registry.example.com",
		"https://registry.example.com":              "registry.example.com",
		"http://registry.example.com/":              "registry.example.com",
		"telnet://registry.example.com":             "registry.example.com",
		"HTTPS://Registry.Example.COM/V2":           "registry.example.com",
		"https://registry.example.com/v1/":          "registry.example.com",
		"https://registry.example.com/v2/":          "registry.example.com",
		"registry.example.com/v2":                   "registry.example.com",
		"Registry.Example.Com":                      "registry.example.com",
		" registry.example.com\n":                   "registry.example.com",
		"https://someone:pass@registry.example.com": "registry.example.com",
		"https://registry.example.com:443/v2/":      "registry.example.com",
		"registry.example.com:443":                  "registry.example.com:443",
		"registry.example.com:5000":                 "registry.example.com:5000",
		"https://registry.example.com:5000/v1/":     "registry.example.com:5000",
		"localhost:5000":                            "localhost:5000",
		"[2001:DB8::1]:5000":                        "[2001:db8::1]:5000",
		"https://index.docker.io/v1/":               hub,
		"docker.io":                                 hub,
		"https://registry-1.docker.io/v2/":          "docker.io",
		"index.docker.io":                           "registry-1.docker.io",
	} {
		c, ok, err := ringOf(t, key).Find(host, "team/app")
		if !ok || err != nil || c.Password.Reveal() != strings.TrimSpace(key) || c.Scope != registry.ScopeRegistry {
			t.Errorf("%q for %s: %t, %v, scope %q", key, host, ok, err, c.Scope)
		}
		for _, other := range []string{"registry.example.org", "registry.example.com:5001", "example.com", "x.registry.example.com", ""} {
			if _, ok, _ := ringOf(t, key).Find(other, "team/app"); ok {
				t.Errorf("%q is for %q too", key, other)
			}
		}
	}
}

// TestPrecedence: the most specific entry wins, and the earlier of equal ones.
func TestPrecedence(t *testing.T) {
	const host, repository = "reg.eu.example.com", "org/team/app"
	for name, tt := range map[string]struct {
		keys []string
		want string // key of the entry that wins; empty: none
	}{
		"longest path":                   {[]string{host, host + "/org", host + "/org/team", host + "/org/team/app/sub"}, host + "/org/team"},
		"the repository itself":          {[]string{host + "/org/team", "https://" + host + "/v2/org/team/app/"}, "https://" + host + "/v2/org/team/app/"},
		"part of a name is no path":      {[]string{host + "/org/te", host + "/or"}, ""},
		"host before glob":               {[]string{"*.eu.example.com/org/team", host}, host},
		"glob with the longer path":      {[]string{"*.eu.example.com", "*.*.example.com/org"}, "*.*.example.com/org"},
		"glob of part of a label":        {[]string{"r*.eu.example.com"}, "r*.eu.example.com"},
		"glob of a top level":            {[]string{"reg.eu.example.*"}, "reg.eu.example.*"},
		"glob of more than one label":    {[]string{"*.example.com", "*"}, ""},
		"glob of a port":                 {[]string{host + ":*", "*.eu.example.com:5000"}, ""},
		"first of equal ones":            {[]string{"https://" + host + "/v1/", host}, "https://" + host + "/v1/"},
		"path of another, then the host": {[]string{host + "/other", host}, host},
		"capitals in globs":              {[]string{"*.EU.example.com"}, "*.EU.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			c, ok, err := ringOf(t, tt.keys...).Find(host, repository)
			if err != nil || ok != (tt.want != "") || ok && c.Password.Reveal() != tt.want {
				t.Errorf("found %t %q, %v; want %q", ok, c.Password.Reveal(), err, tt.want)
			}
		})
	}
	port := ringOf(t, "*.example.com:5000")
	if _, ok, _ := port.Find("a.example.com:5000", "x"); !ok {
		t.Error("a glob with a port is not for that port")
	}
}

// TestScope: an answer may only be reused for every repository if none of them
// could get another one.
func TestScope(t *testing.T) {
	r := ringOf(t, "a.example.com", "a.example.com/special", "b.example.com")
	for request, want := range map[[2]string]registry.Scope{
		{"a.example.com", "special/app"}: registry.ScopeRepository,
		{"a.example.com", "app"}:         registry.ScopeRepository,
		{"b.example.com", "app"}:         registry.ScopeRegistry,
	} {
		if c, ok, _ := r.Find(request[0], request[1]); !ok || c.Scope != want {
			t.Errorf("%v: %t, scope %q, want %q", request, ok, c.Scope, want)
		}
	}
}

// TestEntries: what may stand in an entry, and what is told of one that cannot
// be used.
func TestEntries(t *testing.T) {
	const secret = "s3cr3t-v4lue"
	ok := auth("user", secret)
	for name, tt := range map[string]struct {
		entry string
		want  string // USER:PASSWORD, or USER:@TOKEN; empty: none
		err   string
	}{
		"auth":                       {`{"auth":"` + ok + `"}`, "user:" + secret, ""},
		"auth without padding":       {`{"auth":"` + strings.TrimRight(ok, "=") + `"}`, "user:" + secret, ""},
		"wrapped auth":               {`{"auth":"` + ok[:8] + `\n` + ok[8:] + `\n"}`, "user:" + secret, ""},
		"auth with a line end in it": {`{"auth":"` + auth("user", secret+"\n") + `"}`, "user:" + secret, ""},
		"auth filled with zeros":     {`{"auth":"` + auth("user", secret+"\x00\x00") + `"}`, "user:" + secret, ""},
		"auth for URLs":              {`{"auth":"` + base64.URLEncoding.EncodeToString([]byte("user:>>>???")) + `"}`, "user:>>>???", ""},
		"colon in the password":      {`{"auth":"` + auth("user", "a:b:c") + `"}`, "user:a:b:c", ""},
		"no auth":                    {`{"username":"user","password":"` + secret + `","email":"x@example.com"}`, "user:" + secret, ""},
		"auth before the others":     {`{"username":"x","password":"y","auth":"` + ok + `"}`, "user:" + secret, ""},
		"key of Google":              {`{"username":"_json_key","password":"{\"a\": \"` + secret + `\"}"}`, `_json_key:{"a": "` + secret + `"}`, ""},
		"identity token":             {`{"auth":"` + auth("00000000-0000-0000-0000-000000000000", "") + `","identitytoken":"` + secret + `"}`, "00000000-0000-0000-0000-000000000000:@" + secret, ""},
		"identity token alone":       {`{"identitytoken":"` + secret + `"}`, ":@" + secret, ""},
		"empty":                      {`{}`, "", ""},
		"null":                       {`null`, "", ""},
		"of a credential helper":     {`{"email":"x@example.com"}`, "", ""},
		"user without password":      {`{"username":"` + secret + `"}`, "", "the entry for h.example.com cannot be used: it has no password"},
		"auth without colon":         {`{"auth":"` + base64.StdEncoding.EncodeToString([]byte(secret)) + `"}`, "", "its auth is not base64 of user:password"},
		"auth in clear":              {`{"auth":"user:` + secret + `"}`, "", "its auth is not base64"},
		"number":                     {`{"username":"user","password":1234567}`, "", "one of its values is not a string"},
		"bytes":                      {`{"auth":"` + auth("user", "\xff\xfe"+secret) + `"}`, "", "not text in UTF-8"},
		"registry token":             {`{"registrytoken":"` + secret + `"}`, "", "no lasting credential"},
	} {
		for form, content := range map[string]string{"auths": `{"auths":{"h.example.com":` + tt.entry + `}}`, "bare": `{"h.example.com":` + tt.entry + `,"credsStore":"x"}`} {
			t.Run(name+"/"+form, func(t *testing.T) {
				for typ, key := range map[string]string{TypeDockerConfigJSON: keyDockerConfigJSON, TypeDockercfg: keyDockercfg} {
					var r Ring
					if err := r.Add(typ, map[string][]byte{key: []byte(content)}); err != nil {
						t.Fatal(err)
					}
					c, ok, err := r.Find("h.example.com", "app")
					got := ""
					if ok {
						got = c.Username + ":" + c.Password.Reveal()
					}
					if token := c.IdentityToken.Reveal(); token != "" {
						got += "@" + token
					}
					if got != tt.want {
						t.Errorf("%q, want %q", got, tt.want)
					}
					if (err != nil) != (tt.err != "") || err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), secret)) {
						t.Errorf("error %v, want %q", err, tt.err)
					}
					if _, ok, err := r.Find("other.example.com", "app"); ok || err != nil {
						t.Errorf("another host: %t, %v", ok, err)
					}
				}
			})
		}
	}
}

// TestBroken: what cannot be used at all hides nothing else.
func TestBroken(t *testing.T) {
	for name, tt := range map[string]struct{ typ, key, content, want string }{
		"type":        {"Opaque", keyDockerConfigJSON, `{}`, `its type is "Opaque"`},
		"key":         {TypeDockercfg, keyDockerConfigJSON, `{}`, "it has no key .dockercfg"},
		"no JSON":     {TypeDockerConfigJSON, keyDockerConfigJSON, `{"auths":{"s3cr3t`, "its content is not a JSON object"},
		"list":        {TypeDockerConfigJSON, keyDockerConfigJSON, `["s3cr3t"]`, "its content is not a JSON object"},
		"auths":       {TypeDockerConfigJSON, keyDockerConfigJSON, `{"auths":"s3cr3t"}`, "auths in it is not a JSON object"},
		"no host":     {TypeDockerConfigJSON, keyDockerConfigJSON, `{"auths":{"https:///v1/":{"username":"u","password":"s3cr3t"}}}`, `the entry "https:///v1/" names no host`},
		"bad pattern": {TypeDockerConfigJSON, keyDockerConfigJSON, `{"auths":{"x:s3cr3t@a.[b.example.com":{"username":"u","password":"s3cr3t"}}}`, `the entry "a.[b.example.com" is not a host`},
	} {
		t.Run(name, func(t *testing.T) {
			var r Ring
			err := r.Add(tt.typ, map[string][]byte{tt.key: []byte(tt.content)})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			add(t, &r, "h.example.com", "fine")
			if _, ok, err := r.Find("h.example.com", "app"); !ok || err != nil {
				t.Errorf("another secret: %t, %v", ok, err)
			}
		})
	}
	var r Ring
	if err := r.Add(TypeDockerConfigJSON, map[string][]byte{keyDockerConfigJSON: []byte(`{"auths":{"":{"auth":"eDp5"},"h.example.com":{"auth":"?"},"*.example.com":{"auth":"` + auth("u", "p") + `"}}}`)}); err == nil {
		t.Error("no word of an entry without a host")
	}
	c, ok, err := r.Find("h.example.com", "app")
	if !ok || c.Password.Reveal() != "p" || err == nil {
		t.Errorf("found %t, %v; want the glob's, and a word about the other", ok, err)
	}
}

func FuzzRing(f *testing.F) {
	f.Add([]byte(`{"auths":{"h.example.com":{"auth":"dXNlcjpwYXNz"},"*.io/v2/a/b":{"username":"u","password":"p"}}}`), "h.example.com", "a/b")
	f.Add([]byte(`{"https://index.docker.io/v1/":{"auth":"dXNlcjpwYXNz\n","email":"x"},"[::1]:5000":{}}`), "docker.io", "library/nginx")
	f.Add([]byte(`{"auths":{"a.[b":{"auth":"x"},"@@://":{"identitytoken":"t"}}}`), "", "")
	f.Fuzz(func(t *testing.T, content []byte, host, repository string) {
		var r Ring
		_ = r.Add(TypeDockercfg, map[string][]byte{keyDockercfg: content}) // told or not, the rest counts
		c, ok, _ := r.Find(host, repository)
		switch again, okAgain, _ := r.Find(strings.ToUpper(strings.ToLower(host)), repository); {
		case ok && c.Password.IsZero() && c.IdentityToken.IsZero():
			t.Error("found an empty credential")
		case ok && (!utf8.ValidString(c.Username) || !utf8.ValidString(c.Password.Reveal())):
			t.Error("found what no message can carry")
		case ok && canonical(host) == "":
			t.Errorf("found something for no host")
		case ok && c.Scope == "", !ok && c.Scope != "":
			t.Errorf("found %t, scope %q", ok, c.Scope)
		case isASCII(host) && (ok != okAgain || fmt.Sprint(c) != fmt.Sprint(again)):
			t.Errorf("%q: capitals make a difference", host)
		}
	})
}

// FuzzEntry: what docker login writes for a key is found under the host and
// path of the key, or refused without a word of the password.
func FuzzEntry(f *testing.F) {
	f.Add("https://index.docker.io/v1/", "user", "pass:word")
	f.Add("Registry.example.com:443/team", "", "\x00")
	f.Add("me:secret@[::1]:5000", "_json_key", "{\"a\": 1}\r\n")
	f.Fuzz(func(t *testing.T, key, user, password string) {
		const planted = "pl4nted-"
		if !utf8.ValidString(key) || strings.Contains(key, planted) {
			return // JSON would change it, or errors may tell it
		}
		password = planted + password
		content, err := json.Marshal(map[string]any{"auths": map[string]any{key: map[string]string{"auth": auth(user, password)}}})
		if err != nil {
			t.Fatal(err)
		}
		var r Ring
		told := r.Add(TypeDockerConfigJSON, map[string][]byte{keyDockerConfigJSON: content})
		host, path, err := split(key)
		if (err != nil) != (told != nil) {
			t.Fatalf("the key is refused with %v, the secret with %v", err, told)
		}
		c, ok, unusable := r.Find(host, path)
		for _, err := range []error{told, unusable} {
			if err != nil && strings.Contains(err.Error(), planted) {
				t.Errorf("the error %q tells the password", err)
			}
		}
		plain := !strings.Contains(user, ":") && utf8.ValidString(user) && utf8.ValidString(password) &&
			strings.TrimRight(password, "\x00\r\n") == password
		if told == nil && !hasGlob(host) && plain && (!ok || c.Username != user || c.Password.Reveal() != password) {
			t.Errorf("%q: found %t %q, %v", key, ok, c.Username, unusable)
		}
	})
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
