package authfile

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func parse(t *testing.T, content string) File {
	t.Helper()
	f, err := Parse([]byte(content))
	if err != nil {
		t.Fatalf("%s: %v", content, err)
	}
	return f
}

func password(username, password string) Credential {
	return Credential{Username: username, Password: secret.New(password)}
}

func TestLookup(t *testing.T) {
	f := parse(t, `{
		"auths": {
			"https://index.docker.io/v1/": {"auth": "`+b64("hub:h1")+`"},
			"r.example.com": {"username": "ann", "password": "p:w"},
			"r.example.com/team": {"auth": "`+b64("team:t1")+`"},
			"https://both.example.com/v2/": {"auth": "`+b64("auth:wins")+`", "username": "not", "password": "this"},
			"*.wild.example.com": {"auth": "`+b64("wild:w")+`"},
			"one.wild.example.com": {"auth": "`+b64("one:o")+`"},
			"token.example.com": {"auth": "`+b64("00000000:")+`", "identitytoken": "refresh"},
			"unpadded.example.com": {"auth": "`+strings.TrimRight(b64("u:pass"), "=")+`"},
			"broken-lines.example.com": {"auth": "`+b64("someone:")[:4]+`\n`+b64("someone:password")[4:]+`\n"},
			"zeros.example.com": {"auth": "`+b64("z:pass\x00\x00")+`"},
			"stored.example.com": {},
			"localhost:5000": {"auth": "`+b64("local:l")+`"}
		},
		"HttpHeaders": {"User-Agent": "x"}
	}`)
	for image, want := range map[string]Credential{
		"index.docker.io/library/nginx": password("hub", "h1"),
		"docker.io/library/nginx":       password("hub", "h1"),
		"r.example.com/app":             password("ann", "p:w"),
		"r.example.com/team/app":        password("team", "t1"),
		"r.example.com/teams/app":       password("ann", "p:w"),
		"both.example.com/app":          password("auth", "wins"),
		"any.wild.example.com/app":      password("wild", "w"),
		"one.wild.example.com/app":      password("one", "o"),
		"a.b.wild.example.com/app":      {},
		"token.example.com/app":         {Username: "00000000", IdentityToken: secret.New("refresh")},
		"unpadded.example.com/app":      password("u", "pass"),
		"broken-lines.example.com/app":  password("someone", "password"),
		"zeros.example.com/app":         password("z", "pass"),
		"stored.example.com/app":        {},
		"localhost:5000/app":            password("local", "l"),
		"localhost/app":                 {},
	} {
		host, repository, _ := strings.Cut(image, "/")
		got, err := f.Lookup(host, repository)
		if err != nil || got != want {
			t.Errorf("%s: %s %q, %v", image, got.Username, got.Password.Reveal(), err)
		}
	}
	for host, want := range map[string]bool{"r.example.com": true, "localhost:5000": false, "none.example.com": false} {
		if got := f.ByRepository(host); got != want {
			t.Errorf("ByRepository(%s) = %t", host, got)
		}
	}
}

func TestHelper(t *testing.T) {
	f := parse(t, `{"credsStore": "desktop", "credHelpers": {"gcr.io": "gcloud", "https://index.docker.io/v1/": "pass", "*.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login"}}`)
	for host, want := range map[string]string{
		"gcr.io": "gcloud", "docker.io": "pass", "1.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login", "quay.io": "desktop",
	} {
		if got := f.Helper(host); got != want {
			t.Errorf("%s: %s", host, got)
		}
	}
	if got := parse(t, `{"auths":{}}`).Helper("gcr.io"); got != "" {
		t.Errorf("without helpers: %s", got)
	}
}

// The older file is the map alone.
func TestBareMap(t *testing.T) {
	f := parse(t, `{"https://r.example.com": {"username": "ann", "password": "s", "email": "a@example.com", "auth": "`+b64("ann:s")+`"}}`)
	if got, err := f.Lookup("r.example.com", "app"); err != nil || got != password("ann", "s") {
		t.Errorf("%+v, %v", got, err)
	}
	for _, empty := range []string{"{}", `{"auths":null}`, `{"auths":{}}`, `{"detachKeys":"ctrl-e"}`, `{"proxies":{"default":{}}}`} {
		if got, err := parse(t, empty).Lookup("r.example.com", "app"); err != nil || !got.IsZero() {
			t.Errorf("%s: %+v, %v", empty, got, err)
		}
	}
}

// One bad entry does not spoil the others, and its error is for who asks.
func TestBadEntries(t *testing.T) {
	f := parse(t, `{"auths": {
		"good.example.com": {"auth": "`+b64("a:b")+`"},
		"a.example.com": {"auth": "hunter2-hunter2!"},
		"b.example.com": {"auth": "`+b64("hunter2-hunter2")+`"},
		"c.example.com": ["hunter2-hunter2"],
		"f.example.com": {"auth": "`+b64("\xff\xfe:hunter2-hunter2")+`"},
		"d.example.com": {"password": 7777777},
		"e.example.com": {"registrytoken": "hunter2-hunter2"},
		"/only/a/path": {"auth": "`+b64("a:b")+`"}
	}, "credHelpers": {"a b": "x"}}`)
	if got, err := f.Lookup("good.example.com", "app"); err != nil || got != password("a", "b") {
		t.Errorf("%+v, %v", got, err)
	}
	for host, want := range map[string]string{
		"a.example.com": `auths: "a.example.com": auth is not base64`,
		"b.example.com": `auths: "b.example.com": auth is not base64 of user:password`,
		"f.example.com": `auths: "f.example.com": the user name in auth is not text in UTF-8`,
		"c.example.com": `auths: "c.example.com": it is no object with strings`,
		"d.example.com": `auths: "d.example.com": it is no object with strings`,
		"e.example.com": `auths: "e.example.com": it has only a registrytoken, which no registry gives out for longer than minutes; log in with a password or identity token`,
	} {
		if _, err := f.Lookup(host, "app"); err == nil || err.Error() != want {
			t.Errorf("%s: %v", host, err)
		}
	}
	want := []string{`auths: "/only/a/path" is left out: it names no host`, `credHelpers: "a b" is left out: it holds characters that no registry has in its name`}
	if diff := cmp.Diff(want, f.Skipped()); diff != "" {
		t.Error(diff)
	}
}

func TestBroken(t *testing.T) {
	for content, want := range map[string]string{
		"":                           "it is empty",
		" \n":                        "it is empty",
		"[]":                         "it is JSON, but no object",
		`"hunter2"`:                  "it is JSON, but no object",
		"{\n \"auths\": hunter2}":    "it is not JSON: line 2, column 11",
		`{"auths": {"a": {}}`:        "it is not JSON: line 1, column 19",
		`{"auths": ["hunter2"]}`:     `"auths" is not what docker writes there`,
		`{"credHelpers": {"a": 1}}`:  `"credHelpers" is not what docker writes there`,
		`{"credsStore": {"x": "y"}}`: `"credsStore" is not what docker writes there`,
	} {
		if _, err := Parse([]byte(content)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", content, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	for content, want := range map[string]string{
		"{":                                 path + ": it is not JSON: line 1, column 1",
		strings.Repeat(" ", maxSize) + "{}": path + ": larger than 4 MiB",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := Read(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

// Whatever a file holds, nothing panics, and no error repeats what is in it.
func FuzzParse(f *testing.F) {
	const planted = "hunter2hunter2"
	for _, seed := range []string{
		`{"auths":{"a.example.com":{"auth":"` + b64("u:"+planted) + `"}},"credHelpers":{"b":"c"},"credsStore":"d"}`,
		`{"a.example.com":{"auth":"` + planted + `"}}`,
		`{"auths":{"*.[a":{"identitytoken":7}}}`, `{`, `null`, `{"auths":{"":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := Parse(content)
		if err != nil {
			if strings.Contains(err.Error(), planted) {
				t.Errorf("the error repeats a value: %v", err)
			}
			return
		}
		for _, e := range file.entries {
			c, err := file.Lookup(strings.ReplaceAll(e.key, "*", "x"), "team/app")
			if err != nil && !strings.Contains(e.key, planted) && strings.Contains(err.Error(), planted) {
				t.Errorf("the error repeats a value: %v", err)
			}
			if printed, _ := json.Marshal(c); c.Username != planted && !c.IsZero() && strings.Contains(string(printed), planted) {
				t.Errorf("%s", printed)
			}
		}
		file.Helper("a.example.com")
		file.ByRepository("a.example.com")
	})
}
