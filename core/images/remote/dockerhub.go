package remote

import (
	"net/url"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// hubDialect is the API of hub.docker.com, which shows public repositories to
// everyone and does not count as a pull.
type hubDialect struct{}

type hubPage struct {
	Next    string `json:"next"`
	Results *[]struct {
		Name    string    `json:"name"`
		Digest  string    `json:"digest"`
		Updated laxerTime `json:"last_updated"`
		Pushed  laxerTime `json:"tag_last_pushed"`
		Images  []struct {
			Digest string `json:"digest"`
		} `json:"images"`
	} `json:"results"`
}

func (hubDialect) first(t *target) (*url.URL, error) {
	base := t.base.String()
	if base == dockerHubEndpoint {
		base = dockerHubAPI
	}
	return t.parse(base + "/v2/repositories/" + escapePath(t.req.Repository) + "/tags?page_size=100&ordering=last_updated")
}

func (hubDialect) read(_ *url.URL, a *answer, emit func(registry.Tag)) (string, error) {
	var p hubPage
	if err := readJSON(a, &p); err != nil {
		return "", err
	}
	if p.Results == nil {
		return "", errNoTags
	}
	for _, r := range *p.Results {
		tag := registry.Tag{Name: r.Name, Digest: r.Digest, Pushed: r.Pushed.Time}
		if tag.Pushed.IsZero() {
			tag.Pushed = r.Updated.Time
		}
		if tag.Digest == "" && len(r.Images) == 1 { // pushed before Hub told the digest of an index
			tag.Digest = r.Images[0].Digest
		}
		emit(known(tag))
	}
	return p.Next, nil
}

func (hubDialect) newestFirst() bool { return true }

func (hubDialect) fetch(c *Client) fetch { return c.anonymously }

// known leaves out what is no digest and what is no time.
func known(tag registry.Tag) registry.Tag {
	if !validDigest(tag.Digest) {
		tag.Digest = ""
	}
	tag.Pushed, tag.Created = plausible(tag.Pushed).UTC(), plausible(tag.Created).UTC()
	return tag
}

// plausible is zero for times that only stand for an unknown one, as builds
// that are reproducible write: 0001, 1970 and 1980.
func plausible(t time.Time) time.Time {
	if t.Year() <= 1980 {
		return time.Time{}
	}
	return t
}
