package engine

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

var errNetwork = errors.New("the network is down")

// TestStoppedInTime: what was decided while the source was away is not written
// if it was stopped before the source came back.
func TestStoppedInTime(t *testing.T) {
	const image = "registry.invalid/web:1.0.0"
	for name, stop := range map[string]func(*fleet){
		"removed": func(f *fleet) {
			f.configure(shop)
			if _, err := f.e.Reload(f.t.Context()); err != nil {
				f.t.Error(err)
			}
		},
		"locked": func(f *fleet) {
			f.repo.put("web.yaml", declared("shop", "web", image, append(yes, "fluxcd.io/locked=true", "fluxcd.io/locked_user=ann", "fluxcd.io/locked_msg=stock-taking")...))
		},
		"ignored": func(f *fleet) {
			f.repo.put("web.yaml", declared("shop", "web", image, append(yes, "fluxcd.io/ignore=true")...))
		},
		"deautomated": func(f *fleet) { f.repo.put("web.yaml", declared("shop", "web", image)) },
		"other pattern": func(f *fleet) {
			f.repo.put("web.yaml", declared("shop", "web", image, yes[0], "fluxcd.io/tag.main=semver:~1.0"))
		},
		"quarantined": func(f *fleet) {
			f.restart(func() {
				f.quarantine(gate.Quarantine{Repository: "registry.invalid/web", Tag: "1.1.0", Reason: "it burns"})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, automated, map[string]string{"web.yaml": declared("shop", "web", image, yes...)})
				f.refuse(errNetwork)
				f.registry("web", "1.0.0", "1.1.0")
				expect(t, f.e, automation, Waiting, "waits to write 1 change: the network is down")
				stop(f)
				f.refuse(nil)
				sleepFor(t, 10*time.Minute)
				f.wantCommits(0)
				if p := f.e.Status().Pending; len(p) != 0 {
					t.Errorf("%+v", p)
				}
				f.e.mu.Lock()
				defer f.e.mu.Unlock()
				if n := f.e.nodes[automation]; n != nil && n.view.State != Ready {
					t.Errorf("%s: %s", n.view.State, n.view.Reason)
				}
			})
		})
	}
}

// TestSuspendedInTime: a suspended automation keeps what it has decided, says so,
// and nobody else's commit waits for it.
func TestSuspendedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{
			"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...),
			"api.yaml": declared("shop", "api", "registry.invalid/web:1.0.0"),
		})
		f.refuse(errNetwork)
		f.registry("web", "1.0.0", "1.1.0")
		if _, err := f.e.Suspend(t.Context(), SuspendRequest{Names: []string{automation}, By: "ann", Reason: "1.1.0 is bad"}); err != nil {
			t.Fatal(err)
		}
		f.refuse(nil)
		sleepFor(t, 10*time.Minute)
		f.wantCommits(0)
		if p := f.e.Status().Pending; len(p) != 1 || !strings.Contains(p[0].Error, "image_automation.shop is suspended by ann: 1.1.0 is bad") {
			t.Errorf("%+v", p)
		}
		f.release("shop:deployment/api", false)
		f.wantCommits(1)
		f.wantImage("web.yaml", "registry.invalid/web:1.0.0")
		if _, err := f.e.Resume(t.Context(), ResumeRequest{Names: []string{automation}}); err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Second)
		f.wantCommits(2)
		f.wantImage("web.yaml", "registry.invalid/web:1.1.0")
	})
}

// TestLockWaitsToo: a lock that a person has asked for, and that waits for the
// same commit, stops automation.
func TestLockWaitsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...)})
		f.refuse(errNetwork)
		f.registry("web", "1.0.0", "1.1.0")
		job, err := f.e.Policy(t.Context(), jobs.PolicyRequest{Workloads: []string{"shop:deployment/web"}, Change: update.PolicyChange{Lock: true, LockUser: "ann"}})
		if err != nil {
			t.Fatal(err)
		}
		sleepFor(t, time.Second)
		f.refuse(nil)
		if done, err := f.e.WaitJob(t.Context(), job.ID, false); err != nil || done.State != jobs.Succeeded {
			t.Fatalf("%+v, %v", done, err)
		}
		sleepFor(t, 10*time.Minute)
		f.wantCommits(1)
		f.wantImage("web.yaml", "registry.invalid/web:1.0.0")
	})
}

// TestLockedRelease: a release that was asked for before the workload was locked
// is not made, unless it was forced.
func TestLockedRelease(t *testing.T) {
	for _, force := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t, shop, map[string]string{"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0")})
			f.registry("web", "1.0.0", "1.1.0")
			f.refuse(errNetwork)
			job := f.begin("shop:deployment/web", force)
			sleepFor(t, time.Second)
			f.repo.put("web.yaml", declared("shop", "web", "registry.invalid/web:1.0.0", "fluxcd.io/locked=true", "fluxcd.io/locked_msg=stock-taking"))
			f.refuse(nil)
			done, err := f.e.WaitJob(t.Context(), job, false)
			if err != nil {
				t.Fatal(err)
			}
			if force {
				f.wantCommits(1)
				f.wantImage("web.yaml", "registry.invalid/web:1.1.0")
				return
			}
			f.wantCommits(0)
			if len(done.Results) != 1 || done.Results[0].Status == update.Success || !strings.Contains(done.Error+done.Results[0].Reason+done.Results[0].Detail, "it is locked: stock-taking") {
				t.Errorf("%+v", done)
			}
		})
	}
}

// quarantine puts an image into quarantine while no daemon runs.
func (f *fleet) quarantine(q gate.Quarantine) {
	f.t.Helper()
	store, err := state.Open(filepath.Join(f.dir, "data"), state.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	k, err := gate.Open(store)
	if err == nil {
		err = k.Quarantine(q)
	}
	if err := errors.Join(err, store.Close()); err != nil {
		f.t.Fatal(err)
	}
}

// refuse has commits fail.
func (f *fleet) refuse(err error) {
	f.repo.mu.Lock()
	defer f.repo.mu.Unlock()
	f.repo.refuse = err
}

// begin asks for 1.1.0 in the container of a workload.
func (f *fleet) begin(workload string, force bool) (job string) {
	f.t.Helper()
	spec := update.Spec{Force: force, Containers: map[string][]update.Swap{workload: {{Container: "main", Current: "registry.invalid/web:1.0.0", Target: "registry.invalid/web:1.1.0"}}}}
	j, err := f.e.Release(f.t.Context(), jobs.ReleaseRequest{Spec: spec})
	if err != nil {
		f.t.Fatal(err)
	}
	return j.ID
}

// release is begin, until it has succeeded.
func (f *fleet) release(workload string, force bool) {
	f.t.Helper()
	done, err := f.e.WaitJob(f.t.Context(), f.begin(workload, force), false)
	if err != nil || done.State != jobs.Succeeded {
		f.t.Fatalf("%+v, %v", done, err)
	}
	f.e.trigger(automation, sched.Webhook)
}
