package live

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

var configMaps = cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, Resource: "configmaps", Namespaced: true}

// crowded serves a namespace with n ConfigMaps, c0 and so on, of which none is
// anybody's member, page by page.
type crowded struct {
	n           int
	lists, gets atomic.Int64
}

func (c *crowded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	q := r.URL.Query()
	if !q.Has("limit") {
		c.gets.Add(1)
		name := path.Base(r.URL.Path)
		if i, err := strconv.Atoi(strings.TrimPrefix(name, "c")); err != nil || i >= c.n {
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
			return
		}
		_ = json.NewEncoder(w).Encode(configMap(name))
		return
	}
	c.lists.Add(1)
	list := metav1.PartialObjectMetadataList{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadataList"}}
	if !q.Has("labelSelector") {
		limit, _ := strconv.Atoi(q.Get("limit"))
		from, _ := strconv.Atoi(q.Get("continue"))
		for i := from; i < min(from+limit, c.n); i++ {
			list.Items = append(list.Items, configMap(fmt.Sprintf("c%d", i)))
		}
		if left := int64(c.n - from - limit); left > 0 {
			list.Continue, list.RemainingItemCount = strconv.Itoa(from+limit), &left
		}
	}
	_ = json.NewEncoder(w).Encode(list)
}

func configMap(name string) metav1.PartialObjectMetadata {
	return metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "big", UID: "u"},
	}
}

// TestReadWithinNamespaces: no request goes where the reader may not look, and
// what is there counts as unknown, not as gone.
func TestReadWithinNamespaces(t *testing.T) {
	var asked []string
	var mu sync.Mutex
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Path)
		mu.Unlock()
		(&crowded{n: 5000}).ServeHTTP(w, r)
	}))
	defer s.Close()
	client, err := metadata.NewForConfig(&rest.Config{Host: s.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	namespaces := cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, Resource: "namespaces"}
	volumes := cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolume"}, Resource: "persistentvolumes"}
	kinds := cluster.NewKinds(func(context.Context) ([]cluster.Kind, map[string]error, error) {
		return []cluster.Kind{configMaps, namespaces, volumes}, nil, nil
	})
	inside := applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: "big", Name: "c1"}
	outside := []applier.Ref{
		{Version: "v1", Kind: "ConfigMap", Namespace: "other", Name: "c2"},
		{Version: "v1", Kind: "Namespace", Name: "other"},
		{Version: "v1", Kind: "PersistentVolume", Name: "big"},
	}
	wants := []Want{{Ref: inside, Kind: configMaps}, {Ref: outside[0], Kind: configMaps}, {Ref: outside[1], Kind: namespaces}, {Ref: outside[2], Kind: volumes}}
	facts, err := Reader{Client: client, Kinds: kinds, Manager: "sluice", Namespaces: []string{"big"}}.Read(t.Context(), "id", wants)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := facts.Get(inside); !there || facts.Blind(inside) != "" {
		t.Errorf("%s: there %t, blind %q", inside, there, facts.Blind(inside))
	}
	const why = "it is outside the applier's namespaces (big), so it is left alone"
	for _, ref := range outside {
		if _, there := facts.Get(ref); there || facts.Blind(ref) != why {
			t.Errorf("%s: there %t, blind %q, want %q", ref, there, facts.Blind(ref), why)
		}
	}
	for _, p := range asked {
		if !strings.HasPrefix(p, "/api/v1/namespaces/big/configmaps") {
			t.Errorf("asked for %s", p)
		}
	}
}

// TestReadCosts: what is wanted is found with few requests, whatever else is in
// its namespace, and nothing else is kept.
func TestReadCosts(t *testing.T) {
	for _, tt := range []struct {
		name               string
		crowd              int // objects in the namespace
		from, to           int // wanted: c<from> to c<to-1>, each twice
		found, lists, gets int
	}{
		{"few in a large namespace", 5000, 0, 4, 4, 1, 4},
		{"few that do not exist", 5000, 5000, 5004, 0, 1, 4},
		{"some in a large namespace", 5000, 4990, 5000, 10, 1 + 1, 10},
		{"some on its first page", 5000, 0, 6, 6, 1 + 1, 0},
		{"many in a namespace of few pages", 1200, 900, 1300, 300, 1 + 3, 0},
		{"many in an empty namespace", 0, 0, 400, 0, 1 + 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &crowded{n: tt.crowd}
			s := httptest.NewServer(c)
			defer s.Close()
			client, err := metadata.NewForConfig(&rest.Config{Host: s.URL, QPS: -1})
			if err != nil {
				t.Fatal(err)
			}
			kinds := cluster.NewKinds(func(context.Context) ([]cluster.Kind, map[string]error, error) {
				return []cluster.Kind{configMaps}, nil, nil
			})
			var wants []Want
			for i := range 2 * (tt.to - tt.from) {
				name := fmt.Sprintf("c%d", tt.from+i/2)
				wants = append(wants, Want{Kind: configMaps, Ref: applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: "big", Name: name}})
			}
			facts, err := Reader{Client: client, Kinds: kinds, Manager: "sluice"}.Read(t.Context(), "id", wants)
			if err != nil {
				t.Fatal(err)
			}
			found := 0
			for range facts.All() {
				found++
			}
			if lists, gets := int(c.lists.Load()), int(c.gets.Load()); found != tt.found || lists != tt.lists || gets != tt.gets {
				t.Errorf("found %d with %d lists and %d gets; want %d with %d and %d", found, lists, gets, tt.found, tt.lists, tt.gets)
			}
		})
	}
}

// TestReadMissingNamespaces: nothing is looked for in a namespace that does not
// exist, unless nobody can say so.
func TestReadMissingNamespaces(t *testing.T) {
	for name, tt := range map[string]struct {
		namespaces int // answer to the question for a namespace
		want       []string
	}{
		"does not exist":  {http.StatusNotFound, []string{"/api/v1/namespaces/gone"}},
		"exists":          {http.StatusOK, []string{"/api/v1/namespaces/gone", "/api/v1/namespaces/gone/configmaps/c0"}},
		"may not be read": {http.StatusForbidden, []string{"/api/v1/namespaces/gone", "/api/v1/namespaces/gone/configmaps/c0"}},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string // one request after the other
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path)
				if tt.namespaces == http.StatusOK || r.URL.Path != "/api/v1/namespaces/gone" {
					w.Header().Set("Content-Type", "application/json")
					object := configMap(path.Base(r.URL.Path))
					object.Namespace = ""
					_ = json.NewEncoder(w).Encode(object)
					return
				}
				w.WriteHeader(tt.namespaces)
			}))
			defer s.Close()
			client, err := metadata.NewForConfig(&rest.Config{Host: s.URL, QPS: -1})
			if err != nil {
				t.Fatal(err)
			}
			namespaces := cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, Resource: "namespaces"}
			kinds := cluster.NewKinds(func(context.Context) ([]cluster.Kind, map[string]error, error) {
				return []cluster.Kind{configMaps, namespaces}, nil, nil
			})
			_, err = Reader{Client: client, Kinds: kinds, Manager: "sluice"}.Read(t.Context(), "", []Want{
				{Ref: applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: "gone", Name: "c0"}, Kind: configMaps},
				{Ref: applier.Ref{Version: "v1", Kind: "Namespace", Name: "gone"}, Kind: namespaces},
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
		})
	}
}
