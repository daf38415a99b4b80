package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/process"
	"github.com/sluice-gitops/sluice/scripts/devcluster/programs"
)

// livePrograms returns the programs from the user's cache. To build them takes
// minutes, so that a test asks for it only when told to.
func livePrograms(t *testing.T) programs.Set {
	t.Helper()
	mod, modErr := os.ReadFile("../go.mod")
	sum, sumErr := os.ReadFile("../go.sum")
	cache, cacheErr := os.UserCacheDir()
	if err := errors.Join(modErr, sumErr, cacheErr); err != nil {
		t.Fatal(err)
	}
	source, err := programs.NewSource(mod, sum)
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "sluice", "devcluster")
	if set, ok := programs.Open(source, cache); ok {
		return set
	}
	if os.Getenv("DEVCLUSTER_TEST") != "1" {
		t.Skip("the programs are not built: run `devcluster build`, or set DEVCLUSTER_TEST=1 to have the test build them")
	}
	set, err := programs.Ensure(t.Context(), source, cache, programs.NewProgress(os.Stderr))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// live is a cluster that runs.
type live struct {
	*Clusters
	t      *testing.T
	set    programs.Set
	status *Status
	seen   []process.Identity // every process it ever had
}

func newLive(t *testing.T, name string) *live {
	t.Helper()
	set := livePrograms(t)
	l := &live{Clusters: New(t.TempDir(), func(s string) { t.Log(s) }), t: t, set: set}
	t.Cleanup(func() {
		// t.Context is cancelled by now.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := l.Down(ctx, name); err != nil {
			t.Error(err)
		}
	})
	l.up(name)
	return l
}

func (l *live) up(name string) {
	l.t.Helper()
	status, err := l.Up(l.t.Context(), name, l.set, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	if status.State != Running {
		l.t.Fatalf("after up: %+v", status)
	}
	l.status = status
	for _, id := range l.processes() {
		l.seen = append(l.seen, id)
	}
}

func (l *live) processes() map[string]process.Identity {
	l.t.Helper()
	s, err := l.read(l.status.Name)
	if err != nil {
		l.t.Fatal(err)
	}
	return s.Processes
}

// kubectl runs kubectl, whose stderr becomes part of a failure, and returns its stdout.
func (l *live) kubectl(stdin string, args ...string) string {
	l.t.Helper()
	path, err := l.set.Path("kubectl")
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.CommandContext(l.t.Context(), path, append([]string{"--kubeconfig", l.status.Kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

// A cluster does what a cluster does, survives what is done to it, and goes
// without a trace.
func TestLifeOfACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a control plane")
	}
	l := newLive(t, "life")
	l.kubectl("", "create", "deployment", "web", "--image=example.com/web", "--replicas=3")
	l.kubectl("", "rollout", "status", "deployment/web", "--timeout=60s")
	checkAudit(t, l.status.Audit)
	if got := l.kubectl("", "version", "-o", "json"); !strings.Contains(got, `"gitVersion": "v1.`) {
		t.Errorf("version: %s", got)
	}

	before := l.processes()
	l.up("life")
	if after := l.processes(); !sameProcesses(before, after) {
		t.Errorf("up of a running cluster: %v became %v", before, after)
	}

	t.Log("the API server alone is stopped and started")
	if err := l.Stop(t.Context(), "life", APIServer, false); err != nil {
		t.Fatal(err)
	}
	status, err := l.Status(t.Context(), "life")
	if err != nil || status.State != Degraded {
		t.Fatalf("status without an API server: %+v, %v", status, err)
	}
	if err := l.Start(t.Context(), "life", APIServer, l.set); err != nil {
		t.Fatal(err)
	}
	l.kubectl("", "get", "deployment", "web")

	t.Log("every process is killed")
	server := l.status.Server
	for _, id := range l.processes() {
		id.Signal(syscall.SIGKILL)
	}
	l.up("life")
	if l.status.Server != server {
		t.Errorf("the server moved from %s to %s", server, l.status.Server)
	}
	l.kubectl("", "rollout", "status", "deployment/web", "--timeout=60s")
	// The controllers must work again, not only the data be there.
	l.kubectl("", "scale", "deployment/web", "--replicas=5")
	l.kubectl("", "rollout", "status", "deployment/web", "--timeout=60s")

	if existed, err := l.Down(t.Context(), "life"); !existed || err != nil {
		t.Fatalf("Down = %v, %v", existed, err)
	}
	for _, id := range l.seen {
		if id.Alive() {
			t.Errorf("process %d lives on", id.PID)
		}
	}
	if _, err := os.Stat(l.status.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", l.status.Dir, err)
	}
}

// A component that cannot work must be named, with its own words, and must not
// leave the others running.
func TestAComponentThatEnds(t *testing.T) {
	if testing.Short() {
		t.Skip("starts etcd")
	}
	set := livePrograms(t)
	c, cl := made(t, "broken")
	if err := os.WriteFile(cl.file("audit-policy.yaml"), []byte("kind: Nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cl.lock.Release()
	_, err := c.Up(t.Context(), "broken", set, 0)
	if err == nil || !strings.Contains(err.Error(), "kube-apiserver ended") || !strings.Contains(err.Error(), "Nonsense") {
		t.Fatalf("Up = %v, want the API server's complaint", err)
	}
	status, err := c.Status(t.Context(), "broken")
	if err != nil || status.State != Stopped {
		t.Errorf("status after that: %+v, %v", status, err)
	}
}

// A port that another program took while the cluster was stopped.
func TestUpMovesPorts(t *testing.T) {
	c, cl := made(t, "moves")
	old := cl.Ports
	listener := listen(t, old.APIServer)
	var notes []string
	cl.note = func(s string) { notes = append(notes, s) }
	if err := c.movePorts(t.Context(), cl); err != nil {
		t.Fatal(err)
	}
	if cl.Ports.APIServer == old.APIServer || len(notes) != 1 {
		t.Errorf("ports %+v became %+v, notes %q", old, cl.Ports, notes)
	}
	config, err := os.ReadFile(cl.kubeconfig(admin))
	if err != nil || !strings.Contains(string(config), localURL("https", cl.Ports.APIServer)) {
		t.Errorf("kubeconfig: %s, %v", config, err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	moved := cl.Ports
	if err := c.movePorts(t.Context(), cl); err != nil || cl.Ports != moved {
		t.Errorf("ports %+v became %+v without need (%v)", moved, cl.Ports, err)
	}
}

func listen(t *testing.T, port int) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func sameProcesses(a, b map[string]process.Identity) bool {
	for name, id := range a {
		if b[name] != id {
			return false
		}
	}
	return len(a) == len(b)
}

// checkAudit wants one line of JSON for each request, with who and what.
func checkAudit(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // It was only read.
	created := 0
	reader := bufio.NewReader(file)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // What is behind the last line end is being written.
		}
		var event struct {
			Level, Verb string
			User        struct{ Username string }
			ObjectRef   struct{ Resource, Name string }
		}
		if err := errors.Join(err, json.Unmarshal(line, &event)); err != nil {
			t.Fatalf("audit log: %q: %v", line, err)
		}
		if event.Level != "Metadata" {
			t.Fatalf("audit log: %s", line)
		}
		if event.Verb == "create" && event.ObjectRef.Resource == "deployments" && event.User.Username == admin.name {
			created++
		}
	}
	if created != 1 {
		t.Errorf("audit log: %d creations of a deployment, want 1", created)
	}
}
