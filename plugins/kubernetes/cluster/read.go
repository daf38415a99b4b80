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

// Page reads one page of a list, object by object: see gets a decoder that
// stands before each. Decoding into a type that has the fields that are needed
// and no others takes a fraction of the memory that whole objects do.
// namespace is "" for all. Of o it heeds Limit, Continue and LabelSelector.
// The token of the next page is empty after the last one. A refusal is an
// *errors.StatusError of apimachinery; see may have been called before another
// error.
func (c *Client) Page(ctx context.Context, gvr schema.GroupVersionResource, namespace string, o metav1.ListOptions, see func(*json.Decoder) error) (next string, err error) {
	u, err := c.locate(gvr, namespace, "")
	if err != nil {
		return "", err
	}
	query := url.Values{"limit": {strconv.FormatInt(o.Limit, 10)}}
	if o.Continue != "" {
		query.Set("continue", o.Continue)
	}
	if o.LabelSelector != "" {
		query.Set("labelSelector", o.LabelSelector)
	}
	u.RawQuery = query.Encode()
	err = c.read(ctx, u, func(d *json.Decoder) error {
		next, err = decodeList(d, see)
		return err
	})
	return next, err
}

// decodeList walks through a list without holding it.
func decodeList(d *json.Decoder, see func(*json.Decoder) error) (next string, err error) {
	err = members(d, '{', func() error {
		key, err := d.Token()
		if err != nil {
			return err
		}
		switch key {
		case "metadata":
			var m struct {
				Continue string `json:"continue"`
			}
			err = d.Decode(&m)
			next = m.Continue
		case "items":
			err = members(d, '[', func() error { return see(d) })
		default:
			err = d.Decode(&json.RawMessage{})
		}
		return err
	})
	return next, err
}

// members calls do before each member of an object or array, or never for
// null.
func members(d *json.Decoder, opening json.Delim, do func() error) error {
	switch begin, err := d.Token(); {
	case err != nil || begin == nil:
		return err
	case begin != opening:
		return fmt.Errorf("%v in place of %v", begin, opening)
	}
	for d.More() {
		if err := do(); err != nil {
			return err
		}
	}
	_, err := d.Token() // the end
	return err
}

// Object reads one object into a type that has the fields that are needed.
func (c *Client) Object(ctx context.Context, gvr schema.GroupVersionResource, namespace, name string, into any) error {
	if name == "" {
		return fmt.Errorf("%s: an object without a name cannot be read", gvr.Resource) // it would be a list
	}
	u, err := c.locate(gvr, namespace, name)
	if err != nil {
		return err
	}
	return c.read(ctx, u, func(d *json.Decoder) error { return d.Decode(into) })
}

// locate returns where a resource is served. Namespace and name may be empty.
func (c *Client) locate(gvr schema.GroupVersionResource, namespace, name string) (*url.URL, error) {
	for _, segment := range []string{namespace, name} {
		if problems := content.IsPathSegmentName(segment); len(problems) > 0 { // nobody checks names that stand in specs
			return nil, fmt.Errorf("%s: the name %q %s", gvr.Resource, segment, problems[0])
		}
	}
	u := c.base.JoinPath("apis", gvr.Group, gvr.Version)
	if gvr.Group == "" {
		u = c.base.JoinPath("api", gvr.Version)
	}
	if namespace != "" {
		u = u.JoinPath("namespaces", url.PathEscape(namespace))
	}
	return u.JoinPath(gvr.Resource, url.PathEscape(name)), nil
}

func (c *Client) read(ctx context.Context, u *url.URL, decode func(*json.Decoder) error) error {
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
	if err := decode(json.NewDecoder(resp.Body)); err != nil {
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
