package remote

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// harborDialect is the API of Harbor, which takes the password of the registry.
type harborDialect struct{}

type harborArtifact struct {
	Digest string `json:"digest"`
	Tags   []struct {
		Name   string    `json:"name"`
		Pushed laxerTime `json:"push_time"`
	} `json:"tags"`
}

const harborPageSize = 100

func (harborDialect) first(t *target) (*url.URL, error) {
	project, name, ok := strings.Cut(t.req.Repository, "/")
	if !ok {
		return nil, fmt.Errorf("%s/%s: a repository of Harbor has a project before its name", t.req.Host, t.req.Repository)
	}
	// Harbor wants the slashes of the name encoded, and its web server decodes
	// once: so twice.
	name = url.PathEscape(url.PathEscape(name))
	return t.parse(t.base.String() + "/api/v2.0/projects/" + url.PathEscape(project) + "/repositories/" + name + "/artifacts" + harborQuery(1))
}

func harborQuery(page int) string {
	return fmt.Sprintf("?with_tag=true&sort=-push_time&page_size=%d&page=%d", harborPageSize, page)
}

// read tells that there is no next page by a page that is not full.
func (harborDialect) read(page *url.URL, a *answer, emit func(registry.Tag)) (string, error) {
	var artifacts *[]harborArtifact
	if err := readJSON(a, &artifacts); err != nil {
		return "", err
	}
	if artifacts == nil {
		return "", errNoTags
	}
	for _, artifact := range *artifacts {
		for _, tag := range artifact.Tags {
			emit(known(registry.Tag{Name: tag.Name, Digest: artifact.Digest, Pushed: tag.Pushed.Time}))
		}
	}
	if len(*artifacts) < harborPageSize {
		return "", nil
	}
	n, err := strconv.Atoi(page.Query().Get("page"))
	return harborQuery(n + 1), err
}

// newestFirst is false: the order is that of artifacts, and a tag can be set on
// an old one.
func (harborDialect) newestFirst() bool { return false }

func (harborDialect) fetch(c *Client) fetch { return c.withPassword }
