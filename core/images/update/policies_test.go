package update_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// annotated is a workload with two containers and these annotations.
func annotated(annotations map[string]string) update.Workload {
	return update.Workload{ID: web, InRepo: true, InCluster: true, Policy: policy.Of(annotations),
		Containers: []update.Container{{Name: "main"}, {Name: "side"}}}
}

func TestPolicies(t *testing.T) {
	for name, tt := range map[string]struct {
		change update.PolicyChange
		has    map[string]string
		set    map[string]string
		remove []string
	}{
		"automate":               {update.PolicyChange{Automate: true}, nil, map[string]string{"sluice.dev/automated": "true"}, nil},
		"automate, old key":      {update.PolicyChange{Automate: true}, map[string]string{"flux.weave.works/automated": "false"}, map[string]string{"flux.weave.works/automated": "true"}, nil},
		"automate, it is":        {update.PolicyChange{Automate: true}, map[string]string{"fluxcd.io/automated": "true"}, nil, nil},
		"the key that counts":    {update.PolicyChange{Automate: true}, map[string]string{"flux.weave.works/automated": "false", "fluxcd.io/automated": "no"}, map[string]string{"fluxcd.io/automated": "true"}, nil},
		"deautomate everywhere":  {update.PolicyChange{Deautomate: true}, map[string]string{"flux.weave.works/automated": "true", "fluxcd.io/automated": "true"}, nil, []string{"flux.weave.works/automated", "fluxcd.io/automated"}},
		"deautomate, it is not":  {update.PolicyChange{Deautomate: true}, map[string]string{"note": "x"}, nil, nil},
		"lock":                   {update.PolicyChange{Lock: true, LockUser: "Jane", LockMessage: "freeze"}, nil, map[string]string{"sluice.dev/locked": "true", "sluice.dev/locked_user": "Jane", "sluice.dev/locked_msg": "freeze"}, nil},
		"lock by another":        {update.PolicyChange{Lock: true, LockUser: "Joe"}, map[string]string{"fluxcd.io/locked": "true", "fluxcd.io/locked_user": "Jane", "fluxcd.io/locked_msg": "freeze"}, map[string]string{"fluxcd.io/locked_user": "Joe"}, []string{"fluxcd.io/locked_msg"}},
		"unlock":                 {update.PolicyChange{Unlock: true}, map[string]string{"fluxcd.io/locked": "true", "sluice.dev/locked_user": "Jane", "fluxcd.io/locked_msg": "freeze"}, nil, []string{"fluxcd.io/locked", "fluxcd.io/locked_msg", "sluice.dev/locked_user"}},
		"pattern":                {update.PolicyChange{Tags: map[string]string{"main": "semver:^1"}}, nil, map[string]string{"sluice.dev/tag.main": "semver:^1"}, nil},
		"pattern, filter key":    {update.PolicyChange{Tags: map[string]string{"main": "semver:^1"}}, map[string]string{"filter.fluxcd.io/main": "glob:v*"}, map[string]string{"filter.fluxcd.io/main": "semver:^1"}, nil},
		"pattern with =":         {update.PolicyChange{Tags: map[string]string{"main": "regexp:^a=b$"}}, nil, map[string]string{"sluice.dev/tag.main": "regexp:^a=b$"}, nil},
		"star removes":           {update.PolicyChange{Tags: map[string]string{"main": "*"}}, map[string]string{"filter.fluxcd.io/main": "glob:v*", "sluice.dev/tag.main": "glob:v*", "fluxcd.io/tag.side": "glob:v*"}, nil, []string{"filter.fluxcd.io/main", "sluice.dev/tag.main"}},
		"star of a gone one":     {update.PolicyChange{Tags: map[string]string{"gone": "glob:*"}}, map[string]string{"fluxcd.io/tag.gone": "x"}, nil, []string{"fluxcd.io/tag.gone"}},
		"tag all":                {update.PolicyChange{TagAll: "glob:v*"}, map[string]string{"fluxcd.io/tag.side": "x"}, map[string]string{"sluice.dev/tag.main": "glob:v*", "fluxcd.io/tag.side": "glob:v*"}, nil},
		"tag all removes":        {update.PolicyChange{TagAll: "*"}, map[string]string{"fluxcd.io/tag.side": "x"}, nil, []string{"fluxcd.io/tag.side"}},
		"tag all but one":        {update.PolicyChange{TagAll: "glob:v*", Tags: map[string]string{"side": "*"}}, map[string]string{"fluxcd.io/tag.side": "x"}, map[string]string{"sluice.dev/tag.main": "glob:v*"}, []string{"fluxcd.io/tag.side"}},
		"automate and lock":      {update.PolicyChange{Automate: true, Lock: true}, nil, map[string]string{"sluice.dev/automated": "true", "sluice.dev/locked": "true"}, nil},
		"deautomate and pattern": {update.PolicyChange{Deautomate: true, Tags: map[string]string{"main": "x"}}, map[string]string{"fluxcd.io/automated": "true"}, map[string]string{"sluice.dev/tag.main": "x"}, []string{"fluxcd.io/automated"}},
	} {
		t.Run(name, func(t *testing.T) {
			e, changed, err := update.Policies(tt.change, annotated(tt.has), tt.has)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(edit.Edit{Workload: web, Set: tt.set, Remove: tt.remove}, e); diff != "" {
				t.Error(diff)
			}
			if want := len(tt.set)+len(tt.remove) > 0; changed != want {
				t.Errorf("changed %v", changed)
			}
			again(t, tt.change, e, tt.has)
		})
	}
}

// again checks that the edit, made in a file by the editor, gives annotations
// with which the same change has nothing left to do.
func again(t *testing.T, change update.PolicyChange, e edit.Edit, has map[string]string) {
	t.Helper()
	file := "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: shop\n"
	if len(has) > 0 {
		file += "  annotations:\n"
		for _, key := range slices.Sorted(maps.Keys(has)) {
			file += fmt.Sprintf("    %s: %q\n", key, has[key])
		}
	}
	file += "spec:\n  template:\n    spec:\n      containers:\n      - {name: main, image: 'a:1'}\n"
	data := []byte(file)
	if len(e.Set)+len(e.Remove) > 0 {
		var errs []error
		if data, errs = edit.Apply(data, edit.Options{}, []edit.Edit{e}); errs[0] != nil {
			t.Fatal(errs[0])
		}
	}
	found := edit.Scan(data, edit.Options{}).Workloads
	if len(found) != 1 {
		t.Fatalf("%d workloads in\n%s", len(found), data)
	}
	now := found[0].Annotations
	if more, changed, err := update.Policies(change, annotated(now), now); changed || err != nil {
		t.Errorf("again: %+v, %v, after\n%s", more, err, data)
	}
}

func TestPoliciesRefused(t *testing.T) {
	for want, change := range map[string]update.PolicyChange{
		"automate and deautomate contradict": {Automate: true, Deautomate: true},
		"lock and unlock contradict":         {Lock: true, Unlock: true},
		"a lock needs a lock":                {Automate: true, LockMessage: "x"},
		"nothing to change":                  {},
		"invalid tag pattern of container main: pattern \"semver:^^1\"": {Tags: map[string]string{"main": "semver:^^1"}},
		"invalid tag pattern of all containers":                         {TagAll: "regexp:("},
		"a container without a name":                                    {Tags: map[string]string{"": "*"}},
		web + ": container(s) not found: mian: did you mean main?":      {Tags: map[string]string{"mian": "glob:v*"}},
	} {
		_, changed, err := update.Policies(change, annotated(nil), nil)
		if err == nil || changed || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", change, err, want)
		}
	}
	w := annotated(nil)
	w.Containers[1].Automated = true
	w.Containers[1].Rules.Source = "image_policy.web (sluice.hcl:12)"
	_, _, err := update.Policies(update.PolicyChange{Deautomate: true}, w, nil)
	if err == nil || !strings.Contains(err.Error(), "container side is automated by image_policy.web (sluice.hcl:12): change it there") {
		t.Error(err)
	}
}

// TestDescribe: what people read of a change, and of what it comes to.
func TestDescribe(t *testing.T) {
	c := update.PolicyChange{Automate: true, Unlock: true, TagAll: "semver:~1", Tags: map[string]string{"b": "*", "a": "glob:x-*"}}
	if got := c.String(); got != "automate, unlock, tag_all=semver:~1, tag.a=glob:x-*, tag.b=*" {
		t.Error(got)
	}
	e := edit.Edit{
		Set:    map[string]string{"sluice.dev/automated": "true", "filter.fluxcd.io/web": "semver:~1"},
		Remove: []string{"flux.weave.works/locked", "fluxcd.io/locked"},
	}
	if got := update.Describe(e); got != "tag.web: semver:~1, automated, locked removed" {
		t.Error(got)
	}
}
