package main

import (
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sluice-gitops/sluice/plugins/helm/releases"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Config is a helm "helm" block.
type Config struct {
	Kubeconfig string `hcl:"kubeconfig,optional" format:"path" doc:"Path of a kubeconfig file. Default: $KUBECONFIG, else ~/.kube/config, else the cluster that the daemon runs in."`
	Context    string `hcl:"context,optional" doc:"Context of the kubeconfig. Default: its current context."`
	InCluster  bool   `hcl:"in_cluster,optional" doc:"Use the service account of the pod that the daemon runs in, whatever kubeconfig there is."`

	Namespaces []string `hcl:"namespaces,optional" doc:"Nothing outside these namespaces is read or written, and no cluster-scoped object except a Namespace of the list: releases and charts that do not keep to them are refused. Default: no limit."`

	Storage string `hcl:"storage,optional" default:"secret" doc:"Where releases are recorded, in their namespace: secret, as the helm command does, or configmap."`

	MaxIndex int64 `hcl:"max_index,optional" default:"64MiB" format:"bytes" doc:"Largest index of a chart repository."`
	MaxChart int64 `hcl:"max_chart,optional" default:"64MiB" format:"bytes" doc:"Largest chart archive. Unpacked it may be four times as large."`
}

// Validate finds the mistakes that need no cluster.
func (c *Config) Validate() diag.List {
	var l diag.List
	if c.InCluster && (c.Kubeconfig != "" || c.Context != "") {
		l = append(l, diag.Errorf(diag.Attr("in_cluster"), "in_cluster excludes kubeconfig and context"))
	}
	for i, name := range c.Namespaces {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			l = append(l, diag.Errorf(diag.Attr("namespaces", i), "%q is not a namespace name: %s", name, problems[0]))
		}
	}
	if s := releases.Storage(c.Storage); s != releases.Secrets && s != releases.ConfigMaps {
		l = append(l, diag.Errorf(diag.Attr("storage"), "storage is %q, neither secret nor configmap", c.Storage))
	}
	for name, size := range map[string]int64{"max_index": c.MaxIndex, "max_chart": c.MaxChart} {
		if size < 1<<10 {
			l = append(l, diag.Errorf(diag.Attr(name), "%s is less than 1 KiB", name))
		}
	}
	return l
}
