package cluster

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk"
)

// confined sends no request that reads or writes outside its namespaces,
// whoever makes it: Helm, a template that looks something up, a comparison.
type confined struct {
	base       http.RoundTripper
	prefix     string
	namespaces []string
}

// RoundTrip implements http.RoundTripper.
func (c *confined) RoundTrip(req *http.Request) (*http.Response, error) {
	if !c.allows(req.Method, split(req.URL.Path, c.prefix)) {
		if req.Body != nil {
			_ = req.Body.Close() // as a RoundTripper must; nothing was sent
		}
		return nil, sdk.Permanent(fmt.Errorf("%s %s reaches beyond the attribute namespaces, which is %s", req.Method, req.URL.Path, strings.Join(c.namespaces, ", ")))
	}
	return c.base.RoundTrip(req)
}

// WrappedRoundTripper lets client-go find the transport below.
func (c *confined) WrappedRoundTripper() http.RoundTripper { return c.base }

// allows tells whether a request stays within: questions about kinds, the
// namespaces themselves, and what is in them. A POST to the list of namespaces
// names the new one in its body only; whoever makes it has looked at the name.
func (c *confined) allows(method string, path []string) bool {
	if aboutKinds(path) {
		return method == http.MethodGet
	}
	below := path[min(len(path), 3):] // /apis/GROUP/VERSION
	if path[0] == "api" {
		below = path[2:]
	}
	if len(below) == 0 || below[0] != "namespaces" {
		return false
	}
	if len(below) == 1 {
		return method == http.MethodPost
	}
	return slices.Contains(c.namespaces, below[1])
}
