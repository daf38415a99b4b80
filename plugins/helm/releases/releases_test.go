package releases

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestLife(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")

	if rev, err := m.Status(ctx, r.Ref); err != nil || rev != (helm.Revision{}) {
		t.Fatalf("Status before = %+v, %v", rev, err)
	}
	var changes []string
	plan := func() {
		changes = nil
		if _, err := m.Plan(ctx, r, func(c helm.Change) { changes = append(changes, c.Action+" "+c.Kind+"/"+c.Name) }); err != nil {
			t.Fatal(err)
		}
	}
	if plan(); !cmp.Equal(changes, []string{"create ConfigMap/web"}) {
		t.Errorf("plan before: %v", changes)
	}
	rev, err := m.Upgrade(ctx, r, nil)
	if err != nil || rev.Number != 1 || rev.Status != "deployed" || rev.Chart != "web-1.2.3" || rev.Owner != "test" || rev.Digest != "d-one" {
		t.Fatalf("install = %+v, %v", rev, err)
	}
	r.Values, r.Digest = secret.New(`{"greeting": "two"}`), "d-two"
	if plan(); !cmp.Equal(changes, []string{"update ConfigMap/web"}) {
		t.Errorf("plan: %v", changes)
	}
	var events []string
	if rev, err = m.Upgrade(ctx, r, func(e helm.Event) { events = append(events, e.Message+" "+e.Object) }); err != nil || rev.Number != 2 || rev.Digest != "d-two" {
		t.Fatalf("upgrade = %+v, %v", rev, err)
	}
	if !cmp.Equal(events, []string{"applied ConfigMap/web"}) {
		t.Errorf("events: %v", events)
	}
	changes = nil
	to, err := m.PlanRollback(ctx, helm.Rollback{Ref: r.Ref}, func(c helm.Change) {
		changes = append(changes, c.Action+" "+c.Kind+"/"+c.Name)
		if !strings.Contains(c.Diff, `-  greeting: two`) || !strings.Contains(c.Diff, `+  greeting: one`) {
			t.Errorf("the rollback would change\n%s", c.Diff)
		}
	})
	if err != nil || to.Number != 1 || !cmp.Equal(changes, []string{"update ConfigMap/web"}) {
		t.Errorf("plan of a rollback: %v to %+v, %v", changes, to, err)
	}
	if _, err := m.PlanRollback(ctx, helm.Rollback{Ref: r.Ref, To: 9}, func(helm.Change) {}); !errors.Is(err, helm.ErrNotFound) {
		t.Errorf("plan of a rollback to nowhere: %v", err)
	}
	rev, err = m.Rollback(ctx, helm.Rollback{Ref: r.Ref}, nil)
	if err != nil || rev.Number != 3 || rev.Digest != "" || rev.Owner != "test" {
		t.Fatalf("rollback = %+v, %v", rev, err)
	}
	content, err := m.Content(ctx, r.Ref, 0)
	if err != nil || content.Values.Reveal() != `{"greeting":"one"}` || !strings.Contains(content.Manifest.Reveal(), `"one"`) {
		t.Errorf("Content = %+v, %v", content, err)
	}
	var history []int
	if err := m.History(ctx, r.Ref, func(rev helm.Revision) { history = append(history, rev.Number) }); err != nil || !cmp.Equal(history, []int{3, 2, 1}) {
		t.Errorf("History = %v, %v", history, err)
	}
	listed := map[string]helm.Revision{}
	if err := m.List(ctx, ns, func(ref helm.ReleaseRef, rev helm.Revision) { listed[ref.Name] = rev }); err != nil || listed["web"].Number != 3 {
		t.Errorf("List = %+v, %v", listed, err)
	}
	if err := m.Uninstall(ctx, helm.Uninstall{Ref: r.Ref, Owner: "other"}, nil); !errors.Is(err, helm.ErrOwned) {
		t.Errorf("Uninstall by another: %v", err)
	}
	for range 2 { // the second time there is nothing to do
		if err := m.Uninstall(ctx, helm.Uninstall{Ref: r.Ref, Owner: "test", Wait: true}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := m.api(t).CoreV1().ConfigMaps(ns).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=Helm"}); err != nil || len(list.Items) > 0 {
		t.Errorf("left behind: %v, %v", list.Items, err)
	}
}

func TestHistoryIsKept(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := m.Uninstall(ctx, helm.Uninstall{Ref: r.Ref, KeepHistory: true}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if rev, err := m.Status(ctx, r.Ref); err != nil || rev.Status != "uninstalled" {
		t.Errorf("Status = %+v, %v", rev, err)
	}
	if rev, err := m.Upgrade(ctx, r, nil); err != nil || rev.Number != 2 || rev.Digest != "d-one" {
		t.Errorf("install again = %+v, %v", rev, err)
	}
}

func TestMaxHistory(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	r.MaxHistory = 2
	for range 4 {
		if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	if err := m.History(t.Context(), r.Ref, func(helm.Revision) { n++ }); err != nil || n != 2 {
		t.Errorf("%d revisions, %v; want 2", n, err)
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	out := filepath.Join(t.TempDir(), "objects.jsonl")
	rendered, err := m.Template(t.Context(), r, out)
	if err != nil || rendered.Chart != "web-1.2.3" || !strings.HasPrefix(rendered.Digest, "sha256:") {
		t.Errorf("Template = %+v, %v", rendered, err)
	}
	content, err := os.ReadFile(out)
	want := `{"apiVersion":"v1","data":{"greeting":"one","revision":"1"},"kind":"ConfigMap","metadata":{"name":"web"}}` + "\n"
	if err != nil || string(content) != want {
		t.Errorf("rendered %s, %v", content, err)
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")
	r.Owner, r.Digest = "", "" // as the helm command does it
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	r.Owner = "a"
	if _, err := m.Upgrade(ctx, r, nil); !errors.Is(err, helm.ErrOwned) {
		t.Errorf("without adopting: %v", err)
	}
	r.Adopt = true
	if rev, err := m.Upgrade(ctx, r, nil); err != nil || rev.Owner != "a" {
		t.Errorf("adopting: %+v, %v", rev, err)
	}
	r.Owner, r.Adopt = "b", false
	if _, err := m.Upgrade(ctx, r, nil); !errors.Is(err, helm.ErrOwned) || !strings.Contains(err.Error(), "belongs to a") {
		t.Errorf("another owner: %v", err)
	}
}
