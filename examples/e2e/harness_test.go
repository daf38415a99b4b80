package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// world is what one test runs in: git repositories behind a real server, a
// namespace prefix of its own on the shared cluster, and the built binaries.
type world struct {
	t      *testing.T
	dir    string // scratch
	bin    string // the built binaries
	prefix string // for names of cluster-wide objects
	gitURL string
	server *gitServer // at gitURL
	env    []string

	printed *bytes.Buffer // by all commands that were run
}

// newWorld skips the test where there is no cluster to run it on.
func newWorld(t *testing.T) *world {
	t.Helper()
	kubeconfig, bin := os.Getenv("SLUICE_TEST_KUBECONFIG"), os.Getenv("SLUICE_TEST_BIN")
	if kubeconfig == "" || bin == "" {
		t.Skip("needs SLUICE_TEST_KUBECONFIG and SLUICE_TEST_BIN: run `make test`")
	}
	w := &world{t: t, dir: t.TempDir(), bin: bin, prefix: prefix(t), printed: &bytes.Buffer{}}
	t.Cleanup(w.unlock)
	w.env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+w.dir, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@example.com",
		"XDG_CACHE_HOME="+filepath.Join(w.dir, "cache"))
	var err error
	if w.server, err = newGitServer(filepath.Join(w.dir, "git")); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(w.server)
	t.Cleanup(srv.Close)
	w.gitURL = srv.URL
	t.Cleanup(w.deleteNamespaces)
	return w
}

// prefix makes a DNS label from the test's name that no other run uses.
func prefix(t *testing.T) string {
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(strings.TrimPrefix(t.Name(), "Test")))
	return fmt.Sprintf("%.30s-%05d", name, time.Now().UnixNano()/1000%100000)
}

// deleteNamespaces frees the shared cluster of what the test made.
func (w *world) deleteNamespaces() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, _ := w.command(ctx, "kubectl", "get", "namespaces", "-o", "name").Output()
	for _, ns := range strings.Fields(string(out)) {
		if strings.HasPrefix(ns, "namespace/"+w.prefix) {
			_ = w.command(ctx, "kubectl", "delete", ns, "--wait=false").Run()
		}
	}
}

// unlock lets the scratch directory be removed: the trees that sources fetched
// are read-only, which stops everybody but root.
func (w *world) unlock() {
	err := filepath.WalkDir(w.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return os.Chmod(path, 0o700)
	})
	if err != nil {
		w.t.Error(err)
	}
}

// repo is a working copy whose origin the git server serves.
type repo struct {
	w    *world
	dir  string
	name string
	url  string
}

// repo makes a repository with files in its first commit. "NS" in a file's
// text stands for the test's namespace prefix.
func (w *world) repo(name string, files map[string]string) *repo {
	w.t.Helper()
	bare := filepath.Join(w.dir, "git", name+".git")
	r := &repo{w: w, dir: filepath.Join(w.dir, "work", name), name: name, url: w.gitURL + "/" + name + ".git"}
	w.must("git", "init", "-q", "--bare", "-b", "main", bare)
	w.must("git", "init", "-q", "-b", "main", r.dir)
	r.git("remote", "add", "origin", r.url)
	r.commit(files)
	return r
}

func (r *repo) git(args ...string) string {
	r.w.t.Helper()
	return r.w.must("git", append([]string{"-C", r.dir}, args...)...)
}

// commit writes files (an empty text deletes), commits and pushes. It returns
// the commit's hash.
func (r *repo) commit(files map[string]string) string {
	r.w.t.Helper()
	return r.push("origin", files)
}

// push is commit to a URL.
func (r *repo) push(to string, files map[string]string) string {
	r.w.t.Helper()
	for path, text := range files {
		full := filepath.Join(r.dir, path)
		if text == "" {
			if err := os.Remove(full); err != nil {
				r.w.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			r.w.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(strings.ReplaceAll(text, "NS", r.w.prefix)), 0o644); err != nil {
			r.w.t.Fatal(err)
		}
	}
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", "change")
	r.git("push", "-q", to, "HEAD:main")
	return strings.TrimSpace(r.git("rev-parse", "HEAD"))
}

// config writes an HCL file with a data directory and a socket of its own.
func (w *world) config(body string) string {
	w.t.Helper()
	file := filepath.Join(w.dir, "sluice.hcl")
	text := fmt.Sprintf("sluice {\n  data_dir = %q\n}\n\n%s", filepath.Join(w.dir, "data"), strings.ReplaceAll(body, "NS", w.prefix))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// outcome of a command that may fail.
type outcome struct {
	code        int
	out, errOut string
}

// run runs a built binary (sluice, kubectl) or any other command.
func (w *world) run(name string, args ...string) outcome {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), 5*time.Minute) // also in cleanups
	defer cancel()
	cmd := w.command(ctx, name, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	w.printed.Write(out.Bytes())
	w.printed.Write(errOut.Bytes())
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return outcome{exit.ExitCode(), out.String(), errOut.String()}
	}
	if err != nil {
		w.t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return outcome{0, out.String(), errOut.String()}
}

// must is run for a command that has to succeed; it returns standard output.
func (w *world) must(name string, args ...string) string {
	w.t.Helper()
	o := w.run(name, args...)
	if o.code != 0 {
		w.t.Fatalf("%s %s: exit %d\n%s%s", name, strings.Join(args, " "), o.code, o.out, o.errOut)
	}
	return o.out
}

// runAsUser runs devcluster with the user's own home, where its programs are
// cached; everything else runs with an empty one.
func (w *world) runAsUser(name string, args ...string) outcome {
	w.t.Helper()
	env := w.env
	defer func() { w.env = env }()
	w.env = os.Environ()
	return w.run(name, args...)
}

func (w *world) mustAsUser(name string, args ...string) string {
	w.t.Helper()
	o := w.runAsUser(name, args...)
	if o.code != 0 {
		w.t.Fatalf("%s %s: exit %d\n%s%s", name, strings.Join(args, " "), o.code, o.out, o.errOut)
	}
	return o.out
}

func (w *world) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	path := name
	switch name {
	case "sluice", "devcluster":
		path = filepath.Join(w.bin, name)
	case "kubectl":
		path = kubectl(ctx, w.bin)
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = w.env
	cmd.Dir = w.dir
	return cmd
}

// kubectl is the one that was built with the control plane.
func kubectl(ctx context.Context, bin string) string {
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "devcluster"), "path", "kubectl").Output()
	if err != nil {
		return "kubectl"
	}
	return strings.TrimSpace(string(out))
}

// daemon is a running `sluice run`.
type daemon struct {
	w    *world
	cmd  *exec.Cmd
	log  string // file
	done chan error
}

// daemon starts `sluice run` and waits until it answers.
func (w *world) daemon(config string, args ...string) *daemon {
	w.t.Helper()
	d := &daemon{w: w, log: filepath.Join(w.dir, "daemon.log"), done: make(chan error, 1)}
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	d.cmd = w.command(context.Background(), "sluice", append([]string{"run", "--config", config}, args...)...)
	d.cmd.Stdout, d.cmd.Stderr = log, log
	if err := d.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	_ = log.Close()
	go func() { d.done <- d.cmd.Wait() }()
	w.t.Cleanup(d.stop)
	w.eventually(30*time.Second, "the daemon answers", func() bool {
		select {
		case err := <-d.done:
			d.done <- err
			w.t.Fatalf("the daemon ended: %v\n%s", err, d.logText())
		default:
		}
		return w.run("sluice", "status", "--config", config).code == 0
	})
	return d
}

func (d *daemon) logText() string {
	text, _ := os.ReadFile(d.log)
	return string(text)
}

// alive checks that the daemon has not ended since it was started.
func (d *daemon) alive() {
	d.w.t.Helper()
	select {
	case err := <-d.done:
		d.done <- err
		d.w.t.Errorf("the daemon ended: %v", err)
	default:
	}
}

func (d *daemon) signal(s syscall.Signal) {
	d.w.t.Helper()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.w.t.Fatal(err)
	}
}

// kill ends the daemon as a crash would.
func (d *daemon) kill() {
	_ = d.cmd.Process.Signal(syscall.SIGKILL)
	err := <-d.done
	d.done <- err
}

// stop ends it as an init system would, and shows the log of a failed test.
func (d *daemon) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-d.done:
		d.done <- err
	case <-time.After(time.Minute):
		d.w.t.Error("the daemon did not stop within a minute of SIGTERM")
		d.kill()
	}
	if d.w.t.Failed() {
		d.w.t.Logf("the daemon's log:\n%s", d.logText())
	}
}

// eventually polls a condition of the outside world, which has no event to
// wait for.
func (w *world) eventually(within time.Duration, what string, cond func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// exists reports whether kubectl finds the object.
func (w *world) exists(namespace, object string) bool {
	w.t.Helper()
	return w.run("kubectl", "-n", namespace, "get", object).code == 0
}
