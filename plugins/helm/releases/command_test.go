package releases

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// commandVariable names a helm command to work together with.
const commandVariable = "SLUICE_TEST_HELM"

func command(t *testing.T, ns string, args ...string) []byte {
	t.Helper()
	binary := os.Getenv(commandVariable)
	if binary == "" {
		t.Skipf("%s names no helm command: go build helm.sh/helm/v4/cmd/helm", commandVariable)
	}
	cmd := exec.CommandContext(t.Context(), binary, append(args, "--namespace", ns, "--kubeconfig", os.Getenv(kubeconfigVariable))...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// TestCommand: the helm command lists, rolls back, upgrades and uninstalls
// what is installed here, and what it installs is adopted here.
func TestCommand(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	upgrade := func(greeting string, number int) {
		t.Helper()
		r.Values, r.Digest = secret.New(`{"greeting": "`+greeting+`"}`), "d-"+greeting
		if rev, err := m.Upgrade(t.Context(), r, nil); err != nil || rev.Number != number || rev.Digest != r.Digest {
			t.Fatalf("Upgrade = %+v, %v", rev, err)
		}
	}
	status := func(number int, greeting string) helm.Revision {
		t.Helper()
		rev, err := m.Status(t.Context(), r.Ref)
		if err != nil || rev.Number != number || rev.Status != "deployed" {
			t.Fatalf("Status = %+v, %v", rev, err)
		}
		if cm, err := m.api(t).CoreV1().ConfigMaps(ns).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || cm.Data["greeting"] != greeting {
			t.Errorf("there is %v, %v; want %s", cm, err, greeting)
		}
		return rev
	}
	upgrade("one", 1)
	upgrade("two", 2)
	var listed []struct{ Name, Revision, Status, Chart string }
	if err := json.Unmarshal(command(t, ns, "list", "--output", "json"), &listed); err != nil || len(listed) != 1 || listed[0].Revision != "2" || listed[0].Chart != "web-1.2.3" {
		t.Errorf("helm list: %+v, %v", listed, err)
	}
	command(t, ns, "rollback", "web", "1")
	if rev := status(3, "one"); rev.Digest != "" || rev.Owner != "test" {
		t.Errorf("after a rollback by the command: %+v", rev)
	}
	upgrade("two", 4)
	command(t, ns, "upgrade", "web", r.Chart, "--set", "greeting=three")
	if rev := status(5, "three"); rev.Digest != "" {
		t.Errorf("after an upgrade by the command: %+v", rev)
	}
	upgrade("four", 6)
	command(t, ns, "uninstall", "web")
	if rev, err := m.Status(t.Context(), r.Ref); err != nil || rev.Number != 0 {
		t.Errorf("after an uninstall by the command: %+v, %v", rev, err)
	}
	command(t, ns, "install", "web", r.Chart, "--set", "greeting=five")
	status(1, "five")
	r.Adopt = true
	upgrade("six", 2)
	status(2, "six")
}
