// Package install makes the manifests that Sluice runs with in a cluster: a
// namespace, an account with its rights, the configuration, and a Deployment of
// one pod. What it makes is plain YAML for kubectl apply; it speaks to no
// cluster.
package install

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Where things are in the pod.
const (
	ConfigDir = "/etc/sluice"
	DataDir   = "/var/lib/sluice"
)

// name is what all objects are called.
const name = "sluice"

// Options says what to run, and where.
type Options struct {
	Namespace string // of the pod
	// Image holds sluice, its plugins beside it, and git. Its user is not root,
	// and given by number.
	Image string

	Config map[string]string // files of the configuration by name, without a directory
	Secret bool              // they hold secrets

	// Listen is where the API listens in the pod, unix:///path; empty: in
	// DataDir.
	Listen string
	// Storage is the size of a volume that outlives the pod, such as 1Gi;
	// empty: none. Suspensions, and which releases are to be uninstalled, are
	// then lost with the pod; everything else is found out anew.
	Storage string

	Rights Rights
}

// Rights are what the pod may do in its own cluster. The zero Rights are none.
type Rights struct {
	Cluster    bool     // everything: what is in git may be anything
	Namespaces []string // everything in these, if not Cluster
}

// manifest is a Kubernetes object.
type manifest struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   object `yaml:"metadata"`
	Rest       object `yaml:",inline"`
}

// object is a part of a manifest.
type object = map[string]any

// Manifests returns the objects as YAML documents, in an order in which they can
// be created.
func Manifests(o Options) ([]byte, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	objects := []manifest{
		declare("v1", "Namespace", "", o.Namespace, nil),
		declare("v1", "ServiceAccount", o.Namespace, name, nil),
	}
	objects = append(objects, o.Rights.objects(o.Namespace)...)
	objects = append(objects, o.config())
	if o.Storage != "" {
		objects = append(objects, o.volumeClaim())
	}
	objects = append(objects, o.deployment())
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	for _, obj := range objects {
		if err := enc.Encode(obj); err != nil {
			return nil, fmt.Errorf("manifest of %s: %w", obj.Kind, err)
		}
	}
	return out.Bytes(), nil
}

// declare makes a manifest; rest is what it has beside its metadata.
func declare(apiVersion, kind, namespace, called string, rest object) manifest {
	meta := object{"name": called, "labels": labels()}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	return manifest{apiVersion, kind, meta, rest}
}

// labels are those that the pod is found by, too.
func labels() object { return object{"app.kubernetes.io/name": name} }
