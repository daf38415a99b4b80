package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// distribution never ends the broadcaster of events that nobody gets.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/docker/go-events.(*Broadcaster).run"))
}

// start runs the command until the test ends, and checks that it leaves
// nothing behind.
func start(t *testing.T, args ...string) ready {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	stdin, hold := io.Pipe()
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	var running sync.WaitGroup
	code := 0
	running.Go(func() {
		code = run(context.Background(), args, stdin, stdout, &stderr) // ends by stdin, as for a user
		_ = stdout.Close()
	})
	t.Cleanup(func() {
		_ = hold.Close()
		running.Wait()
		left, err := os.ReadDir(os.TempDir())
		if code != exitOK || stderr.Len() > 0 || err != nil || len(left) > 0 {
			t.Errorf("exit code %d, %v, left %v\n%s", code, err, left, &stderr)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		hold.Close()
		running.Wait()
		t.Fatalf("no line on stdout: %v\n%s", err, &stderr)
	}
	var r ready
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return r
}

// client is an HTTP client that trusts the registry and whose connections end
// with the test.
func client(t *testing.T, r ready) *http.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tlsConfig(t, r.CA)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func request(t *testing.T, r ready, method, url, body string) (status int, answer string, header http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client(t, r).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %s: %v", method, url, resp.Status, err)
	}
	return resp.StatusCode, string(content), resp.Header
}

// drive calls the control API.
func drive(t *testing.T, r ready, method, path, body string) string {
	t.Helper()
	status, answer, _ := request(t, r, method, r.Control+path, body)
	if status >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

type entry struct {
	Method, Path, Query, Class, Auth, User string
	Status                                 int
	Bytes                                  int64
}

func requests(t *testing.T, r ready) (out []entry) {
	t.Helper()
	if err := json.Unmarshal([]byte(drive(t, r, http.MethodGet, "/requests", "")), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// A client that many people use pushes, lists and pulls, however the registry
// asks for credentials.
func TestGGCR(t *testing.T) {
	for name, args := range map[string][]string{
		"none":        {},
		"basic":       {"-auth", "basic", "-user", "ann:s3cret"},
		"token":       {"-auth", "token", "-user", "ann:s3cret"},
		"cloud":       {"-auth", "cloud", "-user", "ann:s3cret"},
		"tls":         {"-auth", "token", "-user", "ann:s3cret", "-tls"},
		"data":        {"-data", filepath.Join(t.TempDir(), "data")},
		"short token": {"-auth", "token", "-user", "ann:s3cret", "-token-life", "1s"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, args...)
			options := []remote.Option{
				remote.WithTransport(client(t, r).Transport), remote.WithContext(t.Context()),
				remote.WithAuth(&authn.Basic{Username: "ann", Password: "s3cret"}),
			}
			pushAndPull(t, r.Registry+"/team/app", options)
		})
	}
}

func pushAndPull(t *testing.T, repository string, options []remote.Option) {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	index, err := random.Index(100, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(repo.Tag("1.0"), index, options...); err != nil {
		t.Fatal(err)
	}
	tags, err := remote.List(repo, options...)
	if err != nil || len(tags) != 1 || tags[0] != "1.0" {
		t.Errorf("tags %v, %v", tags, err)
	}
	got, err := remote.Index(repo.Tag("1.0"), options...)
	if err != nil {
		t.Fatal(err)
	}
	if want, have := digest(t, index), digest(t, got); want != have {
		t.Errorf("pulled %s, pushed %s", have, want)
	}
	m, err := got.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	child, err := got.Image(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.ConfigFile(); err != nil {
		t.Errorf("the config: %v", err)
	}
}

func digest(t *testing.T, d interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	h, err := d.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"-help":            {exitOK, "Usage: devregistry"},
		"-auth magic":      {exitUsage, `"magic" is not a way to authenticate`},
		"-user ann":        {exitUsage, "a user is written name:password"},
		"-cloud ibm":       {exitUsage, `there is no fake of "ibm"`},
		"-dialect klingon": {exitUsage, `there is no dialect "klingon"`},
		"-token-life 1ms":  {exitUsage, "-token-life is at least 1s"},
		"surplus":          {exitUsage, `unexpected argument "surplus"`},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(args), strings.NewReader(""), &stdout, &stderr)
		if code != want.code || !strings.Contains(stderr.String(), want.text) || stdout.Len() > 0 {
			t.Errorf("%s: exit code %d, stdout %q, stderr:\n%s", args, code, &stdout, &stderr)
		}
	}
}

// Whatever is waited for, a signal ends it.
func TestEndsBySignal(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	stdin, hold := io.Pipe()
	var running sync.WaitGroup
	code := -1
	running.Go(func() { code = run(ctx, nil, stdin, stdout, io.Discard) })
	if _, err := bufio.NewReader(out).ReadBytes('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	running.Wait()
	_ = hold.Close()
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// Tokens expire, and say when.
func TestTokensExpire(t *testing.T) {
	r := start(t, "-auth", "token", "-user", "ann:s3cret", "-token-life", "1s")
	_, body, _ := request(t, r, http.MethodGet, "http://ann:s3cret@"+r.Registry+"/token?scope=repository:app:pull", "")
	var answer struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.ExpiresIn != 1 {
		t.Fatalf("%s: %v", body, err)
	}
	ask := func(repository string) (int, string) {
		list := "http://" + r.Registry + "/v2/" + repository + "/tags/list"
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, list, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+answer.Token)
		resp, err := client(t, r).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("WWW-Authenticate")
	}
	if got, _ := ask("app"); got != http.StatusNotFound {
		t.Fatalf("with a fresh token: %d, want 404: there is no repository yet", got)
	}
	if status, challenge := ask("other"); status != 401 || !strings.HasSuffix(challenge, `scope="repository:other:pull",error="insufficient_scope"`) {
		t.Errorf("for another repository: %d %s", status, challenge)
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		status, challenge := ask("app")
		if status == http.StatusUnauthorized {
			if !strings.HasSuffix(challenge, `error="invalid_token"`) {
				t.Errorf("challenge %s", challenge)
			}
			return
		}
		select {
		case <-deadline:
			t.Fatal("the token does not expire")
		case <-tick.C:
		}
	}
}
