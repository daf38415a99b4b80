package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// discovery asks an API server for everything it serves, in two requests, as
// KEP-3352 (aggregated discovery) describes. client-go's own client for this
// brings every typed API of Kubernetes into the process.
type discovery struct {
	client *http.Client
	base   *url.URL
}

const discoveryType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// discovered is what the plugin needs of an APIGroupDiscoveryList.
type discovered struct {
	Items []struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
		Versions []struct {
			Version   string               `json:"version"`
			Freshness string               `json:"freshness"`
			Resources []discoveredResource `json:"resources"`
		} `json:"versions"`
	} `json:"items"`
}

type discoveredResource struct {
	Resource     string `json:"resource"`
	Scope        string `json:"scope"`
	ResponseKind *struct {
		Kind string `json:"kind"`
	} `json:"responseKind"`
	Verbs []string `json:"verbs"`
}

func newDiscovery(config *rest.Config, hc *http.Client) (*discovery, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	return &discovery{hc, base}, nil
}

// errStale says that an aggregated API server does not answer.
var errStale = errors.New("its APIService has no healthy backend")

// fetch returns what is served, and the groups whose servers do not answer.
func (d *discovery) fetch(ctx context.Context) (kinds []Kind, dead map[string]error, err error) {
	dead = map[string]error{}
	for _, path := range []string{"/api", "/apis"} {
		list, err := d.get(ctx, path)
		if err != nil {
			return nil, nil, fmt.Errorf("which kinds the cluster serves: %w", err)
		}
		for _, group := range list.Items {
			for _, v := range group.Versions {
				if v.Freshness == "Stale" {
					dead[group.Metadata.Name] = errStale
				}
				gv := schema.GroupVersion{Group: group.Metadata.Name, Version: v.Version}
				for _, r := range v.Resources {
					if kind, ok := r.kind(gv); ok {
						kinds = append(kinds, kind)
					}
				}
			}
		}
	}
	return kinds, dead, nil
}

func (d *discovery) get(ctx context.Context, path string) (*discovered, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base.JoinPath(path).String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", discoveryType)
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("GET %s: %s", path, resp.Status)
	case !strings.Contains(resp.Header.Get("Content-Type"), "apidiscovery.k8s.io"):
		return nil, fmt.Errorf("GET %s: no aggregated discovery; Kubernetes 1.27 or newer is needed", path)
	}
	list := &discovered{}
	if err := json.NewDecoder(resp.Body).Decode(list); err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	return list, nil
}

// kind tells what can be applied as r; ok is false if nothing can.
func (r discoveredResource) kind(gv schema.GroupVersion) (kind Kind, ok bool) {
	if r.ResponseKind == nil || !slices.Contains(r.Verbs, "patch") {
		return Kind{}, false
	}
	return Kind{gv.WithKind(r.ResponseKind.Kind), r.Resource, r.Scope == "Namespaced"}, true
}
