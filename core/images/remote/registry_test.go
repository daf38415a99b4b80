package remote_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

var robot = registrytest.User{Name: "robot", Password: "pass-word-of-robot", Repositories: []string{"team/**", "team/*"}}

// Each kind of authentication: what the first poll costs, and the next ones.
func TestPollIsOneRequest(t *testing.T) {
	for _, tt := range []struct {
		auth  string
		creds []credentials.Credential
		first map[string]int
	}{
		{"none", nil, map[string]int{"tags": 1}},
		{"basic", []credentials.Credential{password("robot", robot.Password)}, map[string]int{"tags": 2}},
		{"token", []credentials.Credential{password("robot", robot.Password)}, map[string]int{"tags": 2, "token": 1}},
	} {
		t.Run(tt.auth, func(t *testing.T) {
			r := registrytest.Start(t, registrytest.Options{Auth: tt.auth, Users: []registrytest.User{robot}})
			digest := r.Push("team/app", registrytest.Image{Tags: []string{"1.0", "1.1", "latest"}})
			c, w := newClient(t, plain, tt.creds...)
			r.Reset()
			for i, want := range []map[string]int{tt.first, {"tags": 1}, {"tags": 1}} {
				tags, listing, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff([]string{"1.0", "1.1", "latest"}, names(tags)); diff != "" || listing != (remote.Listing{}) {
					t.Errorf("listing %+v, tags (-want +got):\n%s", listing, diff)
				}
				if diff := cmp.Diff(want, r.Counts()); diff != "" {
					t.Errorf("requests of poll %d (-want +got):\n%s", i+1, diff)
				}
				r.Reset()
			}
			got, err := c.Head(t.Context(), repo(r, "team/app"), "latest")
			if err != nil || got != digest {
				t.Errorf("the digest is %s, %v, want %s", got, err, digest)
			}
			if diff := cmp.Diff(map[string]int{"manifest-head": 1}, r.Counts()); diff != "" {
				t.Errorf("requests of a digest (-want +got):\n%s", diff)
			}
			if len(w.rejected) > 0 {
				t.Errorf("rejected %v", w.rejected)
			}
		})
	}
}

func TestTenThousandTags(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	var want []string
	for i := range 10_000 {
		want = append(want, fmt.Sprintf("build-%05d", i))
	}
	digest := r.Push("team/many", registrytest.Image{})
	r.ManyTags("team/many", digest, want)
	c, _ := newClient(t, plain)
	r.Reset()
	tags, _, err := list(t, c, repo(r, "team/many"), remote.TagsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(tags); !slices.Equal(want, got) {
		t.Errorf("%d tags, want %d", len(got), len(want))
	}
	if got := r.Count(); got > 11 {
		t.Errorf("%d requests, want one for each thousand", got)
	}
}

// A page that fails makes the listing fail, not shrink.
func TestFailedPageFailsTheListing(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	digest := r.Push("team/many", registrytest.Image{})
	var all []string
	for i := range 2500 {
		all = append(all, fmt.Sprintf("t%04d", i))
	}
	r.ManyTags("team/many", digest, all)
	for name, fault := range map[string]registrytest.Fault{
		"cut":   {Class: "tags", Skip: 1, Cut: true},
		"500":   {Class: "tags", Skip: 1, Status: 500},
		"404":   {Class: "tags", Skip: 2, Status: 404, Body: `{"errors":[{"code":"NAME_UNKNOWN"}]}`},
		"html":  {Class: "tags", Skip: 1, Status: 200, Body: "<html>sign in</html>"},
		"other": {Class: "tags", Skip: 1, Status: 200, Body: `{"hello":"world"}`},
		"empty": {Class: "tags", Skip: 1, Status: 200, Body: " "},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := newClient(t, plain)
			r.SetFaults(fault)
			if tags, _, err := list(t, c, repo(r, "team/many"), remote.TagsOptions{}); err == nil {
				t.Errorf("no error, %d tags", len(tags))
			} else {
				t.Log(err)
			}
			// What passes is tried again.
			if fault.Status != 500 && !fault.Cut {
				return
			}
			fault.Count = 2
			r.SetFaults(fault)
			if tags, _, err := list(t, c, repo(r, "team/many"), remote.TagsOptions{}); err != nil || len(tags) != len(all) {
				t.Errorf("after two failures: %d tags, %v", len(tags), err)
			}
		})
	}
}

// A token that ends between polls, and one that the registry does not take any
// more, are replaced; the credential is not blamed.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{Auth: "token", Users: []registrytest.User{robot}, TokenLife: time.Second})
	r.Push("team/app", registrytest.Image{Tags: []string{"1"}})
	c, w := newClient(t, plain, password("robot", robot.Password))
	r.Reset()
	polls := 0
	for r.Count("token") < 3 {
		if _, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{}); err != nil {
			t.Fatal(err)
		}
		polls++
	}
	if polls < 4 {
		t.Errorf("three tokens were fetched for %d polls", polls)
	}
	r.Reset()
	r.SetFaults(registrytest.Fault{Class: "tags", Count: 1, Status: 401, Header: map[string]string{
		"WWW-Authenticate": fmt.Sprintf(`Bearer realm="%s/token",service="devregistry",scope="repository:team/app:pull",error="invalid_token"`, r.URL()),
	}})
	if _, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(w.rejected) > 0 {
		t.Errorf("rejected %v", w.rejected)
	}
}

// The credential that the registry refuses is told, and the next one used.
func TestRefusedCredential(t *testing.T) {
	for _, auth := range []string{"basic", "token"} {
		t.Run(auth, func(t *testing.T) {
			r := registrytest.Start(t, registrytest.Options{Auth: auth, Users: []registrytest.User{robot}})
			r.Push("team/app", registrytest.Image{Tags: []string{"1"}})
			c, w := newClient(t, plain, password("old", "wrong-password"), password("robot", robot.Password))
			if _, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"test/old"}, w.rejected); diff != "" {
				t.Errorf("rejected (-want +got):\n%s", diff)
			}
			c, w = newClient(t, plain, password("old", "wrong-password"), password("older", "wrong-password"))
			r.Reset()
			_, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{})
			if !remote.IsUnauthorized(err) || len(w.rejected) != 1 {
				t.Errorf("with two wrong ones: %v, rejected %v", err, w.rejected)
			}
			if got := r.Count(); got > 3 {
				t.Errorf("%d requests, want the first, and one for each credential", got)
			}
			t.Log(err)
		})
	}
}

// What one may not see, and what is not there, does not stop others.
func TestForbiddenAndMissingRepositories(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{Auth: "token", Users: []registrytest.User{robot}})
	r.Push("team/app", registrytest.Image{Tags: []string{"1"}})
	r.Push("secret/app", registrytest.Image{Tags: []string{"1"}})
	c, w := newClient(t, plain, password("robot", robot.Password))
	if _, _, err := list(t, c, repo(r, "secret/app"), remote.TagsOptions{}); !remote.IsUnauthorized(err) || len(w.rejected) != 1 {
		t.Errorf("a forbidden repository: %v, rejected %v", err, w.rejected)
	}
	if _, _, err := list(t, c, repo(r, "team/none"), remote.TagsOptions{}); !remote.IsNotFound(err) {
		t.Errorf("a repository that is not there: %v", err)
	}
	if _, err := c.Head(t.Context(), repo(r, "team/app"), "2"); !remote.IsNotFound(err) {
		t.Errorf("a tag that is not there: %v", err)
	}
	if tags, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{}); err != nil || len(tags) != 1 {
		t.Errorf("then %d tags, %v", len(tags), err)
	}
}

// Every form in which a registry says too many is waited for, and nothing is
// lost.
func TestThrottled(t *testing.T) {
	t.Parallel()
	for _, form := range []string{"seconds", "date", "body", "none"} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			r := registrytest.Start(t, registrytest.Options{})
			r.Push("team/app", registrytest.Image{Tags: []string{"1"}})
			r.SetLimit(registrytest.Limit{RPS: 5, Burst: 1, RetryAfter: form})
			c, _ := newClient(t, plain)
			r.Reset()
			for range 5 {
				if tags, _, err := list(t, c, repo(r, "team/app"), remote.TagsOptions{}); err != nil || len(tags) != 1 {
					t.Fatalf("%d tags, %v", len(tags), err)
				}
			}
			refused := 0
			for _, q := range r.Requests() {
				if q.Status == 429 {
					refused++
				}
			}
			if refused == 0 || refused > 4 {
				t.Errorf("%d requests were refused, want a few", refused)
			}
		})
	}
}

func TestThrottledForLong(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	r.Push("team/app", registrytest.Image{Tags: []string{"1"}})
	r.SetFaults(registrytest.Fault{Status: 429, Header: map[string]string{"Retry-After": "3600"}, Body: `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`})
	c, _ := newClient(t, plain)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := c.Tags(ctx, repo(r, "team/app"), remote.TagsOptions{}, func(registry.Tag) {})
	e, ok := errors.AsType[*remote.Error](err)
	if !ok || e.RetryAfter != time.Hour || !remote.IsThrottled(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v: %+v", err, e)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Head(ctx, repo(r, "team/app"), "1"); !remote.IsThrottled(err) || r.Count() > 1 {
		t.Errorf("while it is blocked: %v after %d requests", err, r.Count())
	}
	t.Log(err)
}
