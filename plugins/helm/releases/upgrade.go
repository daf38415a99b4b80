package releases

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	releaser "helm.sh/helm/v4/pkg/release"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Upgrade implements helm.Helm.
func (m *Manager) Upgrade(ctx context.Context, r helm.Release, emit func(helm.Event)) (helm.Revision, error) {
	defer m.seen.forget(r.Ref)
	done, err := m.turns.take(ctx, r.Ref)
	if err != nil {
		return helm.Revision{}, err
	}
	defer done()
	rev, err := m.upgrade(ctx, r, emit)
	return rev, redact(err, r.Values)
}

func (m *Manager) upgrade(ctx context.Context, r helm.Release, emit func(helm.Event)) (helm.Revision, error) {
	strategy, err := waiting(r.Wait)
	if err != nil {
		return helm.Revision{}, err
	}
	c, values, err := load(r)
	if err != nil {
		return helm.Revision{}, err
	}
	o, err := m.begin(ctx, r.Ref, emit)
	if err != nil {
		return helm.Revision{}, err
	}
	past, err := o.before(r, c, values)
	if err != nil {
		return helm.Revision{}, err
	}
	rendering, end := o.preparation()
	defer end()
	var made releaser.Releaser
	if past.first {
		if past.last != nil && r.ReuseValues && past.last.Info.Status == releasecommon.StatusFailed {
			values = over(past.last.Config, values)
		}
		made, err = o.install(r, past.last, strategy).RunWithContext(rendering, c, values)
	} else {
		made, err = o.change(r, past.last, strategy).RunWithContext(rendering, r.Ref.Name, c, values)
	}
	return o.result(made, err)
}

// before does what comes before Helm's own code: it finds the newest revision,
// claims the release, and defines the kinds that the chart brings.
func (o *operation) before(r helm.Release, c *chart.Chart, values map[string]any) (past, error) {
	o.kube.lenient = r.SkipOpenAPI
	o.hidden.hide(values)
	if err := o.confineDefinitions(c, r.CRDs); err != nil {
		return past{}, err
	}
	p, err := o.past()
	if err != nil {
		return past{}, err
	}
	if err := claim(p.last, r); err != nil {
		return past{}, err
	}
	if r.ReuseValues && !r.SkipSchema && p.last != nil && hasSchema(c) {
		if err := validate(r.Chart, over(p.last.Config, values)); err != nil {
			return past{}, err
		}
	}
	if err := o.define(c, r.CRDs); err != nil {
		return past{}, o.failure(err)
	}
	if err := o.capable(); err != nil {
		return past{}, o.failure(err)
	}
	return p, nil
}

// result is the revision that was made, or why there is none that works.
func (o *operation) result(made releaser.Releaser, err error) (helm.Revision, error) {
	if err = cmp.Or(err, o.journal.trouble); err != nil {
		return helm.Revision{}, o.settle(err)
	}
	r, err := v1(made)
	if err != nil {
		return helm.Revision{}, o.failure(err)
	}
	if strings.Contains(r.Manifest, "kind: CustomResourceDefinition") {
		o.session.connection.Invalidate()
	}
	return revisionOf(r), nil
}

// claim tells whether r's owner may work on the release.
func claim(last *release.Release, r helm.Release) error {
	for name, value := range map[string]string{"owner": r.Owner, "digest": r.Digest} {
		if problems := validation.IsValidLabelValue(value); len(problems) > 0 {
			return sdk.Permanent(fmt.Errorf("release %s/%s: the %s %q is not a label value: %s", r.Ref.Namespace, r.Ref.Name, name, value, problems[0]))
		}
	}
	if last == nil {
		return nil
	}
	if locked(last) {
		return fmt.Errorf("release %s/%s is %s since %s: %w", r.Ref.Namespace, r.Ref.Name, last.Info.Status,
			last.Info.LastDeployed.UTC().Format("2006-01-02 15:04:05"), helm.ErrLocked)
	}
	if r.Owner == "" || r.Adopt || last.Info.Status == releasecommon.StatusUninstalled {
		return nil
	}
	return owned(last, r.Ref, r.Owner)
}

// owned is an error unless the release is owner's.
func owned(last *release.Release, ref helm.ReleaseRef, owner string) error {
	switch has := last.Labels[ownerLabel]; has {
	case owner:
		return nil
	case "":
		return sdk.Permanent(fmt.Errorf("release %s/%s was installed by somebody else, and may only be taken over if asked to adopt it: %w", ref.Namespace, ref.Name, helm.ErrOwned))
	default:
		return sdk.Permanent(fmt.Errorf("release %s/%s belongs to %s: %w", ref.Namespace, ref.Name, has, helm.ErrOwned))
	}
}

// labelsOf are our labels of the revision with a number.
func labelsOf(r helm.Release, number int) map[string]string {
	if r.Owner == "" && r.Digest == "" {
		return nil
	}
	return map[string]string{ownerLabel: r.Owner, digestLabel: r.Digest, revisionLabel: strconv.Itoa(number)}
}

func (o *operation) install(r helm.Release, last *release.Release, strategy kube.WaitStrategy) *action.Install {
	i := action.NewInstall(o.config)
	i.ReleaseName, i.Namespace = r.Ref.Name, r.Ref.Namespace
	i.CreateNamespace = r.CreateNamespace
	i.Timeout = cmp.Or(r.Timeout, defaultTimeout)
	i.WaitStrategy, i.WaitForJobs, i.WaitOptions = strategy, r.WaitForJobs, o.waitOptions()
	i.DisableHooks = r.DisableHooks
	i.RollbackOnFailure = r.Atomic
	i.SkipCRDs = true // defined already
	i.SkipSchemaValidation = true
	i.TakeOwnership = r.TakeOwnership
	i.ForceConflicts = r.TakeOwnership
	number := 1
	if last != nil {
		i.Replace = true
		i.ForceConflicts = true // as an upgrade: what is declared wins
		o.config.Releases.MaxHistory = r.MaxHistory
		number = last.Version + 1
	}
	i.Labels = labelsOf(r, number)
	return i
}

func (o *operation) change(r helm.Release, last *release.Release, strategy kube.WaitStrategy) *action.Upgrade {
	u := action.NewUpgrade(o.config)
	u.Namespace = r.Ref.Namespace
	u.Timeout = cmp.Or(r.Timeout, defaultTimeout)
	u.WaitStrategy, u.WaitForJobs, u.WaitOptions = strategy, r.WaitForJobs, o.waitOptions()
	u.DisableHooks = r.DisableHooks
	u.RollbackOnFailure = r.Atomic
	u.SkipSchemaValidation = true
	u.ResetValues = !r.ReuseValues
	u.ResetThenReuseValues = r.ReuseValues
	u.MaxHistory = r.MaxHistory
	u.TakeOwnership = r.TakeOwnership
	u.Labels = labelsOf(r, last.Version+1)
	u.ServerSideApply, u.ForceConflicts = applying(last, r.Force)
	u.ForceReplace = r.Force
	return u
}

// applying is how objects are changed: as before. Server-side, what is declared
// wins over what others have set.
func applying(last *release.Release, replace bool) (serverSide string, conflicts bool) {
	if replace || last.ApplyMethod != string(release.ApplyMethodServerSideApply) {
		return "false", false
	}
	return "true", true
}

// over puts values over others, as Helm does when it reuses them.
func over(old, values map[string]any) map[string]any {
	merged := maps.Clone(old)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, value := range values {
		was, isMap := merged[key].(map[string]any)
		if is, ok := value.(map[string]any); ok && isMap {
			value = over(was, is)
		}
		merged[key] = value
	}
	return merged
}

// define creates what is in the chart's crds/, or brings it up to date, and
// waits until the API server knows it: templates may use it.
func (o *operation) define(c *chart.Chart, policy helm.CRDs) error {
	switch policy {
	case helm.CRDsCreate, helm.CRDsReplace:
	case helm.CRDsSkip:
		return nil
	default:
		return sdk.Permanent(fmt.Errorf("there is no policy for definitions that is called %q", policy))
	}
	var changed kube.ResourceList
	for _, crd := range c.CRDObjects() {
		list, err := o.definitions(crd, policy)
		if err != nil {
			return fmt.Errorf("definition %s: %w", crd.Filename, err)
		}
		changed = append(changed, list...)
	}
	if len(changed) == 0 {
		return nil
	}
	if _, err := o.kube.Create(changed, kube.ClientCreateOptionServerSideApply(true, true)); err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	waiter, err := o.kube.GetWaiterWithOptions(kube.StatusWatcherStrategy, o.waitOptions()...)
	if err != nil {
		return err
	}
	if err := waiter.Wait(changed, definitionTimeout); err != nil {
		return fmt.Errorf("definitions: %w", err)
	}
	o.session.connection.Invalidate()
	return nil
}
