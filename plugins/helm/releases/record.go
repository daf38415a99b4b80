package releases

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/common/util"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Labels of a record, beside Helm's own. Helm copies them to the next revision
// whoever makes it, so that revisionLabel tells whether they are about this one.
const (
	ownerLabel    = "sluice.dev/owner"
	digestLabel   = "sluice.dev/digest"
	revisionLabel = "sluice.dev/revision"
)

// head is what the labels of a record tell.
type head struct {
	ref    helm.ReleaseRef
	object string // name of the record
	helm.Revision
}

// pageSize is how many records are listed at once.
const pageSize = 500

// list calls each for every record of a namespace, all if it is empty, that
// the selector takes. It reads labels only, not the releases.
func (m *Manager) list(ctx context.Context, namespace string, selector labels.Set, each func(head)) error {
	resource := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	if m.storage == ConfigMaps {
		resource.Resource = "configmaps"
	}
	selector["owner"] = "helm"
	options := metav1.ListOptions{LabelSelector: selector.String(), Limit: pageSize}
	for {
		page, err := m.heads.Resource(resource).Namespace(namespace).List(ctx, options)
		if err != nil {
			return err
		}
		for i := range page.Items {
			if h, ok := headOf(&page.Items[i].ObjectMeta); ok {
				each(h)
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return nil
		}
	}
}

func headOf(o *metav1.ObjectMeta) (head, bool) {
	number, err := strconv.Atoi(o.Labels["version"])
	if err != nil || o.Labels["name"] == "" {
		return head{}, false
	}
	updated := o.CreationTimestamp.Time
	if seconds, err := strconv.ParseInt(o.Labels["modifiedAt"], 10, 64); err == nil {
		updated = time.Unix(seconds, 0)
	}
	return head{
		ref:    helm.ReleaseRef{Namespace: o.Namespace, Name: o.Labels["name"]},
		object: o.Name,
		Revision: helm.Revision{
			Number: number, Status: o.Labels["status"], Updated: updated.UTC(),
			Owner: o.Labels[ownerLabel], Digest: digestOf(o.Labels, number),
		},
	}, true
}

// digestOf is what a revision was declared from, if its labels are about it.
func digestOf(labels map[string]string, number int) string {
	if labels[revisionLabel] != strconv.Itoa(number) {
		return ""
	}
	return labels[digestLabel]
}

// List implements helm.Lister.
func (m *Manager) List(ctx context.Context, namespace string, emit func(helm.ReleaseRef, helm.Revision)) error {
	newest := map[helm.ReleaseRef]helm.Revision{}
	err := m.list(ctx, namespace, labels.Set{}, func(h head) {
		if h.Number > newest[h.ref].Number {
			newest[h.ref] = h.Revision
		}
	})
	if err != nil {
		return fmt.Errorf("list releases: %w", err)
	}
	refs := make([]helm.ReleaseRef, 0, len(newest))
	for ref := range newest {
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b helm.ReleaseRef) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	for _, ref := range refs {
		emit(ref, newest[ref])
	}
	return nil
}

// heads of the revisions of a release, newest first.
func (m *Manager) revisions(ctx context.Context, ref helm.ReleaseRef) ([]head, error) {
	if err := check(ref); err != nil {
		return nil, err
	}
	var all []head
	if err := m.list(ctx, ref.Namespace, labels.Set{"name": ref.Name}, func(h head) { all = append(all, h) }); err != nil {
		return nil, fmt.Errorf("release %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	slices.SortFunc(all, func(a, b head) int { return b.Number - a.Number })
	return all, nil
}

// read returns the release of a record, nil if it has gone.
func (m *Manager) read(ref helm.ReleaseRef, object string) (*release.Release, error) {
	got, err := m.driver(ref.Namespace).Get(object)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("release %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return v1(got)
}

// Status implements helm.Helm. It costs a list of labels and one read.
func (m *Manager) Status(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	heads, err := m.revisions(ctx, ref)
	if err != nil || len(heads) == 0 {
		return helm.Revision{}, err
	}
	r, err := m.read(ref, heads[0].object)
	if err != nil || r == nil {
		return helm.Revision{}, err
	}
	return revisionOf(r), nil
}

// History implements helm.Helm. One revision is in memory at a time.
func (m *Manager) History(ctx context.Context, ref helm.ReleaseRef, emit func(helm.Revision)) error {
	heads, err := m.revisions(ctx, ref)
	if err != nil {
		return err
	}
	for _, h := range heads {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		switch r, err := m.read(ref, h.object); {
		case err != nil:
			return err
		case r != nil:
			emit(revisionOf(r))
		}
	}
	return nil
}

// Content implements helm.Reader.
func (m *Manager) Content(ctx context.Context, ref helm.ReleaseRef, number int) (helm.Content, error) {
	heads, err := m.revisions(ctx, ref)
	if err != nil {
		return helm.Content{}, err
	}
	i := slices.IndexFunc(heads, func(h head) bool { return number == 0 || h.Number == number })
	if i < 0 {
		return helm.Content{}, fmt.Errorf("release %s/%s has no revision %d: %w", ref.Namespace, ref.Name, number, helm.ErrNotFound)
	}
	r, err := m.read(ref, heads[i].object)
	if err != nil {
		return helm.Content{}, err
	}
	if r == nil {
		return helm.Content{}, fmt.Errorf("revision %d of release %s/%s: %w", heads[i].Number, ref.Namespace, ref.Name, helm.ErrNotFound)
	}
	return contentOf(r)
}

func contentOf(r *release.Release) (helm.Content, error) {
	values, err := json.Marshal(r.Config)
	if err != nil {
		return helm.Content{}, fmt.Errorf("values of release %s/%s cannot be written as JSON", r.Namespace, r.Name)
	}
	all, err := util.CoalesceValues(r.Chart, r.Config)
	if err != nil {
		return helm.Content{}, fmt.Errorf("values of release %s/%s do not fit its chart", r.Namespace, r.Name)
	}
	computed, err := json.Marshal(all)
	if err != nil {
		return helm.Content{}, fmt.Errorf("values of release %s/%s cannot be written as JSON", r.Namespace, r.Name)
	}
	var hooks strings.Builder
	for _, h := range r.Hooks {
		fmt.Fprintf(&hooks, "---\n# Source: %s\n%s\n", h.Path, h.Manifest)
	}
	return helm.Content{
		Revision: revisionOf(r), Values: secret.New(string(values)), Computed: secret.New(string(computed)),
		Manifest: secret.New(r.Manifest), Hooks: secret.New(hooks.String()), Notes: r.Info.Notes,
	}, nil
}

func revisionOf(r *release.Release) helm.Revision {
	rev := helm.Revision{
		Number: r.Version, Status: r.Info.Status.String(), Updated: r.Info.LastDeployed.UTC(), Message: r.Info.Description,
		Tests: testsOf(r), Owner: r.Labels[ownerLabel], Digest: digestOf(r.Labels, r.Version),
	}
	if r.Chart != nil && r.Chart.Metadata != nil {
		rev.Chart = r.Chart.Metadata.Name + "-" + r.Chart.Metadata.Version
		rev.AppVersion = r.Chart.Metadata.AppVersion
	}
	return rev
}

// testsOf tells what came of the tests: passed if all that there are did.
func testsOf(r *release.Release) string {
	ran, all := false, true
	for _, h := range r.Hooks {
		if !slices.Contains(h.Events, release.HookTest) {
			continue
		}
		switch h.LastRun.Phase {
		case release.HookPhaseFailed:
			return "failed"
		case release.HookPhaseSucceeded:
			ran = true
		default:
			all = false
		}
	}
	if ran && all {
		return "passed"
	}
	return ""
}

// Unlock implements helm.Helm.
func (m *Manager) Unlock(ctx context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	o, err := m.begin(ctx, ref, nil)
	if err != nil {
		return helm.Revision{}, err
	}
	last, err := o.last()
	if err != nil || last == nil {
		return helm.Revision{}, err
	}
	if locked(last) {
		if err := o.fail(last, fmt.Sprintf("interrupted while %s: %s", last.Info.Status, last.Info.Description)); err != nil {
			return helm.Revision{}, err
		}
	}
	return revisionOf(last), nil
}

// locked tells whether an operation is under way, or was interrupted.
func locked(r *release.Release) bool {
	return r.Info.Status.IsPending() || r.Info.Status == releasecommon.StatusUninstalling
}

// fail records a revision as failed.
func (o *operation) fail(r *release.Release, why string) error {
	r.SetStatus(releasecommon.StatusFailed, oneLine(why))
	if err := o.config.Releases.Update(r); err != nil {
		return o.failure(err)
	}
	return nil
}
