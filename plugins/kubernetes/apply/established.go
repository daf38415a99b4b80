package apply

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// established waits until a CustomResourceDefinition is served, or cannot be.
func (a *Applier) established(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	one := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", name).String()}
	start := func(ctx context.Context) (watch.Interface, error) {
		return a.Dynamic.Resource(definitions).Watch(ctx, one)
	}
	problem := ""
	accepted := true
	err := cluster.Until(ctx, start, func(e watch.Event) bool {
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok || e.Type == watch.Deleted {
			return false
		}
		var done bool
		done, accepted, problem = definitionState(u)
		return done || !accepted
	})
	switch {
	case !accepted:
		return errors.New(problem)
	case err != nil:
		return fmt.Errorf("not established in time (%s): %w", problem, err)
	}
	return nil
}

func definitionState(u *unstructured.Unstructured) (established, accepted bool, problem string) {
	accepted, problem = true, "no conditions yet"
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions") // absent and malformed both mean: not yet
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		status, message := condition["status"], fmt.Sprint(condition["message"])
		switch condition["type"] {
		case "Established":
			established = status == "True"
			problem = message
		case "NamesAccepted":
			if status == "False" {
				return false, false, message
			}
		}
	}
	return established, accepted, problem
}
