package releases

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/kube"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// past is what came before an install or upgrade.
type past struct {
	heads []head           // of all revisions, newest first
	last  *release.Release // the newest, nil if there is none
	// first says that the release has not been deployed yet, or not since it was
	// uninstalled: it is installed, with the hooks of an install, which have not
	// been through if one has failed.
	first bool
	// behind are the manifests of the newest revisions that did not come to a good
	// end, and that of the last one before them which did: unless the newest is
	// that one, what is in the cluster may be of any of them.
	behind []string
}

// past looks back to the revision that Helm takes for the deployed one: an
// upgrade is compared with that one only, and an uninstall goes by the newest
// one only, so that what others have created would stay for ever.
func (o *operation) past() (past, error) {
	heads, err := o.session.revisions(o.ctx, o.ref)
	if err != nil {
		return past{}, err
	}
	is := func(h head, s releasecommon.Status) bool { return h.Status == s.String() }
	deployed := slices.ContainsFunc(heads, func(h head) bool { return is(h, releasecommon.StatusDeployed) })
	p := past{heads: heads, first: true}
	for i, h := range heads {
		r, err := o.read(h)
		if err != nil {
			return past{}, err
		}
		if i == 0 {
			p.last = r
		}
		if is(h, releasecommon.StatusUninstalled) {
			break
		}
		worked := is(h, releasecommon.StatusDeployed) || is(h, releasecommon.StatusSuperseded)
		if r != nil && (i > 0 || !worked) {
			p.behind = append(p.behind, r.Manifest)
		}
		p.first = p.first && !worked
		if is(h, releasecommon.StatusDeployed) || worked && !deployed {
			break
		}
	}
	o.journal.aim(p.last)
	o.journal.finish = func(made *release.Release) error {
		_, err := o.clear(p.behind, made.Manifest)
		return err
	}
	return p, nil
}

// clear deletes what the manifests have that the revision made has not, if it is
// the release's and not to be kept, and returns what that was.
func (o *operation) clear(manifests []string, made string) (kube.ResourceList, error) {
	if len(manifests) == 0 {
		return nil, nil
	}
	wanted, err := o.kube.Build(strings.NewReader(made), false)
	if err != nil {
		return nil, err
	}
	var gone kube.ResourceList
	var errs []error
	for _, manifest := range manifests {
		had, _ := o.kube.Build(strings.NewReader(manifest), false) // but for kinds that are gone, as are their objects
		for _, info := range had.Difference(wanted) {
			removed, err := o.remove(info)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", info.Mapping.GroupVersionKind.Kind, info.Name, err))
			}
			if removed {
				gone = append(gone, info)
			}
		}
	}
	return gone, errors.Join(errs...)
}

// remove deletes an object that a revision has left behind, if it is still the
// release's.
func (o *operation) remove(info *resource.Info) (removed bool, err error) {
	if err := info.Get(); err != nil {
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return false, err
	}
	about, err := meta.Accessor(info.Object)
	if err != nil {
		return false, err
	}
	has := about.GetAnnotations()
	if has["meta.helm.sh/release-name"] != o.ref.Name || has["meta.helm.sh/release-namespace"] != o.ref.Namespace || has[kube.ResourcePolicyAnno] == kube.KeepPolicy {
		return false, nil
	}
	if _, failed := o.kube.Delete(kube.ResourceList{info}, metav1.DeletePropagationBackground); len(failed) > 0 {
		return false, errors.Join(failed...)
	}
	o.log.emit(helm.Event{Message: "deleted, as a failed revision has left it behind", Object: info.Mapping.GroupVersionKind.Kind + "/" + info.Name})
	return true, nil
}
