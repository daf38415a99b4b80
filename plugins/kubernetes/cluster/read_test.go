package cluster

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestDecodeList(t *testing.T) {
	for name, tt := range map[string]struct {
		list  string
		names []string
		next  string
		fails bool
	}{
		"page":          {`{"kind":"List","metadata":{"resourceVersion":"1","continue":"c"},"items":[{"n":"a","x":{"y":[1]}},{"n":"b"}]}`, []string{"a", "b"}, "c", false},
		"items first":   {`{"items":[{"n":"a"}],"metadata":{"continue":"c"},"more":[{}]}`, []string{"a"}, "c", false},
		"nothing":       {`{"metadata":{},"items":[]}`, nil, "", false},
		"null":          {`{"metadata":{},"items":null}`, nil, "", false},
		"no list":       {`{"items":{"n":"a"}}`, nil, "", true},
		"cut":           {`{"items":[{"n":"a"},{"n":`, []string{"a"}, "", true},
		"cut after one": {`{"items":[{"n":"a"}`, []string{"a"}, "", true},
		"no object":     {`[]`, nil, "", true},
		"empty":         {``, nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var names []string
			next, err := decodeList(json.NewDecoder(strings.NewReader(tt.list)), func(d *json.Decoder) error {
				var item struct{ N string }
				err := d.Decode(&item)
				if err == nil {
					names = append(names, item.N)
				}
				return err
			})
			if (err != nil) != tt.fails || err == nil && next != tt.next {
				t.Errorf("next %q, %v; want %q, failure %t", next, err, tt.next, tt.fails)
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestRead: where requests go, what becomes of a refusal, and that a name does
// not lead elsewhere.
func TestRead(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.RequestURI())
		switch {
		case strings.HasSuffix(r.URL.Path, "/status"):
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"kind":"Status","status":"Failure","message":"not for you","reason":"Forbidden","code":403}`)
		case strings.HasSuffix(r.URL.Path, "/proxy"):
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `<html>`)
		default:
			fmt.Fprint(w, `{"n":"it","items":[]}`)
		}
	}))
	defer s.Close()
	base, err := url.Parse(s.URL + "/cluster-1") // as behind a proxy of clusters
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{http: s.Client(), base: base}
	secrets, jobs := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}, schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	var object struct{ N string }
	if err := c.Object(t.Context(), secrets, "ns", "it", &object); err != nil || object.N != "it" {
		t.Errorf("%+v, %v", object, err)
	}
	if err := c.Object(t.Context(), secrets, "ns", "status", &object); !apierrors.IsForbidden(err) || err.Error() != "not for you" {
		t.Errorf("refused: %v", err)
	}
	if err := c.Object(t.Context(), secrets, "ns", "proxy", &object); !apierrors.IsNotFound(err) {
		t.Errorf("refused by something else: %v", err)
	}
	if err := c.Object(t.Context(), secrets, "ns", "", &object); err == nil {
		t.Error("an object without a name is a list")
	}
	for _, name := range []string{"..", ".", "../x", "a/b", "%2e%2e"} {
		if err := c.Object(t.Context(), secrets, "ns", name, &object); err == nil {
			t.Errorf("the name %q leads somewhere", name)
		}
		if _, err := c.Page(t.Context(), jobs, name, metav1.ListOptions{}, nil); err == nil {
			t.Errorf("the namespace %q leads somewhere", name)
		}
	}
	for _, namespace := range []string{"", "ns"} {
		o := metav1.ListOptions{Limit: 7, Continue: "a&b", LabelSelector: "x!=y,!z"}
		if _, err := c.Page(t.Context(), jobs, namespace, o, nil); err != nil {
			t.Error(err)
		}
	}
	const query = "?continue=a%26b&labelSelector=x%21%3Dy%2C%21z&limit=7"
	want := []string{
		"/cluster-1/api/v1/namespaces/ns/secrets/it", "/cluster-1/api/v1/namespaces/ns/secrets/status", "/cluster-1/api/v1/namespaces/ns/secrets/proxy",
		"/cluster-1/apis/batch/v1/jobs" + query, "/cluster-1/apis/batch/v1/namespaces/ns/jobs" + query,
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}
