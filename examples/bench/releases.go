package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// helmVersion of the helm command, the same as the library of the helm plugin.
const helmVersion = "v4.3.1"

// releaseTimeout bounds one step with all releases.
const releaseTimeout = 10 * time.Minute

// checked is how often the daemon looks at each release, and quietFor how long
// the quiet time is that is measured.
const (
	checked  = 30 * time.Second
	quietFor = 2 * checked
)

// chart is small: four objects.
var chart = map[string]string{
	"Chart.yaml":  "apiVersion: v2\nname: web\nversion: 1.0.0\n",
	"values.yaml": "greeting: hello\n",
	"templates/all.yaml": `apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {greeting: {{ .Values.greeting | quote }}}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: 0
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {serviceAccountName: {{ .Release.Name }}, containers: [{name: web, image: "example.com/web:1"}]}
`,
}

// releases compares the daemon with the helm command: n releases of one chart
// are installed, looked at while nothing changes, and one of them is upgraded.
func (b *bench) releases(ctx context.Context, n int) error {
	dir := filepath.Join(b.work, "charts", "web")
	for name, content := range chart {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return err
		}
	}
	helm, err := b.helm(ctx)
	if err != nil {
		return err
	}
	var rows []row
	for _, atOnce := range []int{1, 8} {
		got, err := b.helmCommand(ctx, helm, dir, n, atOnce)
		if err != nil {
			return err
		}
		rows = append(rows, got...)
	}
	got, err := b.helmDaemon(ctx, n)
	if err != nil {
		return err
	}
	rows = append(rows, got...)
	fmt.Printf("%d releases of a chart of 4 objects, one cluster, one run\n\n", n)
	table(rows)
	last := rows[len(rows)-2].requests
	fmt.Printf("\nquiet: %d looks at each release; %.2f requests a look. The helm command has no such thing: it upgrades, to a new revision.\n",
		quietFor/checked, float64(last.object+last.list+last.other)/float64(n)/float64(quietFor/checked))
	fmt.Println("Peak memory: PSS of the daemon with its plugins, and of all helm commands that run at once (as another user than root: RSS).")
	return nil
}

// helm builds the helm command from its module.
func (b *bench) helm(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "install", "helm.sh/helm/v4/cmd/helm@"+helmVersion)
	cmd.Dir = b.work // no module's
	cmd.Env = append(os.Environ(), "GOBIN="+b.work, "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the helm command: %w\n%s", err, out)
	}
	return filepath.Join(b.work, "helm"), nil
}

// helmCommand measures the helm command, so many at once.
func (b *bench) helmCommand(ctx context.Context, helm, chart string, n, atOnce int) ([]row, error) {
	ns := fmt.Sprintf("bench-helm-%d", atOnce)
	kubectl, err := b.kubectlPath(ctx)
	if err != nil {
		return nil, err
	}
	if out, err := b.command(ctx, kubectl, "create", "namespace", ns).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("kubectl create namespace: %w\n%s", err, out)
	}
	who := "helm"
	if atOnce > 1 {
		who = fmt.Sprintf("helm, %d at once", atOnce)
	}
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("web-r%d", i))
	}
	var rows []row
	for _, step := range []struct {
		name, verb, greeting string
		releases             []string
	}{{"install all", "install", "one", all}, {"upgrade all, nothing new", "upgrade", "one", all}, {"upgrade one", "upgrade", "two", all[:1]}} {
		cmd := b.command(ctx, "xargs", "-P", fmt.Sprint(atOnce), "-I{}", helm, step.verb, "{}", chart, "--namespace", ns, "--wait", "--set", "greeting="+step.greeting)
		cmd.Env = append(cmd.Env, "HOME="+b.work)
		cmd.Stdin = strings.NewReader(strings.Join(step.releases, "\n"))
		r, err := b.measure(who, step.name, "Helm/", cmd, func() (*exec.Cmd, error) {
			out, err := cmd.Output()
			if err != nil {
				return nil, fmt.Errorf("%w\n%s", err, out)
			}
			return cmd, nil
		})
		if err != nil {
			return rows, err
		}
		r.usage.cpu = commandUsage(cmd.ProcessState).cpu // xargs has waited for them
		rows = append(rows, r)
	}
	return rows, nil
}

// helmDaemon measures the daemon with its plugins.
func (b *bench) helmDaemon(ctx context.Context, n int) ([]row, error) {
	url, closeServer, err := b.serve(filepath.Join(b.work, "charts"), "charts", nil)
	if err != nil {
		return nil, err
	}
	defer closeServer()
	config := filepath.Join(b.work, "releases.hcl")
	if err := b.declare(config, url, n, "one"); err != nil {
		return nil, err
	}
	daemon := b.command(ctx, filepath.Join(b.bin, "sluice"), "run", "--config", config)
	log, err := os.Create(config + ".log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the daemon has its own
	daemon.Stderr = log
	const agent = "sluice-plugin-"
	install, err := b.measure("sluice", "install all", agent, daemon, func() (*exec.Cmd, error) {
		if err := daemon.Start(); err != nil {
			return nil, err
		}
		return daemon, b.awaitReady(ctx, config, n)
	})
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", err, text[:min(len(text), 10_000)])
	}
	defer func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait()
	}()
	if err := pause(ctx, quietFor); err != nil { // the first look at each is a whole one
		return nil, err
	}
	quiet, err := b.measure("sluice", fmt.Sprintf("quiet, %s", quietFor), agent, daemon, func() (*exec.Cmd, error) { return daemon, pause(ctx, quietFor) })
	if err != nil {
		return nil, err
	}
	upgrade, err := b.measure("sluice", "upgrade one", agent, daemon, func() (*exec.Cmd, error) {
		if err := b.declare(config, url, n, "two"); err != nil {
			return nil, err
		}
		if err := daemon.Process.Signal(syscall.SIGHUP); err != nil {
			return nil, err
		}
		return daemon, b.awaitRevision(ctx, "sh.helm.release.v1.web-r0.v2")
	})
	return []row{install, quiet, upgrade}, err
}

// declare writes a configuration with n releases; the first has a value of its
// own.
func (b *bench) declare(file, url string, n int, first string) error {
	var each strings.Builder
	for i := range n {
		greeting := "one"
		if i == 0 {
			greeting = first
		}
		fmt.Fprintf(&each, "    r%d = %q\n", i, greeting)
	}
	text := fmt.Sprintf(`sluice {
  data_dir = %q
}
source "git" "charts" {
  url = %q
}
applier "kubernetes" "bench" {}
release "web" {
  for_each = {
%s  }
  chart {
    source = source.git.charts
    path   = "web"
  }
  namespace        = "bench-sluice-releases"
  create_namespace = true
  values           = { greeting = each.value }
  interval         = %q
}
`, filepath.Join(b.work, "releases-data"), url, each.String(), checked)
	return os.WriteFile(file, []byte(text), 0o600)
}

// awaitReady waits until n releases are ready, as the daemon says.
func (b *bench) awaitReady(ctx context.Context, config string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	for {
		out, err := b.command(ctx, filepath.Join(b.bin, "sluice"), "status", "--config", config, "--output", "json", "--connect-timeout", "30s").Output()
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		var status struct {
			Nodes []struct{ ID, State, Reason string }
		}
		if err := json.Unmarshal(out, &status); err != nil {
			return fmt.Errorf("sluice status: %w\n%s", err, out)
		}
		ready, reason := 0, ""
		for _, node := range status.Nodes {
			switch {
			case !strings.HasPrefix(node.ID, "release."):
			case node.State == "ready":
				ready++
			default:
				reason = node.State + ": " + node.Reason
			}
		}
		if ready == n {
			return nil
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d releases are ready; one is %s: %w", ready, n, reason, err)
		}
	}
}

// awaitRevision waits until a revision is recorded as deployed.
func (b *bench) awaitRevision(ctx context.Context, record string) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	kubectl, err := b.kubectlPath(ctx)
	if err != nil {
		return err
	}
	for {
		out, _ := b.command(ctx, kubectl, "get", "secret", record, "--namespace", "bench-sluice-releases", "-o", "jsonpath={.metadata.labels.status}").Output()
		if string(out) == "deployed" { // until then it may not exist
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
