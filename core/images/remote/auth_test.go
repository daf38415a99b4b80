package remote_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// wants lets only requests with this authorization through, and challenges others.
func wants(authorization, challenge string, next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != authorization {
			w.Header().Add("WWW-Authenticate", `Negotiate`)
			w.Header().Add("WWW-Authenticate", challenge)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// An identity token goes to the token server in a form, and nowhere else.
func TestIdentityToken(t *testing.T) {
	o := newOddRegistry(t)
	o.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		want := map[string]string{"grant_type": "refresh_token", "refresh_token": "refresh-me", "service": "reg", "scope": "repository:team/app:pull", "client_id": "sluice"}
		for name, value := range want {
			if got := r.PostFormValue(name); got != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
		body(200, `{"access_token":"short-lived","expires_in":300}`)(w, r)
	})
	o.Handle("/v2/team/app/tags/list", wants("Bearer short-lived", fmt.Sprintf(`Bearer realm="%s/token",service="reg",scope="repository:team/app:pull"`, o.URL), body(200, `{"name":"team/app","tags":["1"]}`)))
	c, _ := newClient(t, plain, credentials.Credential{ID: "acr", IdentityToken: secret.New("refresh-me")})
	if _, _, err := list(t, c, o.repo(), remote.TagsOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"GET /v2/team/app/tags/list", "POST /token", "GET /v2/team/app/tags/list Bearer short-lived"}
	if diff := cmp.Diff(want, o.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// Many polls at once fetch one token. (That they share it while it is fetched,
// TestTokenOfACallerThatGaveUp shows.)
func TestTokenIsFetchedOnce(t *testing.T) {
	o := newOddRegistry(t)
	var fetched atomic.Int32
	o.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		body(200, `{"token":"t"}`)(w, r)
	})
	o.Handle("/v2/team/app/tags/list", wants("Bearer t", fmt.Sprintf(`Bearer realm="%s/token"`, o.URL), body(200, `{"name":"team/app","tags":[]}`)))
	c, _ := newClient(t, plain)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			if _, err := c.Tags(t.Context(), o.repo(), remote.TagsOptions{}, func(registry.Tag) {}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := fetched.Load(); n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
}

// A registry that changes how it wants to be authenticated to is understood at
// the next poll.
func TestSchemeChanges(t *testing.T) {
	o := newOddRegistry(t)
	var basic atomic.Bool
	o.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if basic.Load() {
			http.NotFound(w, r)
			return
		}
		body(200, `{"token":"t","expires_in":1}`)(w, r)
	})
	o.HandleFunc("/v2/team/app/tags/list", func(w http.ResponseWriter, r *http.Request) {
		want, challenge := "Bearer t", fmt.Sprintf(`Bearer realm="%s/token"`, o.URL)
		if basic.Load() {
			want, challenge = "Basic cm9ib3Q6aHVudGVyMjI=", `Basic realm="x"`
		}
		wants(want, challenge, body(200, `{"name":"team/app","tags":[]}`))(w, r)
	})
	c, w := newClient(t, plain, password("robot", "hunter22"))
	for _, now := range []bool{false, true, false, true} {
		basic.Store(now)
		if _, _, err := list(t, c, o.repo(), remote.TagsOptions{}); err != nil {
			t.Errorf("basic %t: %v", now, err)
		}
		// Another repository has no token yet.
		other := o.repo()
		other.Repository = "team/other"
		if _, err := c.Head(t.Context(), other, "1"); !remote.IsNotFound(err) {
			t.Errorf("basic %t, another repository: %v", now, err)
		}
	}
	if len(w.rejected) > 0 {
		t.Errorf("rejected %v", w.rejected)
	}
}

// What happens when the registry says no, by how it says it.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name     string
		refuse   http.HandlerFunc
		rejected int
		works    bool // with the second credential
	}{
		{"401 to a password", body(401, "", "WWW-Authenticate", `Basic realm="x"`), 1, true},
		{"ECR's 403 to an old password", body(403, `{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}`), 1, true},
		{"403", body(403, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`), 0, false},
		{"a token that does not suffice", body(401, "", "WWW-Authenticate", `Basic realm="x",error="insufficient_scope"`), 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOddRegistry(t)
			o.HandleFunc("/v2/team/app/tags/list", func(w http.ResponseWriter, r *http.Request) {
				switch user, _, _ := r.BasicAuth(); user {
				case "":
					body(401, "", "WWW-Authenticate", `Basic realm="x"`)(w, r)
				case "old":
					tt.refuse(w, r)
				default:
					body(200, `{"name":"team/app","tags":["1"]}`)(w, r)
				}
			})
			c, w := newClient(t, plain, password("old", "a"), password("new", "b"))
			_, _, err := list(t, c, o.repo(), remote.TagsOptions{})
			if (err == nil) != tt.works || len(w.rejected) != tt.rejected {
				t.Errorf("%v, rejected %v", err, w.rejected)
			}
			if err != nil && !remote.IsUnauthorized(err) {
				t.Errorf("%v is not unauthorized", err)
			}
		})
	}
}

// A password goes over plain http to an insecure host itself, never to a token
// server elsewhere.
func TestRealmElsewhere(t *testing.T) {
	thief := newOddRegistry(t)
	thief.Handle("/", body(200, `{"token":"t"}`))
	for name, realm := range map[string]string{
		"another host": thief.URL + "/token",
		"no URL":       "token",
		"no host":      "https:///token",
		"a user":       "https://user@127.0.0.1/token",
		"another kind": "file:///etc/passwd",
	} {
		o := newOddRegistry(t)
		o.Handle("/", body(401, "", "WWW-Authenticate", fmt.Sprintf("Bearer realm=%q", realm)))
		c, _ := newClient(t, plain, password("robot", "hunter22"))
		if _, _, err := list(t, c, o.repo(), remote.TagsOptions{}); err == nil {
			t.Errorf("%s: no error", name)
		}
		if got := thief.requests(); len(got) > 0 {
			t.Errorf("%s: it was asked %v", name, got)
		}
	}
}

// Object stores get no credentials, also not on the way back.
func TestRedirectsCarryNoCredentials(t *testing.T) {
	const config = `{"created":"2026-03-04T05:06:07Z","os":"linux","architecture":"amd64"}`
	o, store := newOddRegistry(t), newOddRegistry(t)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s"}}`, ociManifest, digestOf(config))
	auth := func(next http.Handler) http.Handler {
		return wants("Basic cm9ib3Q6aHVudGVyMjI=", `Basic realm="x"`, next)
	}
	o.Handle("/v2/team/app/manifests/1", auth(body(200, manifest, "Content-Type", ociManifest)))
	o.Handle("/v2/team/app/blobs/", auth(http.RedirectHandler(o.URL+"/moved", http.StatusTemporaryRedirect)))
	o.Handle("/moved", auth(http.RedirectHandler(store.URL+"/bucket?X-Amz-Signature=signature-of-aws", http.StatusFound)))
	store.Handle("/bucket", http.RedirectHandler(o.URL+"/back", http.StatusSeeOther))
	o.Handle("/back", body(200, config))
	c, _ := newClient(t, remote.Host{Insecure: true}, password("robot", "hunter22"))
	// Plain http to another host is refused, whatever it is.
	_, err := c.Image(t.Context(), o.repo(), "1", remote.ImageOptions{})
	if err == nil || !strings.Contains(err.Error(), "TLS") || strings.Contains(err.Error(), "signature-of-aws") {
		t.Errorf("a redirect to plain http: %v", err)
	}
	if got := store.requests(); len(got) > 0 {
		t.Errorf("the store was asked %v", got)
	}
}

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

// No form of a secret comes back in an error or a log line.
func TestErrorsHoldNoSecrets(t *testing.T) {
	planted := []string{"hunter22", "aHVudGVy", "bearer-token-value", "refresh-me-please", "X-Amz-Signature", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmVk"}
	text, err := json.Marshal(map[string]any{"errors": []any{map[string]any{"code": "DENIED hunter22", "message": "you sent\nBasic cm9ib3Q6aHVudGVyMjI= and Bearer bearer-token-value\x1b[31m, hunter22, refresh-me-please" +
		" to https://robot:hunter22@store.example.com/x?X-Amz-Signature=1 with eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmVk " + strings.Repeat("long ", 1000)}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, cred := range []credentials.Credential{
		password("robot", "hunter22"),
		{ID: "id", IdentityToken: secret.New("refresh-me-please")},
	} {
		o := newOddRegistry(t)
		o.Handle("/token", body(200, `{"token":"bearer-token-value"}`))
		o.HandleFunc("/v2/", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "" {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token"`, o.URL))
				w.WriteHeader(401)
				return
			}
			body(403, string(text))(w, r)
		})
		c, logged := newLoggingClient(t, plain, cred)
		_, err := c.Head(t.Context(), o.repo(), "1")
		_, _, listErr := list(t, c, o.repo(), remote.TagsOptions{})
		if err == nil || listErr == nil {
			t.Fatalf("%v, %v", err, listErr)
		}
		out := err.Error() + listErr.Error() + fmt.Sprintf("%+v %#v", err, listErr) + logged.String()
		for _, s := range append(planted, "\n\n", "\x1b") {
			// What this credential does not hold it cannot know: a password in a
			// text is only known to who sent it.
			if cred.Password.IsZero() && s == "hunter22" || cred.IdentityToken.IsZero() && s == "refresh-me-please" {
				continue
			}
			if strings.Contains(out, s) {
				t.Errorf("%q is in: %s", s, out)
			}
		}
		if len(listErr.Error()) > 700 {
			t.Errorf("the error has %d bytes", len(listErr.Error()))
		}
	}
}

// A token's life is counted by the clock of its server.
func TestTokenLife(t *testing.T) {
	now := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC) // far from this machine's
	date := now.Format(http.TimeFormat)
	for _, tt := range []struct {
		name, answer string
		tokens       int // for three polls
	}{
		{"no life told", `{"token":"t"}`, 1},
		{"issued now", `{"token":"t","expires_in":60,"issued_at":"2031-01-01T00:00:00Z"}`, 1},
		{"issued long ago", `{"token":"t","expires_in":60,"issued_at":"2030-12-31T23:00:00Z"}`, 3},
		{"issued in the future", `{"token":"t","expires_in":60,"issued_at":"2031-01-01T01:00:00Z"}`, 1},
		{"nonsense", `{"token":"t","expires_in":60,"issued_at":"yesterday"}`, 1},
	} {
		o := newOddRegistry(t)
		o.Handle("/token", body(200, tt.answer, "Date", date))
		o.Handle("/v2/team/app/tags/list", wants("Bearer t", fmt.Sprintf(`Bearer realm="%s/token"`, o.URL), body(200, `{"name":"team/app","tags":null}`)))
		c, _ := newClient(t, plain)
		for range 3 {
			if _, _, err := list(t, c, o.repo(), remote.TagsOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for _, r := range o.requests() {
			if r == "GET /token" {
				n++
			}
		}
		if n != tt.tokens {
			t.Errorf("%s: %d tokens for three polls, want %d", tt.name, n, tt.tokens)
		}
	}
}
