package remote

import (
	"context"
	"fmt"
	"net/http"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/limit"
)

// Head returns the digest that a tag has now. It is free on Docker Hub.
func (c *Client) Head(ctx context.Context, req credentials.Request, tag string) (string, error) {
	t, err := c.target(req)
	if err != nil {
		return "", err
	}
	return c.head(ctx, t, tag)
}

func (c *Client) head(ctx context.Context, t *target, tag string) (string, error) {
	k, err := t.manifestCall(http.MethodHead, tag)
	if err != nil {
		return "", err
	}
	k.class = t.class(limit.Free)
	a, err := c.do(ctx, t, k)
	if err != nil {
		return "", err
	}
	digest := a.header.Get("Docker-Content-Digest")
	switch {
	case a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotImplemented || a.status < 300 && !validDigest(digest):
		m, err := c.manifest(ctx, t, tag, "")
		if err != nil {
			return "", err
		}
		return m.digest, nil
	case a.status >= 300:
		return "", t.newError(k.asked, a)
	}
	return digest, nil
}

// manifestCall asks for a manifest by tag or digest.
func (t *target) manifestCall(method, ref string) (*call, error) {
	if !tagName.MatchString(ref) && !validDigest(ref) {
		return nil, fmt.Errorf("%s/%s: %.140q is neither a tag nor a digest", t.req.Host, t.req.Repository, ref)
	}
	u, err := t.url("manifests/" + ref)
	if err != nil {
		return nil, err
	}
	return &call{
		method: method, url: u, asked: "the manifest of " + ref, max: maxManifest,
		class: limit.Counted, header: http.Header{"Accept": {manifestTypes}},
	}, nil
}
