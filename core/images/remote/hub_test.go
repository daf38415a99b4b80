package remote_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// On Docker Hub a part of the pulls is left to the kubelets, and what is no pull
// goes on.
func TestDockerHubQuota(t *testing.T) {
	t.Parallel()
	r := registrytest.Start(t, registrytest.Options{})
	var images []registrytest.Image
	for i := range 20 {
		images = append(images, registrytest.Image{Tags: []string{fmt.Sprintf("t%02d", i)}, Content: fmt.Sprint(i)})
	}
	r.PushAll("library/app", images)
	r.SetLimit(registrytest.Limit{Pulls: 10, Window: "6h"})
	l := limit.New(limit.Options{Ceiling: func(string) limit.Limits { return limit.Limits{RPS: 1000, Burst: 1000, Reserve: 0.3} }})
	var asked []string
	c, err := remote.New(remote.Options{Credentials: &wallet{}, Limiter: l, Hosts: func(host string) remote.Host {
		asked = append(asked, host)
		return remote.Host{Endpoint: r.URL(), Insecure: true}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	req := credentials.Request{Host: "docker.io", Repository: "library/app"}
	pulled := 0
	for ; pulled < 20; pulled++ {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if pulled == 7 {
			ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		}
		_, err = c.Image(ctx, req, fmt.Sprintf("t%02d", pulled), remote.ImageOptions{})
		cancel()
		if err != nil {
			break
		}
	}
	if pulled != 7 || !remote.IsThrottled(err) {
		t.Errorf("%d of 10 pulls were used, then %v", pulled, err)
	}
	if _, err := c.Head(t.Context(), req, "t19"); err != nil {
		t.Error(err)
	}
	if _, err := c.Tags(t.Context(), req, remote.TagsOptions{}, func(registry.Tag) {}); err != nil {
		t.Error(err)
	}
	budgets := l.Budgets()
	if len(budgets) != 1 || budgets[0].Host != "index.docker.io" || budgets[0].Quota == nil || budgets[0].Quota.Remaining != 3 || budgets[0].Throttled > 0 {
		t.Errorf("budgets %+v", budgets)
	}
	if asked[0] != "index.docker.io" {
		t.Errorf("hosts %q", asked)
	}
}

// An unchanged tag on Docker Hub costs no pull.
func TestDockerHubUnchangedTag(t *testing.T) {
	r := registrytest.Start(t, registrytest.Options{})
	digest := r.Push("library/app", registrytest.Image{Tags: []string{"latest"}})
	c, _ := newClient(t, remote.Host{Endpoint: r.URL(), Insecure: true})
	req := credentials.Request{Host: "index.docker.io", Repository: "library/app"}
	img, err := c.Image(t.Context(), req, "latest", remote.ImageOptions{})
	if err != nil || img.Digest != digest {
		t.Fatalf("%+v, %v", img, err)
	}
	r.Reset()
	_, err = c.Image(t.Context(), req, "latest", remote.ImageOptions{Last: digest, Known: func(d string) (cache.Image, bool) { return img, d == digest }})
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]int{"manifest-head": 1}, r.Counts()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
