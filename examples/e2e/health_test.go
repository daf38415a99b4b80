package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHealthGate brings out an image that no pod can run: it is put back, and
// left alone until somebody says otherwise.
func TestHealthGate(t *testing.T) {
	t.Parallel()
	w := deployment("", "web", shopHost+"/acme/web:1.1.0")
	u := newUpdates(t, map[string]string{"web.yaml": strings.Replace(w, "  namespace: NS\n",
		"  namespace: NS\n  annotations: {fluxcd.io/automated: 'true', fluxcd.io/tag.web: 'semver:1'}\n", 1)},
		blocks{automation: "health {\n    timeout = \"2m\"\n    revert  = true\n  }"},
		func(r *registry) { r.push("acme/web", 0, "1.1.0") })
	u.must("kubectl", "-n", u.prefix, "rollout", "status", "deployment/web", "--timeout", "1m")
	before := u.repo.text("web.yaml")
	admit := u.refuse("1.2.0")
	u.reverted(before)
	admit()
	u.lifted()
	u.healthy()
}

// refuse has the cluster refuse all pods with a tag, until admit is called.
func (u *updates) refuse(tag string) (admit func()) {
	u.t.Helper()
	file := filepath.Join(u.dir, "policy.yaml")
	text := strings.NewReplacer("NS", u.prefix, "TAG", tag).Replace(`apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NS}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - {expression: "!object.spec.containers.exists(c, c.image.endsWith(':TAG'))", message: TAG does not start}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NS}
spec:
  policyName: NS
  validationActions: [Deny]
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}}
`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	u.must("kubectl", "apply", "-f", file)
	remove := func() { u.must("kubectl", "delete", "--ignore-not-found", "-f", file) }
	u.t.Cleanup(remove)
	refuses := func() bool {
		return u.run("kubectl", "-n", u.prefix, "run", "probe", "--dry-run=server", "--image=x:"+tag).code != 0
	}
	u.eventually(time.Minute, "the cluster refuses pods with "+tag, refuses)
	return func() {
		remove()
		u.eventually(time.Minute, "the cluster takes pods with "+tag, func() bool { return !refuses() })
	}
}

// reverted is an update and the commit that takes it back.
func (u *updates) reverted(manifest string) {
	u.t.Helper()
	before := u.repo.head()
	u.reg.push("acme/web", 30, "1.2.0")
	commits := u.lands(before, 2)
	u.same("the file after the revert", u.repo.text("web.yaml"), manifest)
	for _, c := range commits {
		u.same("the changed lines", strings.Join(u.repo.numstat(c), ","), "1 1 web.yaml")
	}
	message := u.repo.served("log", "-1", "--format=%B", commits[1])
	for _, want := range []string{"1.2.0", commits[0][:7], "Sluice-Cause: revert"} {
		if !strings.Contains(message, want) {
			u.t.Errorf("the message of the revert lacks %q:\n%s", want, message)
		}
	}
	u.must("kubectl", "-n", u.prefix, "rollout", "status", "deployment/web", "--timeout", "1m")
	u.same("the image that runs", u.runs("web"), shopHost+"/acme/web:1.1.0")
	for _, args := range [][]string{{"images", "why", "-n", u.prefix, "deployment/web"}, {"images", "quarantine"}} {
		if said := u.sluice(args...); !strings.Contains(said, "1.2.0") || !strings.Contains(said, "does not start") {
			u.t.Errorf("%q does not say that 1.2.0 did not start:\n%s", args, said)
		}
	}
	u.scan()
	u.daemon.stop() // and another one does not forget it
	u.start()
	u.applied()
	u.scan()
	if later := u.repo.commits(commits[1]); len(later) > 0 {
		u.t.Errorf("%d commits while 1.2.0 is quarantined", len(later))
	}
}

// lifted is the same image once the quarantine is lifted, and it can run.
func (u *updates) lifted() {
	u.t.Helper()
	before := u.repo.head()
	u.sluice("images", "quarantine", "lift", shopHost+"/acme/web:1.2.0")
	u.lands(before, 1)
	u.rolledOut("1.2.0")
}

// healthy is an image with which nothing is wrong.
func (u *updates) healthy() {
	u.t.Helper()
	before := u.repo.head()
	u.reg.push("acme/web", 40, "1.3.0")
	u.lands(before, 1)
	u.rolledOut("1.3.0")
	if said := u.sluice("images", "quarantine"); strings.Contains(said, "acme/web") {
		u.t.Errorf("quarantined:\n%s", said)
	}
}

// rolledOut waits until all pods have a tag of web.
func (u *updates) rolledOut(tag string) {
	u.t.Helper()
	u.must("kubectl", "-n", u.prefix, "rollout", "status", "deployment/web", "--timeout", "1m")
	u.same("the image that runs", u.runs("web"), fmt.Sprintf("%s/acme/web:%s", shopHost, tag))
}
