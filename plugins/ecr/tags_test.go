package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// list collects a listing by name of the tag.
func list(t *testing.T, l registry.Lister, host, repository string) (map[string]registry.Tag, error) {
	t.Helper()
	tags := map[string]registry.Tag{}
	err := l.Tags(t.Context(), registry.Request{Host: host, Repository: repository}, func(tag registry.Tag) {
		if _, twice := tags[tag.Name]; twice {
			t.Errorf("the tag %s was emitted twice", tag.Name)
		}
		tags[tag.Name] = tag
	})
	return tags, err
}

func checkTags(t *testing.T, tags map[string]registry.Tag, digests map[string]string) {
	t.Helper()
	got := map[string]string{}
	for name, tag := range tags {
		got[name] = tag.Digest
		if age := time.Since(tag.Pushed); age < -time.Minute || age > time.Hour {
			t.Errorf("%s was pushed %v ago", name, age)
		}
		if !tag.Created.IsZero() {
			t.Errorf("%s has a creation time, which ECR does not know", name)
		}
	}
	if diff := cmp.Diff(digests, got); diff != "" {
		t.Error(diff)
	}
}

func TestTags(t *testing.T) {
	d := startDevregistry(t, "1m")
	r, _ := openECR(t, nil)
	first, second := d.push("shop/api", []string{"v1", "stable"}), d.push("shop/api", []string{"v2"})
	tags, err := list(t, r, home, "shop/api")
	if err != nil {
		t.Fatal(err)
	}
	checkTags(t, tags, map[string]string{"v1": first, "stable": first, "v2": second})

	for _, host := range []string{"gcr.io", "index.docker.io", publicHost} {
		if _, err := list(t, r, host, "shop/api"); !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("Tags of %s: %v; want ErrAnonymous", host, err)
		}
	}
	_, err = list(t, r, home, "no/such")
	if err == nil || !sdk.IsPermanent(err) || !strings.Contains(err.Error(), "there is no such repository") || !strings.Contains(err.Error(), "no/such") {
		t.Errorf("Tags of a missing repository: %v", err)
	}
}

// TestTagPages lists more images than fit on two pages.
func TestTagPages(t *testing.T) {
	d := startDevregistry(t, "1m")
	t.Setenv("AWS_MAX_ATTEMPTS", "1")
	want := map[string]string{}
	const images, pages = 2100, 3
	d.pushMany("many", images, want)
	r, _ := openECR(t, nil)
	d.send(http.MethodDelete, "/requests", nil)
	tags, err := list(t, r, home, "many")
	if err != nil {
		t.Fatal(err)
	}
	checkTags(t, tags, want)

	// A page that fails spoils the listing.
	d.knobs(values{"throttle": []values{{"action": "ecr:DescribeImages", "skip": pages - 1, "count": 1}}})
	tags, err = list(t, r, home, "many")
	if err == nil || len(tags) > 0 {
		t.Errorf("%d tags and %v although the last page failed", len(tags), err)
	}
}

func TestPublicTags(t *testing.T) {
	d := startDevregistry(t, "1m")
	r, _ := openECR(t, nil)
	digest := d.push("devregistry/tools/cli", []string{"v1"})
	d.push("other/tools/cli", []string{"v1"})
	tags, err := list(t, r, publicHost, "devregistry/tools/cli")
	if err != nil {
		t.Fatal(err)
	}
	checkTags(t, tags, map[string]string{"v1": digest})
	for _, repository := range []string{"other/tools/cli", "not-yet/tools/cli", "devregistry", ""} {
		if _, err := list(t, r, publicHost, repository); !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("Tags of %q: %v; want ErrAnonymous", repository, err)
		}
	}
}

// TestForbiddenAccount has an account that does not let the identity list, and
// one beside it that does.
func TestForbiddenAccount(t *testing.T) {
	d := startDevregistry(t, "1m")
	d.push("shop/api", []string{"v1"})
	d.knobs(values{"deny": []values{{"action": "ecr:DescribeImages", "account": otherAccount}}})
	r, h := openECR(t, nil)
	for range 2 {
		if _, err := list(t, r, foreign, "shop/api"); !errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("Tags of the forbidden account: %v; want ErrAnonymous, so that the registry itself is asked", err)
		}
		if tags, err := list(t, r, home, "shop/api"); err != nil || len(tags) != 1 {
			t.Errorf("Tags of the allowed account: %v, %v", tags, err)
		}
		mustAnswer(t, d, r, home)
		mustAnswer(t, d, r, foreign)
	}
	d.knobs(values{"deny": []values{}})
	if _, err := list(t, r, foreign, "shop/api"); !errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("asked again at once: %v; want ErrAnonymous, without a request", err)
	}
	if n := strings.Count(h.Log(), "tags are listed without push times"); n != 1 {
		t.Errorf("the log says it %d times, not once:\n%s", n, h.Log())
	}
	if !strings.Contains(h.Log(), "allow ecr:DescribeImages on the repository") {
		t.Errorf("the log does not tell what to allow:\n%s", h.Log())
	}
}

// TestMovedTag has a tag on two pages, as one that moves between the requests.
func TestMovedTag(t *testing.T) {
	var s tagSet
	old, now := time.Unix(1000, 0), time.Unix(2000, 0)
	for _, tag := range []registry.Tag{{Name: "a", Digest: "1", Pushed: old}, {Name: "b", Digest: "1", Pushed: now}, {Name: "a", Digest: "2", Pushed: now}, {Name: "b", Digest: "2", Pushed: old}} {
		s.add(tag)
	}
	want := []registry.Tag{{Name: "a", Digest: "2", Pushed: now}, {Name: "b", Digest: "1", Pushed: now}}
	if diff := cmp.Diff(want, s.tags); diff != "" {
		t.Error(diff)
	}
}

func TestEachPage(t *testing.T) {
	var asked []string
	next := map[string]string{"": "a", "a": "b", "b": "b"}
	err := eachPage(func(token *string) (*string, error) {
		key := ""
		if token != nil {
			key = *token
		}
		asked = append(asked, key)
		answer := next[key]
		return &answer, nil
	})
	if err == nil || fmt.Sprint(asked) != "[ a b]" {
		t.Errorf("asked for the pages %q, got %v; want an error at the one that names itself", asked, err)
	}
}
