package remote_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wallet holds the credentials of a test, in the order in which they are given
// out: the next one after each that is rejected.
type wallet struct {
	mu       sync.Mutex
	list     []credentials.Credential
	rejected []string       // IDs
	refusals map[string]int // by repository
}

func (w *wallet) Credential(_ context.Context, req credentials.Request) (credentials.Credential, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := w.refusals[req.Repository]; n < len(w.list) {
		return w.list[n], nil
	}
	return credentials.Credential{}, nil
}

func (w *wallet) Reject(_ context.Context, req credentials.Request, c credentials.Credential) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.refusals == nil {
		w.refusals = map[string]int{}
	}
	w.rejected = append(w.rejected, c.ID)
	w.refusals[req.Repository]++
}

func password(user, value string) credentials.Credential {
	return credentials.Credential{ID: "test/" + user, Username: user, Password: secret.New(value)}
}

// fast is a limiter that no test has to wait for.
func fast() *limit.Limiter {
	return limit.New(limit.Options{Ceiling: func(string) limit.Limits { return limit.Limits{RPS: 1e6, Burst: 10_000} }})
}

// newClient returns a client that talks plain http, unless host says otherwise.
func newClient(t *testing.T, host remote.Host, creds ...credentials.Credential) (*remote.Client, *wallet) {
	t.Helper()
	w := &wallet{list: creds}
	c, err := remote.New(remote.Options{
		Credentials: w, Limiter: fast(), RetryDelay: time.Millisecond,
		Hosts: func(string) remote.Host { return host },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, w
}

// newLoggingClient is newClient with all that it logs.
func newLoggingClient(t *testing.T, host remote.Host, creds ...credentials.Credential) (*remote.Client, *bytes.Buffer) {
	t.Helper()
	var logged bytes.Buffer
	c, err := remote.New(remote.Options{
		Credentials: &wallet{list: creds}, Limiter: fast(), RetryDelay: time.Millisecond,
		Hosts:  func(string) remote.Host { return host },
		Logger: slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, &logged
}

var plain = remote.Host{Insecure: true}

// list returns all tags by name.
func list(t *testing.T, c *remote.Client, req credentials.Request, o remote.TagsOptions) (map[string]registry.Tag, remote.Listing, error) {
	t.Helper()
	tags := map[string]registry.Tag{}
	listing, err := c.Tags(t.Context(), req, o, func(tag registry.Tag) {
		if _, ok := tags[tag.Name]; ok {
			t.Errorf("the tag %s came twice", tag.Name)
		}
		tags[tag.Name] = tag
	})
	return tags, listing, err
}

func names(tags map[string]registry.Tag) []string { return slices.Sorted(maps.Keys(tags)) }

func repo(r *registrytest.Registry, name string) credentials.Request {
	return credentials.Request{Host: r.Host, Repository: name}
}
