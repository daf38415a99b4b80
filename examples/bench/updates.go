package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// poll is the interval of the source and of the scans for images.
const poll = time.Second

// updateTimeout bounds one update.
const updateTimeout = time.Minute

const updatesNamespace = "bench-updates"

// updateManifest is what is updated, one image after the other.
const updateManifest = `# The image of this workload is kept up to date.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: ` + updatesNamespace + `
  annotations:
    fluxcd.io/automated: "true"
    fluxcd.io/tag.web: semver:*
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example.com/bench/web:1.0.0 # the newest
`

// delays of updates, from the moment when the push of the image has ended.
type delays struct {
	commit   []time.Duration // until the git server has the commit
	template []time.Duration // until the cluster has the pod template
}

// updates pushes images one after the other, each at a moment that has nothing
// to do with the polls.
func (b *bench) updates(ctx context.Context, n int) (d delays, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	registry, err := b.registry(ctx)
	if err != nil {
		return d, err
	}
	defer func() { err = errors.Join(err, registry.close()) }()
	if err := registry.push(ctx, "1.0.0"); err != nil {
		return d, err
	}
	commits := make(chan time.Time, n+1)
	config, closeServer, err := b.updatesRepository(registry.Address, commits)
	if err != nil {
		return d, err
	}
	defer closeServer()
	stop, err := b.daemon(ctx, config)
	if err != nil {
		return d, err
	}
	defer stop()
	if _, err := b.sync(ctx, filepath.Join(b.bin, "sluice"), config); err != nil {
		return d, err
	}
	images, err := b.watchImage(ctx)
	if err != nil {
		return d, err
	}
	err = d.measure(ctx, n, registry, commits, images)
	return d, err
}

// measure follows n updates.
func (d *delays) measure(ctx context.Context, n int, registry *registry, commits <-chan time.Time, images <-chan imageAt) error {
	for i := range n {
		tag := fmt.Sprintf("1.%d.0", i+1)
		if err := pause(ctx, rand.N(poll)); err != nil {
			return err
		}
		if err := registry.push(ctx, tag); err != nil {
			return err
		}
		pushed := time.Now()
		reached, err := arrival(ctx, images, ":"+tag)
		if err != nil {
			return fmt.Errorf("update to %s: %w", tag, err)
		}
		d.commit = append(d.commit, (<-commits).Sub(pushed))
		d.template = append(d.template, reached.Sub(pushed))
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// updatesRepository puts the manifest in a repository; the moments at which its
// server has done a push go to commits.
func (b *bench) updatesRepository(registry string, commits chan<- time.Time) (config string, closeServer func(), err error) {
	dir := filepath.Join(b.work, "updates")
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + updatesNamespace + "\n"
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "namespace.yaml"), []byte(namespace), 0o600),
		os.WriteFile(filepath.Join(dir, "web.yaml"), []byte(updateManifest), 0o600)); err != nil {
		return "", nil, err
	}
	url, closeServer, err := b.serve(dir, "updates", func(git http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			git.ServeHTTP(w, r)
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/git-receive-pack") {
				commits <- time.Now()
			}
		})
	})
	if err != nil {
		return "", nil, err
	}
	config = filepath.Join(b.work, "updates.hcl")
	text := fmt.Sprintf(`sluice {
  data_dir = %q
}
source "git" "bench" {
  url      = %q
  interval = %q
  write {}
}
sync "bench" {
  source = source.git.bench
}
image_automation "bench" {
  sync = sync.bench
}
images {
  interval = %q
}
registry "registry.example.com" {
  endpoint = "http://%s"
  insecure = true
}
`, filepath.Join(b.work, "updates-data"), url, poll, poll, registry)
	return config, closeServer, os.WriteFile(config, []byte(text), 0o600)
}

// imageAt is an image of the workload, and when it was seen in the cluster.
type imageAt struct {
	image string
	at    time.Time
}

// watchImage tells of each new image of the workload until ctx ends.
func (b *bench) watchImage(ctx context.Context) (<-chan imageAt, error) {
	kubectl, err := b.kubectlPath(ctx)
	if err != nil {
		return nil, err
	}
	cmd := b.command(ctx, kubectl, "-n", updatesNamespace, "get", "deployment", "web", "--watch",
		"-o", `jsonpath={.spec.template.spec.containers[0].image}{"\n"}`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	images := make(chan imageAt)
	go func() {
		defer close(images)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case images <- imageAt{lines.Text(), time.Now()}:
			case <-ctx.Done():
			}
		}
		_ = cmd.Wait() // the end of ctx kills it
	}()
	return images, nil
}

// arrival waits for an image that ends so.
func arrival(ctx context.Context, images <-chan imageAt, suffix string) (time.Time, error) {
	late := time.NewTimer(updateTimeout)
	defer late.Stop()
	for {
		select {
		case got, ok := <-images:
			if !ok {
				return time.Time{}, errors.New("kubectl get --watch has ended")
			}
			if strings.HasSuffix(got.image, suffix) {
				return got.at, nil
			}
		case <-late.C:
			return time.Time{}, fmt.Errorf("not in the cluster within %s", updateTimeout)
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
}

// registry is a running devregistry.
type registry struct {
	binary  string
	Address string `json:"registry"`
	cmd     *exec.Cmd
	stdin   io.Closer
}

func (b *bench) registry(ctx context.Context) (*registry, error) {
	r := &registry{binary: filepath.Join(b.bin, "devregistry")}
	r.cmd = b.command(ctx, r.binary)
	var err error
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, r) != nil {
		return nil, errors.Join(fmt.Errorf("devregistry does not start: %q", line), err, r.close())
	}
	return r, nil
}

// close ends the registry.
func (r *registry) close() error { return errors.Join(r.stdin.Close(), r.cmd.Wait()) }

// push stores an image under a tag.
func (r *registry) push(ctx context.Context, tag string) error {
	out, err := exec.CommandContext(ctx, r.binary, "push", r.Address+"/bench/web:"+tag).CombinedOutput()
	if err != nil {
		return fmt.Errorf("devregistry push: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

func printDelays(d delays) {
	fmt.Printf("\n%d updates of an image, one after the other; source and images are polled every %s\n\n", len(d.template), poll)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "FROM THE PUSH OF THE IMAGE TO\tP50\tP90\tP99\tMAX")
	for _, row := range []struct {
		what string
		of   []time.Duration
	}{{"the commit in git", d.commit}, {"the pod template in the cluster", d.template}} {
		slices.Sort(row.of)
		_, _ = fmt.Fprintf(w, "%s\t%.2fs\t%.2fs\t%.2fs\t%.2fs\n", row.what,
			percentile(row.of, 50), percentile(row.of, 90), percentile(row.of, 99), percentile(row.of, 100))
	}
	_ = w.Flush()
}

// percentile returns the least of the sorted durations that p percent of them
// do not exceed, in seconds.
func percentile(sorted []time.Duration, p int) float64 {
	return sorted[max((len(sorted)*p+99)/100, 1)-1].Seconds()
}
