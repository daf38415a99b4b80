package apply

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/plan"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// step reads "namespace:kind.group/name".
func step(text string) *plan.Step {
	var ref applier.Ref
	namespace, rest, namespaced := strings.Cut(text, ":")
	if !namespaced {
		namespace, rest = "", text
	}
	kind, name, _ := strings.Cut(rest, "/")
	ref.Namespace, ref.Name = namespace, name
	ref.Kind, ref.Group, _ = strings.Cut(kind, ".")
	s := &plan.Step{Object: &desired.Object{Ref: ref}, Change: applier.Change{Ref: ref, Action: applier.Create}}
	if ref.Kind == "CustomResourceDefinition" {
		kind, group, _ := strings.Cut(name, ".")
		s.Object.Defines = &schema.GroupKind{Group: group, Kind: kind}
	}
	s.Object.InSet = strings.HasSuffix(ref.Group, "example.com")
	return s
}

// walk works the tasks off one at a time, in a random order of those that are
// ready, and returns the order of the objects.
func walk(t *testing.T, tasks []*task, fails map[string]bool) (order []string, lacks map[string]string) {
	t.Helper()
	lacks = map[string]string{}
	var ready []*task
	for _, task := range tasks {
		if task.waits == 0 {
			ready = append(ready, task)
		}
	}
	done := 0
	for len(ready) > 0 {
		i := rand.N(len(ready))
		task := ready[i]
		ready = slices.Delete(ready, i, i+1)
		done++
		if task.step != nil {
			name := task.step.Ref.String()
			order = append(order, name)
			if task.lacks != "" {
				lacks[name] = task.lacks
			}
			if fails[name] || task.lacks != "" {
				task.cause = name + " failed"
			}
		}
		ready = append(ready, task.release()...)
	}
	if done != len(tasks) {
		t.Fatalf("%d of %d tasks were never ready", len(tasks)-done, len(tasks))
	}
	return order, lacks
}

var mixed = []string{
	"ValidatingWebhookConfiguration.admissionregistration.k8s.io/hook",
	"shop:Widget.example.com/w", "shop:Deployment.apps/web", "shop:ConfigMap/settings", "shop:ServiceAccount/web",
	"shop:RoleBinding.rbac.authorization.k8s.io/web", "shop:Role.rbac.authorization.k8s.io/web",
	"ops:Deployment.apps/tool", "ops:Secret/key", "PriorityClass.scheduling.k8s.io/high",
	"ClusterRoleBinding.rbac.authorization.k8s.io/all", "ClusterRole.rbac.authorization.k8s.io/all",
	"Namespace/shop", "CustomResourceDefinition.apiextensions.k8s.io/Widget.example.com", "CustomResourceDefinition.apiextensions.k8s.io/Gadget.example.com",
}

func TestOrder(t *testing.T) {
	constraints := [][2]string{ // the first before the second
		{"Namespace/shop", "shop:ConfigMap/settings"},
		{"Namespace/shop", "shop:Widget.example.com/w"},
		{"CustomResourceDefinition.apiextensions.k8s.io/Widget.example.com", "shop:Widget.example.com/w"},
		{"shop:ConfigMap/settings", "shop:Deployment.apps/web"},
		{"shop:ServiceAccount/web", "shop:RoleBinding.rbac.authorization.k8s.io/web"},
		{"shop:Role.rbac.authorization.k8s.io/web", "shop:RoleBinding.rbac.authorization.k8s.io/web"},
		{"shop:RoleBinding.rbac.authorization.k8s.io/web", "shop:Deployment.apps/web"},
		{"ClusterRole.rbac.authorization.k8s.io/all", "ClusterRoleBinding.rbac.authorization.k8s.io/all"},
		{"ClusterRoleBinding.rbac.authorization.k8s.io/all", "ops:Deployment.apps/tool"},
		{"PriorityClass.scheduling.k8s.io/high", "shop:Deployment.apps/web"},
		{"ops:Secret/key", "ops:Deployment.apps/tool"},
		{"shop:Deployment.apps/web", "ValidatingWebhookConfiguration.admissionregistration.k8s.io/hook"},
		{"ops:Deployment.apps/tool", "ValidatingWebhookConfiguration.admissionregistration.k8s.io/hook"},
	}
	free := [2]string{"ops:Deployment.apps/tool", "shop:Deployment.apps/web"} // independent: both orders happen
	seen := map[bool]bool{}
	for range 200 {
		got, _ := walk(t, order(steps(mixed)), nil)
		for _, c := range constraints {
			if slices.Index(got, c[0]) > slices.Index(got, c[1]) {
				t.Fatalf("%s comes after %s in %v", c[0], c[1], got)
			}
		}
		seen[slices.Index(got, free[0]) < slices.Index(got, free[1])] = true
	}
	if len(seen) != 2 {
		t.Errorf("%v are never in the other order, though they do not depend on each other", free)
	}
}

func TestFailureHarmsOnlyDependents(t *testing.T) {
	_, lacks := walk(t, order(steps(mixed)), map[string]bool{
		"CustomResourceDefinition.apiextensions.k8s.io/Widget.example.com": true,
		"ops:Secret/key": true,
	})
	if len(lacks) != 1 || lacks["shop:Widget.example.com/w"] == "" {
		t.Errorf("harmed: %v, want the Widget alone", lacks)
	}
	_, lacks = walk(t, order(steps(mixed)), map[string]bool{"Namespace/shop": true})
	for name := range lacks {
		if !strings.HasPrefix(name, "shop:") {
			t.Errorf("%s does not need Namespace shop", name)
		}
	}
	if len(lacks) != 6 {
		t.Errorf("harmed: %v, want the six objects of the namespace", lacks)
	}
}

func steps(names []string) []*plan.Step {
	var out []*plan.Step
	for _, name := range names {
		out = append(out, step(name))
	}
	return out
}

func BenchmarkOrder(b *testing.B) {
	var names []string
	for i := range 10_000 {
		names = append(names, fmt.Sprintf("n%d:ConfigMap/c%d", i%50, i), fmt.Sprintf("n%d:Deployment.apps/d%d", i%50, i))
	}
	all := steps(names)
	for b.Loop() {
		order(all)
	}
}
