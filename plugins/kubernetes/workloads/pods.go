package workloads

import (
	"context"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/health"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

var podObjects = schema.GroupVersionResource{Version: "v1", Resource: "pods"}

// pods tells of what is updating why it does not get on. It takes one list for
// each namespace in which something is, and none where nothing is.
func (g *gathering) pods(ctx context.Context) error {
	waiting := map[string][]int{}
	for i := range g.found {
		if f := &g.found[i]; f.pods.Selector() != "" {
			waiting[f.Ref.Namespace] = append(waiting[f.Ref.Namespace], i)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for namespace, indexes := range waiting {
		group.Go(func() error { return g.podsIn(ctx, namespace, indexes) })
	}
	return group.Wait()
}

// podsIn looks at the pods of what was found in one namespace.
func (g *gathering) podsIn(ctx context.Context, namespace string, indexes []int) error {
	selector := ""
	if len(indexes) == 1 {
		selector = g.found[indexes[0]].pods.Selector()
	}
	pods, err := pages(ctx, g.Client, podObjects, namespace, selector, func(content *map[string]any) (health.Pod, bool) {
		return health.PodOf(&unstructured.Unstructured{Object: *content}), true
	})
	if err = g.note("pods in "+place(namespace), err); err != nil {
		return err
	}
	for _, i := range indexes {
		f := &g.found[i]
		if why := f.pods.Failure(pods); why != "" {
			f.Rollout.Phase, f.Rollout.Message = applier.RolloutFailed, why
		} else if why := f.pods.Waiting(pods); why != "" {
			f.Rollout.Message = why
		}
	}
	return nil
}
