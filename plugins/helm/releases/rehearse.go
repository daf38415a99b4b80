package releases

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// rehearse has the API server try the changes that an upgrade would make, by the
// very requests of an upgrade, as dry runs: two for each object. Why it would
// refuse one becomes the Problem of that change. Left out is what it may refuse
// only because something else of the upgrade has not come yet: objects of kinds
// that are to be defined, and new ones in other namespaces.
func (o *operation) rehearse(r helm.Release, p past, made string, changes []helm.Change) error {
	k := newClient(o.ctx, o.session.connection.Rehearsal(o.ctx, o.ref.Namespace), o.ref.Namespace, newProgress(nil))
	k.lenient, k.confine = r.SkipOpenAPI, o.confineManifest
	deployed := p.last.Manifest
	if n := len(p.behind); n > 0 { // Helm compares with the last good one
		deployed = p.behind[n-1]
	}
	before, _ := k.Build(strings.NewReader(deployed), false) // but for kinds that are gone, or yet to come
	after, _ := k.Build(strings.NewReader(made), false)
	group, ctx := errgroup.WithContext(o.ctx)
	group.SetLimit(inFlight)
	for i := range changes {
		change := &changes[i]
		info := o.subject(after, *change)
		if info == nil {
			continue
		}
		group.Go(func() error {
			err := o.try(k, before, info, p, r.Force)
			if err != nil && !undecided(err) {
				problem := strings.TrimPrefix(oneLine(err.Error()), change.Kind+"/"+change.Name+": ")
				change.Problem = o.hidden.clean(problem)
			}
			return context.Cause(ctx)
		})
	}
	if err := group.Wait(); err != nil {
		return o.failure(err)
	}
	return nil
}

// subject is the object that a change would make or alter, nil if it is not to
// be tried.
func (o *operation) subject(after kube.ResourceList, c helm.Change) *resource.Info {
	if c.Hook || c.Action == "delete" {
		return nil
	}
	i := slices.IndexFunc(after, func(info *resource.Info) bool {
		namespace := info.Namespace
		if namespace == "" { // as in changes
			namespace = o.ref.Namespace
		}
		return info.Mapping.GroupVersionKind.Kind == c.Kind && info.Name == c.Name && namespace == c.Namespace
	})
	if i < 0 || c.Action == "create" && after[i].Namespace != o.ref.Namespace {
		return nil
	}
	return after[i]
}

// try sends what an upgrade would send for one object.
func (o *operation) try(k *client, before kube.ResourceList, info *resource.Info, p past, replace bool) error {
	if u, ok := info.Object.(*unstructured.Unstructured); ok {
		mark(u, o.ref)
	}
	original := before.Get(info)
	if original == nil {
		original = info
	}
	serverSide, conflicts := applying(p.last, replace)
	_, err := k.Update(kube.ResourceList{original}, kube.ResourceList{info},
		kube.ClientUpdateOptionServerSideApply(serverSide == "true", conflicts), kube.ClientUpdateOptionForceReplace(replace))
	return err
}

// undecided tells whether an error says nothing of an upgrade: a webhook takes no
// dry runs, or whoever plans may only read.
func undecided(err error) bool {
	return strings.Contains(err.Error(), "does not support dry run") || mayNot.MatchString(err.Error())
}

// mayNot is how API servers refuse what the account may not do at all. Quotas and
// admission are "forbidden" too, in other words.
var mayNot = regexp.MustCompile(`is forbidden: User ".*" cannot \w+ resource`)
