package remote

import (
	"fmt"
	"net/url"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// quayDialect is the API of Quay, which shows public repositories to everyone;
// it does not take the credentials of the registry.
type quayDialect struct{}

type quayPage struct {
	Tags *[]struct {
		Name   string `json:"name"`
		Digest string `json:"manifest_digest"`
		Start  int64  `json:"start_ts"` // seconds since 1970
	} `json:"tags"`
	Page int  `json:"page"`
	More bool `json:"has_additional"`
}

func (quayDialect) first(t *target) (*url.URL, error) {
	return t.parse(t.base.String() + "/api/v1/repository/" + escapePath(t.req.Repository) + "/tag/" + quayQuery(1))
}

func quayQuery(page int) string {
	return fmt.Sprintf("?onlyActiveTags=true&limit=100&page=%d", page)
}

func (quayDialect) read(_ *url.URL, a *answer, emit func(registry.Tag)) (string, error) {
	var p quayPage
	if err := readJSON(a, &p); err != nil {
		return "", err
	}
	if p.Tags == nil {
		return "", errNoTags
	}
	for _, tag := range *p.Tags {
		emit(known(registry.Tag{Name: tag.Name, Digest: tag.Digest, Pushed: time.Unix(tag.Start, 0)}))
	}
	if p.More {
		return quayQuery(p.Page + 1), nil
	}
	return "", nil
}

func (quayDialect) newestFirst() bool { return true }

func (quayDialect) fetch(c *Client) fetch { return c.anonymously }
