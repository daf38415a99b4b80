package releases

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	releasecommon "helm.sh/helm/v4/pkg/release/common"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// somebody records that another operation has begun, as Helm does.
func (m *Manager) somebody(t *testing.T, ref helm.ReleaseRef) {
	t.Helper()
	o, err := m.begin(t.Context(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	last, err := o.last()
	if err != nil {
		t.Fatal(err)
	}
	last.Version++
	last.Info.Status, last.Info.Description, last.Info.LastDeployed = releasecommon.StatusPendingUpgrade, "theirs", time.Now()
	if err := o.config.Releases.Create(last); err != nil {
		t.Fatal(err)
	}
}

// TestSomebodyElse: what somebody else begins after an operation has looked, and
// before it has recorded anything, is neither worked on nor marked as failed.
func TestSomebodyElse(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*operation, helm.Release, past) error{
		"before Helm looks": func(o *operation, r helm.Release, p past) error {
			c, values, err := load(r)
			if err != nil {
				return err
			}
			_, err = o.result(o.change(r, p.last, "hookOnly").RunWithContext(o.ctx, r.Ref.Name, c, values))
			return err
		},
		"after Helm has looked": func(o *operation, _ helm.Release, p past) error {
			next := *p.last
			next.Version++
			_, err := o.result(nil, o.config.Releases.Create(&next))
			return err
		},
		"uninstall": func(o *operation, r helm.Release, p past) error {
			return o.uninstall(helm.Uninstall{Ref: r.Ref}, p)
		},
		"install": func(o *operation, r helm.Release, _ past) error {
			o.journal.aim(nil)
			c, values, err := load(r)
			if err != nil {
				return err
			}
			_, err = o.result(o.install(r, nil, "hookOnly").RunWithContext(o.ctx, c, values))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, ns := real(t)
			r := simple(t, ns, "one")
			if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
			o, err := m.begin(t.Context(), r.Ref, nil)
			if err != nil {
				t.Fatal(err)
			}
			p, err := o.past()
			if err != nil {
				t.Fatal(err)
			}
			if err := o.capable(); err != nil {
				t.Fatal(err)
			}
			m.somebody(t, r.Ref)
			if err := act(o, r, p); !errors.Is(err, helm.ErrLocked) || !strings.Contains(err.Error(), "somebody else") {
				t.Errorf("got %v", err)
			}
			if rev, err := m.Status(t.Context(), r.Ref); err != nil || rev.Number != 2 || rev.Status != "pending-upgrade" || rev.Message != "theirs" {
				t.Errorf("theirs is %+v, %v", rev, err)
			}
			if _, err := m.api(t).CoreV1().ConfigMaps(ns).Get(t.Context(), "web", metav1.GetOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTurns: who changes a release waits for whoever does, until its own
// context ends.
func TestTurns(t *testing.T) {
	t.Parallel()
	turns := turns{of: map[helm.ReleaseRef]*turn{}}
	a, b := helm.ReleaseRef{Name: "a"}, helm.ReleaseRef{Name: "b"}
	done, err := turns.take(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	other, err := turns.take(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	other()
	impatient, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if _, err := turns.take(impatient, a); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	next := make(chan func())
	go func() {
		done, err := turns.take(t.Context(), a)
		if err != nil {
			t.Error(err)
		}
		next <- done
	}()
	done()
	(<-next)()
	if len(turns.of) > 0 {
		t.Errorf("kept: %v", turns.of)
	}
}

// conditional has an object that is there only if it is asked for, and one that
// no API server takes.
const conditional = `{{ if .Values.extra }}apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Values.extra }} }
{{ end }}---
{{ if .Values.bad }}apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: Wrong, ports: [{port: 80}]}
{{ end }}`

func (m *Manager) configMaps(t *testing.T, ns string) (names []string) {
	t.Helper()
	list, err := m.api(t).CoreV1().ConfigMaps(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=Helm"})
	if err != nil {
		t.Fatal(err)
	}
	for _, each := range list.Items {
		names = append(names, each.Name)
	}
	return names
}

func conditionally(t *testing.T, ns string) helm.Release {
	t.Helper()
	r := simple(t, ns, "one")
	r.Chart = chartOf(t, map[string]string{"templates/cm.yaml": configMapTemplate, "templates/extra.yaml": conditional})
	return r
}

func conditionalValues(extra string, bad bool) secret.Secret {
	return secret.New(fmt.Sprintf(`{"greeting": "one", "extra": %q, "bad": %v}`, extra, bad))
}

// TestLeftoversRemain: a revision does not count as deployed before what failed
// ones have left behind is gone, so that it is not forgotten.
func TestLeftoversRemain(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*Manager, helm.Release) error{
		"upgrade": func(m *Manager, r helm.Release) error {
			_, err := m.Upgrade(context.Background(), r, nil)
			return err
		},
		"rollback": func(m *Manager, r helm.Release) error {
			_, err := m.Rollback(context.Background(), helm.Rollback{Ref: r.Ref, To: 1}, nil)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, ns := real(t)
			r := conditionally(t, ns)
			if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
			r.Values = conditionalValues("left", true)
			if _, err := m.Upgrade(t.Context(), r, nil); err == nil {
				t.Fatal("a wrong Service is taken")
			}
			if diff := cmp.Diff([]string{"left", "web"}, m.configMaps(t, ns)); diff != "" {
				t.Fatal(diff)
			}
			stopped := errors.New("stopped by the test")
			ctx, cancel := context.WithCancelCause(t.Context())
			r.Values = conditionalValues("", false)
			_, err := m.Upgrade(ctx, r, func(e helm.Event) {
				if e.Object == "ConfigMap/left" && e.Message == "deleting" {
					cancel(stopped)
				}
			})
			if !errors.Is(err, stopped) {
				t.Errorf("got %v", err)
			}
			if rev, err := m.Status(t.Context(), r.Ref); err != nil || rev.Number != 3 || rev.Status != "failed" {
				t.Errorf("it is %+v, %v", rev, err)
			}
			if err := again(m, r); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{"web"}, m.configMaps(t, ns)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestUninstallAfterFailure: an uninstall takes along what any of the revisions
// since the deployed one has created.
func TestUninstallAfterFailure(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep history %v", keep), func(t *testing.T) {
			t.Parallel()
			m, ns := real(t)
			r := conditionally(t, ns)
			r.Values = conditionalValues("deployed", false)
			if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
				t.Fatal(err)
			}
			for _, extra := range []string{"first", "second"} {
				r.Values = conditionalValues(extra, true)
				if _, err := m.Upgrade(t.Context(), r, nil); err == nil {
					t.Fatal("a wrong Service is taken")
				}
			}
			if err := m.Uninstall(t.Context(), helm.Uninstall{Ref: r.Ref, Wait: true, KeepHistory: keep}, nil); err != nil {
				t.Fatal(err)
			}
			if left := m.configMaps(t, ns); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
