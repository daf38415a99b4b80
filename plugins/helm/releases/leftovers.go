package releases

import (
	"errors"
	"fmt"
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
	last *release.Release // newest revision, nil if there is none
	// first says that the release has not been deployed yet, or not since it was
	// uninstalled: it is installed, with the hooks of an install, which have not
	// been through if one has failed.
	first bool
	// leftovers are the manifests of the newest revisions that failed. Helm
	// compares an upgrade with the last one that did not, so that what a failed
	// one has created, and nobody wants any more, would stay for ever.
	leftovers []string
}

// past looks back to the last revision that did not fail.
func (o *operation) past() (past, error) {
	last, err := o.last()
	if err != nil || last == nil || last.Info.Status == releasecommon.StatusUninstalled {
		return past{last: last, first: true}, err
	}
	if last.Info.Status != releasecommon.StatusFailed {
		return past{last: last}, nil
	}
	p := past{last: last, first: true, leftovers: []string{last.Manifest}}
	heads, err := o.session.revisions(o.ctx, o.ref)
	if err != nil {
		return past{}, err
	}
	for _, h := range heads {
		if h.Number >= last.Version {
			continue
		}
		if h.Status != releasecommon.StatusFailed.String() {
			p.first = h.Status == releasecommon.StatusUninstalled.String()
			break
		}
		r, err := o.session.read(o.ref, h.record)
		if err != nil {
			return past{}, err
		}
		if r != nil {
			p.leftovers = append(p.leftovers, r.Manifest)
		}
	}
	return p, nil
}

// clear deletes what the manifests have that the revision made now has not,
// if it is the release's and not to be kept.
func (o *operation) clear(manifests []string, made string) error {
	if len(manifests) == 0 {
		return nil
	}
	wanted, err := o.kube.Build(strings.NewReader(made), false)
	if err != nil {
		return err
	}
	var errs []error
	for _, manifest := range manifests {
		had, err := o.kube.Build(strings.NewReader(manifest), false)
		if err != nil { // a kind that has gone: so have its objects
			continue
		}
		for _, info := range had.Difference(wanted) {
			if err := o.remove(info); err != nil {
				errs = append(errs, fmt.Errorf("%s %s: %w", info.Mapping.GroupVersionKind.Kind, info.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// remove deletes an object that a failed revision has left behind.
func (o *operation) remove(info *resource.Info) error {
	if err := info.Get(); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	about, err := meta.Accessor(info.Object)
	if err != nil {
		return err
	}
	has := about.GetAnnotations()
	if has["meta.helm.sh/release-name"] != o.ref.Name || has["meta.helm.sh/release-namespace"] != o.ref.Namespace || has[kube.ResourcePolicyAnno] == kube.KeepPolicy {
		return nil
	}
	_, failed := o.kube.Delete(kube.ResourceList{info}, metav1.DeletePropagationBackground)
	o.log.emit(helm.Event{Message: "deleted, as a failed revision has left it behind", Object: info.Mapping.GroupVersionKind.Kind + "/" + info.Name})
	return errors.Join(failed...)
}
