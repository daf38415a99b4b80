package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// requestTimeout bounds one request. An API server that is starting may accept
// a connection long before it answers on it.
const requestTimeout = 5 * time.Second

// client talks to the API server of a cluster. It knows the few requests that a
// devcluster makes; a real client would bring a hundred modules with it.
type client struct {
	http          *http.Client
	server, token string
}

// newClient returns a client with the rights of an administrator. Its close
// must be called.
func newClient(l layout, p ports) (*client, error) {
	ca, err := os.ReadFile(l.pki("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s: no certificate in it", l.pki("ca.crt"))
	}
	token, err := tokenOf(l.dir, userOf("devcluster"))
	if err != nil {
		return nil, err
	}
	// No proxy of the environment: the server is on this machine.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	return &client{
		http:   &http.Client{Transport: transport, Timeout: requestTimeout},
		server: localURL("https", p.APIServer),
		token:  token,
	}, nil
}

func (c *client) close() { c.http.CloseIdleConnections() }

// answerError is an answer of the server that is not a success.
type answerError struct {
	method, path string
	code         int
	body         string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("%s %s: %d %s: %s", e.method, e.path, e.code, http.StatusText(e.code), e.body)
}

// get decodes the JSON at path into result, unless that is nil.
func (c *client) get(ctx context.Context, path string, result any) error {
	return c.do(ctx, http.MethodGet, path, nil, result)
}

func (c *client) do(ctx context.Context, method, path string, body, result any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, &content)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "devcluster")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // It was read to the end or is of no use.
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return &answerError{method, path, response.StatusCode, strings.TrimSpace(string(data))}
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(data, result)
}

// etcdHealth returns why etcd does not serve, or nil when it does.
func etcdHealth(ctx context.Context, p ports) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, localURL("http", p.EtcdClient)+"/health", nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true} // Without a proxy of the environment.
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // Only the code is of use.
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", request.URL, response.Status)
	}
	return nil
}

// node is the part of a Node that matters here.
type node struct {
	APIVersion string     `json:"apiVersion,omitempty"`
	Kind       string     `json:"kind,omitempty"`
	Metadata   metadata   `json:"metadata"`
	Spec       nodeSpec   `json:"spec"`
	Status     nodeStatus `json:"status"`
}

type metadata struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type nodeSpec struct {
	PodCIDR  string   `json:"podCIDR,omitempty"`
	PodCIDRs []string `json:"podCIDRs,omitempty"`
	Taints   []taint  `json:"taints,omitempty"`
}

type taint struct {
	Key string `json:"key"`
}

type nodeStatus struct {
	Allocatable map[string]string `json:"allocatable,omitempty"`
	Capacity    map[string]string `json:"capacity,omitempty"`
	Conditions  []condition       `json:"conditions,omitempty"`
}

type condition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
}

// newNode returns the i-th fake node, with room for anything.
func newNode(i int) node {
	name := nodeName(i)
	room := map[string]string{"cpu": "1000", "memory": "4Ti", "pods": "10000", "ephemeral-storage": "4Ti"}
	cidr := fmt.Sprintf("10.%d.0.0/16", 100+i)
	return node{
		APIVersion: "v1", Kind: "Node",
		Metadata: metadata{
			Name: name,
			Labels: map[string]string{
				"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
			},
			Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
		},
		Spec:   nodeSpec{PodCIDR: cidr, PodCIDRs: []string{cidr}},
		Status: nodeStatus{Allocatable: room, Capacity: room},
	}
}

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// createNodes creates those of the first n nodes that are missing.
func (c *client) createNodes(ctx context.Context, n int) error {
	present, err := c.nodes(ctx)
	if err != nil {
		return err
	}
	for i := range n {
		if slices.ContainsFunc(present, func(p node) bool { return p.Metadata.Name == nodeName(i) }) {
			continue
		}
		err := c.do(ctx, http.MethodPost, "/api/v1/nodes", newNode(i), nil)
		if answer, ok := errors.AsType[*answerError](err); ok && answer.code == http.StatusConflict {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *client) nodes(ctx context.Context) ([]node, error) {
	var list struct {
		Items []node `json:"items"`
	}
	err := c.get(ctx, "/api/v1/nodes", &list)
	return list.Items, err
}

// nodesReady returns an error unless each of the first n nodes is ready and
// takes pods.
func (c *client) nodesReady(ctx context.Context, n int) error {
	present, err := c.nodes(ctx)
	if err != nil {
		return err
	}
	for i := range n {
		ready := slices.ContainsFunc(present, func(p node) bool { return p.Metadata.Name == nodeName(i) && p.ready() })
		if !ready {
			return fmt.Errorf("%s is not ready", nodeName(i))
		}
	}
	return nil
}

// ready reports whether the scheduler may place pods on the node. The taints of
// a node that is not ready go a moment after it is.
func (n node) ready() bool {
	for _, taint := range n.Spec.Taints {
		if strings.HasPrefix(taint.Key, "node.kubernetes.io/") {
			return false
		}
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == "Ready" {
			return condition.Status == "True"
		}
	}
	return false
}
