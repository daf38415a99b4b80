package main

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Config is an applier "kubernetes" block, and a registry_credential
// "kubernetes" block, which needs no more than the connection and the limit of
// namespaces.
type Config struct {
	Kubeconfig string `hcl:"kubeconfig,optional" format:"path" doc:"Path of a kubeconfig file. Default: $KUBECONFIG, else ~/.kube/config, else the cluster that the daemon runs in."`
	Context    string `hcl:"context,optional" doc:"Context of the kubeconfig. Default: its current context."`
	InCluster  bool   `hcl:"in_cluster,optional" doc:"Use the service account of the pod that the daemon runs in, whatever kubeconfig there is."`

	DefaultNamespace string   `hcl:"default_namespace,optional" doc:"Namespace for objects without one. Default: the context's, else default."`
	Namespaces       []string `hcl:"namespaces,optional" doc:"Nothing outside these namespaces is read or written, and no cluster-scoped object except a Namespace of the list. Default: no limit."`

	InventoryNamespace string `hcl:"inventory_namespace,optional" doc:"Namespace of the ConfigMaps that record what each sync has; made if it does not exist. Do not change it later: the records do not move. Default: sluice, or the first of namespaces."`
	FieldManager       string `hcl:"field_manager,optional" default:"sluice" doc:"Name under which fields are owned. Two daemons that apply to one cluster need different ones."`
}

const (
	// resourcesManager is what the field manager's name gets added where the
	// host's changes of its resources are kept apart from what is applied.
	resourcesManager = "-resources"
	mostManager      = 128 - len(resourcesManager)
)

// Validate finds the mistakes that need no cluster.
func (c *Config) Validate() diag.List {
	var l diag.List
	if c.InCluster && (c.Kubeconfig != "" || c.Context != "") {
		l = append(l, diag.Errorf(diag.Attr("in_cluster"), "in_cluster excludes kubeconfig and context"))
	}
	l = append(l, c.checkName("default_namespace", c.DefaultNamespace)...)
	l = append(l, c.checkName("inventory_namespace", c.InventoryNamespace)...)
	for i, name := range c.Namespaces {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			l = append(l, diag.Errorf(diag.Attr("namespaces", i), "%q is not a namespace name: %s", name, problems[0]))
		}
	}
	if len(c.FieldManager) > mostManager {
		l = append(l, diag.Errorf(diag.Attr("field_manager"), "field_manager is longer than %d characters", mostManager))
	}
	return l
}

func (c *Config) checkName(attribute, name string) diag.List {
	if name == "" {
		return nil
	}
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		return diag.List{diag.Errorf(diag.Attr(attribute), "%q is not a namespace name: %s", name, problems[0])}
	}
	if len(c.Namespaces) > 0 && !slices.Contains(c.Namespaces, name) {
		d := diag.Errorf(diag.Attr(attribute), "%s %q is not one of namespaces", attribute, name)
		d.Detail = fmt.Sprintf("Nothing outside namespaces is read or written. Add %q to the list.", name)
		return diag.List{d}
	}
	return nil
}

// defaults fills in what was left out; context is the kubeconfig context's
// namespace.
func (c *Config) defaults(context string) {
	if len(c.Namespaces) > 0 {
		if !slices.Contains(c.Namespaces, context) {
			context = c.Namespaces[0]
		}
		c.InventoryNamespace = cmp.Or(c.InventoryNamespace, c.Namespaces[0])
	}
	c.DefaultNamespace = cmp.Or(c.DefaultNamespace, context, "default")
	c.InventoryNamespace = cmp.Or(c.InventoryNamespace, "sluice")
	c.FieldManager = cmp.Or(c.FieldManager, "sluice")
}
