package workloads

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestRollout has the states that a test cluster does not get into, or not for
// long enough.
func TestRollout(t *testing.T) {
	for name, tt := range map[string]struct {
		kind, object string
		want         applier.Rollout
	}{
		"not seen by its controller": {"Deployment", `{"metadata":{"generation":1},"spec":{"replicas":2}}`,
			applier.Rollout{Phase: applier.RolloutStarted, Desired: 2}},
		"an old failure and a new change": {"Deployment",
			`{"metadata":{"generation":2},"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"conditions":[{"type":"Progressing","status":"False","reason":"X"}]}}`,
			applier.Rollout{Phase: applier.RolloutStarted, Desired: 1, Updated: 1}},
		"old replicas are left": {"Deployment",
			`{"metadata":{"generation":1},"spec":{"replicas":3},"status":{"observedGeneration":1,"replicas":4,"updatedReplicas":3,"readyReplicas":4,"availableReplicas":3}}`,
			applier.Rollout{Phase: applier.RolloutUpdating, Desired: 3, Updated: 3, Ready: 4, Available: 3, Outdated: 1}},
		"quota": {"Deployment",
			`{"metadata":{"generation":1},"status":{"observedGeneration":1,"conditions":[{"type":"Progressing","status":"True"},{"type":"ReplicaFailure","status":"True","reason":"FailedCreate","message":"exceeded quota"}]}}`,
			applier.Rollout{Phase: applier.RolloutFailed, Desired: 1, Message: "FailedCreate: exceeded quota"}},
		"scaled to nothing": {"Deployment", `{"metadata":{"generation":3},"spec":{"replicas":0},"status":{"observedGeneration":3}}`,
			applier.Rollout{Phase: applier.RolloutReady}},
		"a partition keeps the old ones": {"StatefulSet",
			`{"metadata":{"generation":1},"spec":{"replicas":3,"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":2}}},"status":{"observedGeneration":1,"replicas":3,"updatedReplicas":1,"readyReplicas":3,"availableReplicas":3}}`,
			applier.Rollout{Phase: applier.RolloutReady, Desired: 1, Updated: 1, Ready: 3, Available: 3}},
		"a partition after all were updated": {"StatefulSet",
			`{"metadata":{"generation":1},"spec":{"replicas":3,"updateStrategy":{"rollingUpdate":{"partition":9}}},"status":{"observedGeneration":1,"replicas":3,"updatedReplicas":3,"readyReplicas":3,"availableReplicas":3}}`,
			applier.Rollout{Phase: applier.RolloutReady, Updated: 3, Ready: 3, Available: 3}},
		"one below the partition is not ready": {"StatefulSet",
			`{"metadata":{"generation":1},"spec":{"replicas":3,"updateStrategy":{"rollingUpdate":{"partition":2}}},"status":{"observedGeneration":1,"replicas":3,"updatedReplicas":1,"readyReplicas":2,"availableReplicas":2}}`,
			applier.Rollout{Phase: applier.RolloutUpdating, Desired: 1, Updated: 1, Ready: 2, Available: 2}},
		"StatefulSet on delete": {"StatefulSet",
			`{"metadata":{"generation":1},"spec":{"replicas":2,"updateStrategy":{"type":"OnDelete"}},"status":{"observedGeneration":1,"replicas":2,"updatedReplicas":1,"readyReplicas":2,"availableReplicas":2}}`,
			applier.Rollout{Phase: applier.RolloutUpdating, Desired: 2, Updated: 1, Ready: 2, Available: 2, Outdated: 1, Message: "update strategy OnDelete: 1 old pods are replaced when somebody deletes them"}},
		"half a DaemonSet": {"DaemonSet",
			`{"metadata":{"generation":1},"spec":{"updateStrategy":{"rollingUpdate":{"maxUnavailable":"10%"}}},"status":{"observedGeneration":1,"desiredNumberScheduled":4,"currentNumberScheduled":3,"updatedNumberScheduled":2,"numberReady":3,"numberAvailable":3}}`,
			applier.Rollout{Phase: applier.RolloutUpdating, Desired: 4, Updated: 2, Ready: 3, Available: 3, Outdated: 1}},
		"CronJob":      {"CronJob", `{"metadata":{"generation":7}}`, applier.Rollout{Phase: applier.RolloutReady}},
		"new Job":      {"Job", `{"metadata":{"generation":1}}`, applier.Rollout{Phase: applier.RolloutStarted}},
		"running Job":  {"Job", `{"status":{"startTime":"2026-01-01T00:00:00Z","active":2,"failed":1}}`, applier.Rollout{Phase: applier.RolloutUpdating, Message: "running: 2 pods active, 0 succeeded, 1 failed"}},
		"complete Job": {"Job", `{"status":{"startTime":"2026-01-01T00:00:00Z","succeeded":1,"conditions":[{"type":"Complete","status":"True"}]}}`, applier.Rollout{Phase: applier.RolloutReady}},
		"failed Job":   {"Job", `{"status":{"conditions":[{"type":"Failed","status":"True","reason":"BackoffLimitExceeded"}]}}`, applier.Rollout{Phase: applier.RolloutFailed, Message: "BackoffLimitExceeded"}},
	} {
		t.Run(name, func(t *testing.T) {
			var o object
			if err := json.Unmarshal([]byte(tt.object), &o); err != nil {
				t.Fatal(err)
			}
			for _, k := range kinds {
				if k.name != tt.kind {
					continue
				}
				if diff := cmp.Diff(tt.want, k.rollout(&o)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				return
			}
			t.Fatalf("no kind %s", tt.kind)
		})
	}
}
