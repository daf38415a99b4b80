package sdktest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// releases is a Helm in memory, without charts' content.
type releases struct {
	history map[helm.ReleaseRef][]helm.Revision
}

func openReleases(context.Context, struct{}, sdk.Env) (*releases, error) {
	return &releases{history: map[helm.ReleaseRef][]helm.Revision{}}, nil
}

func (r *releases) Resolve(_ context.Context, ref helm.ChartRef) (helm.Chart, error) {
	if ref.Repository != "" && ref.Auth.Password.Reveal() != "pw" {
		return helm.Chart{}, errors.New("unauthorized")
	}
	return helm.Chart{Ref: ref, Version: "1.2.3", Digest: "sha256:1"}, nil
}

func (r *releases) Pull(_ context.Context, c helm.Chart, dir string) error {
	if c.Digest != "sha256:1" {
		return errors.New("another digest")
	}
	return os.WriteFile(filepath.Join(dir, "Chart.yaml"), []byte("version: "+c.Version), 0o600)
}

func (r *releases) Template(_ context.Context, rel helm.Release, out string) (helm.Rendered, error) {
	return helm.Rendered{Notes: "hello", Digest: "d"}, os.WriteFile(out, []byte(rel.Values.Reveal()), 0o600)
}

func (r *releases) Plan(_ context.Context, rel helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	emit(helm.Change{Kind: "Service", Namespace: rel.Ref.Namespace, Name: "web", Action: "create", Diff: "+ x"})
	return helm.Rendered{Notes: "planned"}, nil
}

func (r *releases) Upgrade(_ context.Context, rel helm.Release, emit func(helm.Event)) (helm.Revision, error) {
	emit(helm.Event{Time: time.Unix(1, 0).UTC(), Message: "waiting", Object: "Service/web"})
	return r.add(rel.Ref, "upgraded within "+rel.Timeout.String()), nil
}

func (r *releases) Rollback(_ context.Context, back helm.Rollback, emit func(helm.Event)) (helm.Revision, error) {
	if back.To >= len(r.history[back.Ref]) {
		return helm.Revision{}, sdk.Permanent(errors.New("no such revision"))
	}
	emit(helm.Event{Message: "back"})
	return r.add(back.Ref, "rolled back"), nil
}

func (r *releases) PlanRollback(_ context.Context, back helm.Rollback, emit func(helm.Change)) (helm.Revision, error) {
	if back.To >= len(r.history[back.Ref]) {
		return helm.Revision{}, sdk.Permanent(errors.New("no such revision"))
	}
	emit(helm.Change{Kind: "Service", Name: "web", Action: "delete"})
	return helm.Revision{Number: 1}, nil
}

func (r *releases) add(ref helm.ReleaseRef, message string) helm.Revision {
	rev := helm.Revision{Number: len(r.history[ref]) + 1, Status: "deployed", Message: message}
	r.history[ref] = append([]helm.Revision{rev}, r.history[ref]...)
	return rev
}

func (r *releases) Uninstall(_ context.Context, u helm.Uninstall, emit func(helm.Event)) error {
	if !u.KeepHistory {
		delete(r.history, u.Ref)
	}
	emit(helm.Event{Message: "gone"})
	return nil
}

func (r *releases) Test(_ context.Context, _ helm.Test, emit func(helm.Event)) error {
	emit(helm.Event{Message: "test failed", Failed: true})
	return errors.New("1 of 1 tests failed")
}

func (r *releases) History(_ context.Context, ref helm.ReleaseRef, emit func(helm.Revision)) error {
	for _, rev := range r.history[ref] {
		emit(rev)
	}
	return nil
}

func (r *releases) Status(_ context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	if len(r.history[ref]) == 0 {
		return helm.Revision{}, nil
	}
	return r.history[ref][0], nil
}

func (r *releases) Unlock(_ context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	if len(r.history[ref]) == 0 {
		return helm.Revision{}, nil
	}
	r.history[ref][0].Status = "failed"
	return r.history[ref][0], nil
}

func (r *releases) List(_ context.Context, namespace string, emit func(helm.ReleaseRef, helm.Revision)) error {
	for ref, history := range r.history {
		if len(history) > 0 && (namespace == "" || ref.Namespace == namespace) {
			emit(ref, history[0])
		}
	}
	return nil
}

func (r *releases) Content(_ context.Context, ref helm.ReleaseRef, number int) (helm.Content, error) {
	for _, rev := range r.history[ref] {
		if number == 0 || rev.Number == number {
			return helm.Content{Revision: rev, Values: secret.New(`{"a":1}`)}, nil
		}
	}
	return helm.Content{}, fmt.Errorf("revision %d: %w", number, helm.ErrNotFound)
}

func (r *releases) Compare(_ context.Context, c helm.Comparison, emit func(helm.Change)) error {
	if len(r.history[c.Ref]) == 0 {
		return helm.ErrNotFound
	}
	emit(helm.Change{Kind: "Service", Name: "web", Action: "update"})
	return nil
}

var releasesPlugin = sdk.Plugin{Name: "releases", Version: "1.0.0", Kinds: []sdk.Kind{helm.New("releases", openReleases)}}

func TestHelmSuite(t *testing.T) { sdktest.Helm(t, releasesPlugin, "releases", nil, "", "") }

func TestHelmCharts(t *testing.T) {
	ctx := t.Context()
	h := sdktest.New(t, releasesPlugin, sdktest.Options{}).Helm("releases", nil)
	ref := helm.ChartRef{Repository: "oci://r", Name: "web", Version: "^1", Auth: helm.Auth{Username: "u", Password: secret.New("pw")}}
	chart, err := h.Resolve(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	want := helm.Chart{Ref: ref, Version: "1.2.3", Digest: "sha256:1"}
	if diff := cmp.Diff(want, chart, cmp.AllowUnexported(secret.Secret{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("chart (-want +got):\n%s", diff)
	}
	dir := t.TempDir()
	if err := h.Pull(ctx, chart, dir); err != nil {
		t.Error(err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "Chart.yaml")); err != nil || string(content) != "version: 1.2.3" {
		t.Errorf("pulled %q, %v", content, err)
	}
	out := filepath.Join(dir, "out.jsonl")
	rendered, err := h.Template(ctx, helm.Release{Chart: dir, Values: secret.New(`{"a": 1}`)}, out)
	if err != nil || rendered != (helm.Rendered{Notes: "hello", Digest: "d"}) {
		t.Errorf("Template = %+v, %v", rendered, err)
	}
	if content, err := os.ReadFile(out); err != nil || string(content) != `{"a": 1}` {
		t.Errorf("rendered %q, %v", content, err)
	}
}

func TestHelmReleases(t *testing.T) {
	ctx := t.Context()
	h := sdktest.New(t, releasesPlugin, sdktest.Options{}).Helm("releases", nil)
	web := helm.ReleaseRef{Namespace: "shop", Name: "web"}
	if rev, err := h.Status(ctx, web); err != nil || rev != (helm.Revision{}) {
		t.Errorf("Status before = %+v, %v", rev, err)
	}
	var changes []helm.Change
	rendered, err := h.Plan(ctx, helm.Release{Ref: web}, func(c helm.Change) { changes = append(changes, c) })
	if err != nil || rendered.Notes != "planned" || len(changes) != 1 || changes[0].Namespace != "shop" {
		t.Errorf("Plan = %+v, %v, emitted %+v", rendered, err, changes)
	}
	var events []string
	emit := func(e helm.Event) { events = append(events, e.Message) }
	rev, err := h.Upgrade(ctx, helm.Release{Ref: web, Timeout: time.Minute}, emit)
	if err != nil || rev.Number != 1 || rev.Message != "upgraded within 1m0s" {
		t.Errorf("Upgrade = %+v, %v", rev, err)
	}
	changes = nil
	to, err := h.PlanRollback(ctx, helm.Rollback{Ref: web}, func(c helm.Change) { changes = append(changes, c) })
	if err != nil || to.Number != 1 || len(changes) != 1 || changes[0].Action != "delete" {
		t.Errorf("PlanRollback = %+v, %v, emitted %+v", to, err, changes)
	}
	if _, err := h.PlanRollback(ctx, helm.Rollback{Ref: web, To: 7}, func(helm.Change) {}); !sdk.IsPermanent(err) {
		t.Errorf("PlanRollback to nowhere: %v", err)
	}
	if _, err := h.Rollback(ctx, helm.Rollback{Ref: web, To: 7}, emit); !sdk.IsPermanent(err) {
		t.Errorf("Rollback to nowhere: %v", err)
	}
	if rev, err = h.Rollback(ctx, helm.Rollback{Ref: web}, emit); err != nil || rev.Number != 2 {
		t.Errorf("Rollback = %+v, %v", rev, err)
	}
	var numbers []int
	if err := h.History(ctx, web, func(r helm.Revision) { numbers = append(numbers, r.Number) }); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]int{2, 1}, numbers); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	checkCapabilities(t, h, web)
	if err := h.Test(ctx, helm.Test{Ref: web}, emit); err == nil || err.Error() != "1 of 1 tests failed" {
		t.Errorf("Test: %v", err)
	}
	if err := h.Uninstall(ctx, helm.Uninstall{Ref: web}, emit); err != nil {
		t.Error(err)
	}
	if rev, err := h.Status(ctx, web); err != nil || rev.Number != 0 {
		t.Errorf("Status after = %+v, %v", rev, err)
	}
	if diff := cmp.Diff([]string{"waiting", "back", "test failed", "gone"}, events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// checkCapabilities makes the calls that not every helm has, on a release with
// two revisions.
func checkCapabilities(t *testing.T, h *client.Helm, web helm.ReleaseRef) {
	t.Helper()
	ctx := t.Context()
	if err := h.List(ctx, "", func(ref helm.ReleaseRef, rev helm.Revision) {
		if ref != web || rev.Number != 2 {
			t.Errorf("listed %+v %+v", ref, rev)
		}
	}); err != nil {
		t.Error(err)
	}
	if content, err := h.Content(ctx, web, 1); err != nil || content.Revision.Number != 1 || content.Values.Reveal() != `{"a":1}` {
		t.Errorf("Content = %+v, %v", content, err)
	}
	if _, err := h.Content(ctx, web, 9); !errors.Is(err, helm.ErrNotFound) {
		t.Errorf("Content of nothing: %v", err)
	}
	var changed []string
	if err := h.Compare(ctx, helm.Comparison{Ref: web}, func(c helm.Change) { changed = append(changed, c.Name) }); err != nil || len(changed) != 1 {
		t.Errorf("Compare: %v, %v", changed, err)
	}
	if rev, err := h.Unlock(ctx, web); err != nil || rev.Status != "failed" {
		t.Errorf("Unlock = %+v, %v", rev, err)
	}
}

// full is a source with every capability.
type full struct {
	script
	marked chan string
}

func (f *full) Watch(ctx context.Context, emit func(source.Revision)) error {
	emit(source.Revision{ID: "1"})
	<-ctx.Done()
	return ctx.Err()
}

func (f *full) Mark(_ context.Context, name string, rev source.Revision, message string) error {
	f.marked <- name + " " + rev.ID + " " + message
	return nil
}

func (f *full) Verify(context.Context, source.Revision) ([]string, error) {
	return []string{"alice", "bob"}, nil
}

func (f *full) Identity(_ context.Context, regenerate bool) (string, error) {
	if regenerate {
		return "ssh-ed25519 new", nil
	}
	return "ssh-ed25519 old", nil
}

func TestSourceCapabilities(t *testing.T) {
	ctx := t.Context()
	marked := make(chan string, 1)
	open := func(_ context.Context, _ scriptConfig, env sdk.Env) (*full, error) {
		return &full{script{env: env}, marked}, nil
	}
	p := sdk.Plugin{Name: "full", Version: "1.0.0", Kinds: []sdk.Kind{source.New("full", open)}}
	src := sdktest.New(t, p, sdktest.Options{}).Source("full", nil)

	watch, cancel := context.WithCancel(ctx)
	var seen []string
	err := src.Watch(watch, func(rev source.Revision) { seen = append(seen, rev.ID); cancel() })
	if !errors.Is(err, context.Canceled) || len(seen) != 1 {
		t.Errorf("Watch: %v, emitted %v", err, seen)
	}
	if err := src.Mark(ctx, "flux-sync", source.Revision{ID: "1"}, "done"); err != nil || <-marked != "flux-sync 1 done" {
		t.Errorf("Mark: %v", err)
	}
	who, err := src.Verify(ctx, source.Revision{ID: "1"})
	if err != nil || !cmp.Equal(who, []string{"alice", "bob"}) {
		t.Errorf("Verify = %v, %v", who, err)
	}
	for regenerate, want := range map[bool]string{false: "ssh-ed25519 old", true: "ssh-ed25519 new"} {
		if got, err := src.Identity(ctx, regenerate); err != nil || got != want {
			t.Errorf("Identity(%t) = %q, %v", regenerate, got, err)
		}
	}
}

func TestApplierKeepsSecrets(t *testing.T) {
	ctx := t.Context()
	a := sdktest.New(t, newTarget().plugin(), sdktest.Options{}).Applier("memory", nil)
	ref := applier.SecretRef{Namespace: "flux", Name: "deploy", Key: "identity"}
	if _, err := a.ReadSecret(ctx, ref); !errors.Is(err, applier.ErrNoSecret) {
		t.Errorf("ReadSecret before: %v", err)
	}
	if err := a.WriteSecret(ctx, ref, secret.New("k\x00\xff")); err != nil {
		t.Error(err)
	}
	if value, err := a.ReadSecret(ctx, ref); err != nil || value.Reveal() != "k\x00\xff" {
		t.Errorf("ReadSecret = %q, %v", value.Reveal(), err)
	}
}

func TestApplierListsFurtherKindsAndMarks(t *testing.T) {
	ctx := t.Context()
	m := newTarget()
	m.objects[applier.Ref{Kind: "Rollout", Name: "web"}] = stored{"shop", map[string]any{"kind": "Rollout"}}
	m.origins["shop"] = "git"
	a := sdktest.New(t, m.plugin(), sdktest.Options{}).Applier("memory", nil)
	for want, filter := range map[string]applier.WorkloadFilter{
		`{"kind":"Rollout"}`: {Kinds: []applier.Kind{{Group: "", Kind: "Rollout"}}},
		"":                   {Kinds: []applier.Kind{{Group: "other", Kind: "Rollout"}}},
	} {
		err := a.Workloads(ctx, filter, func(w applier.Workload) {
			if string(w.Object) != want || (len(w.Containers) == 0) != (want != "") {
				t.Errorf("with %+v: object %s, containers %+v", filter, w.Object, w.Containers)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := a.Mark(ctx, "shop", "sluice.dev/synced", "abc"); err != nil || m.marks["shop sluice.dev/synced"] != "abc" {
		t.Errorf("Mark: %v, marks %v", err, m.marks)
	}
	if err := a.Mark(ctx, "ops", "sluice.dev/synced", "abc"); err == nil {
		t.Error("Mark of an owner without a record succeeded")
	}
}
