package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Page reads one page of a list into a type that has the fields that are
// needed and no others, which takes a fraction of the memory that whole
// objects do. namespace is "" for all. Of o it heeds Limit, Continue and
// LabelSelector. A refusal is an *errors.StatusError of apimachinery.
func (c *Client) Page(ctx context.Context, gvr schema.GroupVersionResource, namespace string, o metav1.ListOptions, into any) error {
	u := c.locate(gvr, namespace)
	query := url.Values{"limit": {strconv.FormatInt(o.Limit, 10)}}
	if o.Continue != "" {
		query.Set("continue", o.Continue)
	}
	if o.LabelSelector != "" {
		query.Set("labelSelector", o.LabelSelector)
	}
	u.RawQuery = query.Encode()
	return c.read(ctx, u, into)
}

// Object reads one object as Page reads many.
func (c *Client) Object(ctx context.Context, gvr schema.GroupVersionResource, namespace, name string, into any) error {
	for _, segment := range []string{namespace, name} {
		if problems := content.IsPathSegmentName(segment); len(problems) > 0 { // names in specs are not checked by anybody
			return fmt.Errorf("%s %q: the name %s", gvr.Resource, segment, problems[0])
		}
	}
	return c.read(ctx, c.locate(gvr, namespace).JoinPath(url.PathEscape(name)), into)
}

func (c *Client) locate(gvr schema.GroupVersionResource, namespace string) *url.URL {
	u := c.base.JoinPath("apis", gvr.Group, gvr.Version)
	if gvr.Group == "" {
		u = c.base.JoinPath("api", gvr.Version)
	}
	if namespace != "" {
		u = u.JoinPath("namespaces", url.PathEscape(namespace))
	}
	return u.JoinPath(gvr.Resource)
}

func (c *Client) read(ctx context.Context, u *url.URL, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("GET %s: %w", u.Path, err)
	}
	return nil
}

// refusal turns an answer into the error that client-go would have made of it.
func refusal(resp *http.Response) error {
	const most = 1 << 20
	body, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // cut short it is no Status, and the code tells
	status := metav1.Status{}
	if err := json.Unmarshal(body, &status); err == nil && status.Kind == "Status" && status.Code != 0 {
		return &apierrors.StatusError{ErrStatus: status}
	}
	return apierrors.NewGenericServerResponse(resp.StatusCode, http.MethodGet, schema.GroupResource{}, "", resp.Status, 0, true)
}
