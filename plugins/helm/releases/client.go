package releases

import (
	"bytes"
	"context"
	"io"
	"slices"

	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/kubectl/pkg/validation"

	"github.com/sluice-gitops/sluice/plugins/helm/cluster"
)

// client is Helm's client of Kubernetes without the questions that a shared
// connection need not ask.
type client struct {
	*kube.Client
	lenient bool               // do not let the API server check fields
	confine func(string) error // refuses manifests that reach too far
	ended   func() error       // why the operation is over, if it is
	log     *progress
}

func newClient(ctx context.Context, getter *cluster.Getter, namespace string, log *progress) *client {
	c := kube.New(getter)
	c.Namespace = namespace
	c.WaitContext = ctx //nolint:staticcheck // the polling wait knows no other way
	c.Factory = factory{c.Factory}
	c.SetLogger(log)
	return &client{Client: c, ended: ctx.Err, log: log}
}

// IsReachable implements kube.Interface. The next request will tell.
func (c *client) IsReachable() error { return nil }

// Create implements kube.Interface.
func (c *client) Create(resources kube.ResourceList, options ...kube.ClientCreateOption) (*kube.Result, error) {
	if len(resources) == 0 { // a hook that is empty once rendered
		return &kube.Result{}, nil
	}
	if c.lenient {
		options = append(slices.Clone(options), kube.ClientCreateOptionFieldValidationDirective(kube.FieldValidationDirectiveIgnore))
	}
	made, err := c.Client.Create(resources, options...)
	return made, refusal(err)
}

// Update implements kube.Interface.
func (c *client) Update(original, target kube.ResourceList, options ...kube.ClientUpdateOption) (*kube.Result, error) {
	if c.lenient {
		options = append(slices.Clone(options), kube.ClientUpdateOptionFieldValidationDirective(kube.FieldValidationDirectiveIgnore))
	}
	made, err := c.Client.Update(original, target, options...)
	return made, refusal(err)
}

// Build implements kube.Interface. Helm calls it with what it has rendered
// before it asks for, or changes, any of the objects.
func (c *client) Build(r io.Reader, validate bool) (kube.ResourceList, error) {
	manifest, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if err := c.confine(string(manifest)); err != nil {
		return nil, err
	}
	return c.Client.Build(bytes.NewReader(manifest), validate)
}

// factory validates nothing but that no key is there twice: the API server
// does the rest.
type factory struct{ kube.Factory }

// Validator implements kube.Factory.
func (factory) Validator(string) (validation.Schema, error) {
	return validation.NoDoubleKeySchema{}, nil
}
