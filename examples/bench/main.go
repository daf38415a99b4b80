// Command bench compares sluice with `kubectl apply --server-side` on one
// cluster in one run: first apply and no-op of 1,004 objects (200 apps of a
// Deployment, Service, ConfigMap, ServiceAccount and HorizontalPodAutoscaler
// each, and 4 namespaces). It prints time, requests from the audit log, CPU
// time and peak memory of everything that the client side runs. Then it
// compares sluice with the helm command, on 200 releases of a small chart, and
// measures how long an image takes from its push to the cluster.
//
//	bench -bin bin -kubeconfig FILE -audit FILE
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sluice-gitops/sluice/examples/gitserver/githttp"
)

// row is one measured step.
type row struct {
	who, step string
	wall      time.Duration
	requests  requests
	usage     usage
}

func main() {
	b := &bench{}
	flag.StringVar(&b.bin, "bin", "bin", "directory with the built binaries")
	flag.StringVar(&b.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	flag.StringVar(&b.audit, "audit", "", "audit log of the cluster, JSON lines")
	flag.IntVar(&b.apps, "apps", 200, "number of apps, 5 objects each; 0: none")
	releases := flag.Int("releases", 200, "number of Helm releases; 0: none")
	updates := flag.Int("updates", 60, "number of updates of an image; 0: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.all(ctx, *releases, *updates); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type bench struct {
	bin, kubeconfig, audit string
	apps                   int
	work                   string
}

// all prints what each bench has measured as soon as it is there.
func (b *bench) all(ctx context.Context, releases, updates int) error {
	work, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	b.work = work
	if b.apps > 0 {
		rows, err := b.run(ctx)
		if err != nil {
			return err
		}
		print(rows, b.apps*5+namespaces)
	}
	if releases > 0 {
		fmt.Println()
		if err := b.releases(ctx, releases); err != nil {
			return err
		}
	}
	if updates == 0 {
		return nil
	}
	d, err := b.updates(ctx, updates)
	if err != nil {
		return err
	}
	printDelays(d)
	return nil
}

func (b *bench) run(ctx context.Context) ([]row, error) {
	kubectl, err := b.kubectl(ctx)
	if err != nil {
		return nil, err
	}
	sluice, err := b.sluice(ctx)
	return append(kubectl, sluice...), err
}

func (b *bench) kubectl(ctx context.Context) ([]row, error) {
	dir := filepath.Join(b.work, "kubectl")
	if err := generate(dir, "bench-kubectl", b.apps); err != nil {
		return nil, err
	}
	path, err := b.kubectlPath(ctx)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, step := range []string{"first apply", "no-op"} {
		r, err := b.measure("kubectl", step, "kubectl", nil, func() (*exec.Cmd, error) {
			cmd := b.command(ctx, path, "apply", "--server-side", "-R", "-f", dir)
			return cmd, cmd.Run()
		})
		if err != nil {
			return rows, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// kubectlPath is the kubectl that was built with the control plane.
func (b *bench) kubectlPath(ctx context.Context) (string, error) {
	path, err := exec.CommandContext(ctx, filepath.Join(b.bin, "devcluster"), "path", "kubectl").Output()
	if err != nil {
		return "", fmt.Errorf("devcluster path kubectl: %w", err)
	}
	return strings.TrimSpace(string(path)), nil
}

// daemon starts sluice, whose log goes to a file; stop ends it.
func (b *bench) daemon(ctx context.Context, config string) (stop func(), err error) {
	daemon := b.command(ctx, filepath.Join(b.bin, "sluice"), "run", "--config", config)
	log, err := os.Create(config + ".log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	daemon.Stderr = log
	if err := daemon.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait()
	}, nil
}

func (b *bench) sluice(ctx context.Context) ([]row, error) {
	config, closeServer, err := b.repository()
	if err != nil {
		return nil, err
	}
	defer closeServer()
	sluice := filepath.Join(b.bin, "sluice")
	daemon := b.command(ctx, sluice, "run", "--config", config)
	log, err := os.Create(filepath.Join(b.work, "sluice.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	daemon.Stderr = log
	first, err := b.measure("sluice", "first apply", "sluice-plugin-kubernetes", daemon, func() (*exec.Cmd, error) {
		if err := daemon.Start(); err != nil {
			return nil, err
		}
		return b.sync(ctx, sluice, config)
	})
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	defer func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait()
	}()
	noop, err := b.measure("sluice", "no-op", "sluice-plugin-kubernetes", daemon, func() (*exec.Cmd, error) {
		return b.sync(ctx, sluice, config)
	})
	return []row{first, noop}, err
}

// sync asks the daemon, which may still be starting, for a reconcile and waits
// for it.
func (b *bench) sync(ctx context.Context, sluice, config string) (*exec.Cmd, error) {
	cmd := b.command(ctx, sluice, "sync", "bench", "--config", config, "--wait", "--timeout", "10m", "--connect-timeout", "30s")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("sluice sync: %w\n%s", err, out)
	}
	return cmd, nil
}

// repository puts the objects in a repository behind a real git server.
func (b *bench) repository() (config string, closeServer func(), err error) {
	dir := filepath.Join(b.work, "repo")
	if err := generate(dir, "bench-sluice", b.apps); err != nil {
		return "", nil, err
	}
	url, closeServer, err := b.serve(dir, "bench", nil)
	if err != nil {
		return "", nil, err
	}
	config = filepath.Join(b.work, "sluice.hcl")
	text := fmt.Sprintf("sluice {\n  data_dir = %q\n}\nsource \"git\" \"bench\" {\n  url = %q\n}\nsync \"bench\" {\n  source = source.git.bench\n}\n",
		filepath.Join(b.work, "data"), url)
	return config, closeServer, os.WriteFile(config, []byte(text), 0o600)
}

// serve makes a repository of a directory, and serves it through wrap, if there
// is one.
func (b *bench) serve(dir, name string, wrap func(http.Handler) http.Handler) (url string, closeServer func(), err error) {
	bare := filepath.Join(b.work, "git", name+".git")
	for _, args := range [][]string{
		{"init", "-q", "--bare", "-b", "main", bare}, {"init", "-q", "-b", "main", dir},
		{"-C", dir, "add", "-A"}, {"-C", dir, "commit", "-q", "-m", "bench"}, {"-C", dir, "push", "-q", bare, "main"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=b", "GIT_AUTHOR_EMAIL=b@example.com", "GIT_COMMITTER_NAME=b", "GIT_COMMITTER_EMAIL=b@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", nil, fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	handler, err := githttp.Handler(filepath.Dir(bare))
	if err != nil {
		return "", nil, err
	}
	if wrap != nil {
		handler = wrap(handler)
	}
	srv := httptest.NewServer(handler)
	return srv.URL + "/" + name + ".git", srv.Close, nil
}

func (b *bench) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+b.kubeconfig)
	return cmd
}

// measure runs one step. agent is the user agent whose requests count; with a
// daemon its process tree is what is measured, else the command itself.
func (b *bench) measure(who, step, agent string, daemon *exec.Cmd, do func() (*exec.Cmd, error)) (row, error) {
	offset, err := size(b.audit)
	if err != nil {
		return row{}, err
	}
	sampler := watchTree(daemon)
	start := time.Now()
	cmd, err := do()
	wall := time.Since(start)
	used := sampler.stop()
	if err != nil {
		return row{}, fmt.Errorf("%s, %s: %w", who, step, err)
	}
	if daemon == nil {
		used = commandUsage(cmd.ProcessState)
	}
	counted, err := countRequests(b.audit, offset, agent)
	return row{who, step, wall, counted, used}, err
}

func print(rows []row, objects int) {
	fmt.Printf("%d objects, one cluster, one run\n\n", objects)
	table(rows)
	fmt.Println("\nPeak memory: PSS of the daemon with its plugins (as another user than root: RSS); maximum resident set of kubectl.")
}

func table(rows []row) {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "WHO\tSTEP\tTIME\tOBJECT REQUESTS\tLIST\tOTHER\tCPU\tPEAK MEMORY")
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%.2fs\t%d\t%d\t%d\t%.2fs\t%.0f MB\n", r.who, r.step, r.wall.Seconds(),
			r.requests.object, r.requests.list, r.requests.other, r.usage.cpu.Seconds(), float64(r.usage.peak)/1e6)
	}
	_ = w.Flush()
}
