package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// CLI is the Transport that runs the git binary, and through it OpenSSH.
//
// Each call gets a private directory with a configuration of its own, so that
// nothing of the machine's or a user's git configuration has an influence. It
// is removed when the call ends.
type CLI struct {
	git string
	ssh string
}

// FindCLI looks for the programs on PATH. A CLI without ssh cannot reach ssh
// addresses; without a git that is new enough there is none.
func FindCLI() (CLI, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return CLI{}, errors.New("there is no git on PATH")
	}
	out, err := exec.Command(git, "version").Output()
	if err != nil {
		return CLI{}, fmt.Errorf("%s version: %w", git, err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(out), "git version %d.%d", &major, &minor); err != nil {
		return CLI{}, fmt.Errorf("%s version says %q", git, out)
	}
	if major < 2 || major == 2 && minor < oldest {
		return CLI{}, fmt.Errorf("git %d.%d is too old: 2.%d is needed", major, minor, oldest)
	}
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		ssh = ""
	}
	return CLI{git: git, ssh: ssh}, nil
}

// oldest is the first git 2.x with all options that are used here.
const oldest = 29

// CanReach returns what is missing to reach a, or nil.
func (c CLI) CanReach(a Address) error {
	if a.Scheme == "ssh" && c.ssh == "" {
		return errors.New("there is no ssh on PATH")
	}
	return nil
}

func (c CLI) Name() string { return "git" }

func (c CLI) Fetch(ctx context.Context, t Target, dir string, specs []Spec) error {
	args := []string{
		"--git-dir", dir, "fetch",
		"--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance",
		"--", t.Address.String(),
	}
	for _, s := range specs {
		args = append(args, "+"+s.Source+":"+s.Local)
	}
	_, err := c.run(ctx, t, explainFetch, args)
	return err
}

func (c CLI) List(ctx context.Context, t Target) (Listing, error) {
	out, err := c.run(ctx, t, explainFetch, []string{"ls-remote", "--quiet", "--symref", "--", t.Address.String()})
	if err != nil {
		return Listing{}, err
	}
	l := Listing{Refs: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		value, name, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if !ok || strings.HasSuffix(name, "^{}") {
			continue
		}
		if head, is := strings.CutPrefix(value, "ref: "); is {
			if name == "HEAD" {
				l.Head = head
			}
			continue
		}
		l.Refs[name] = value
	}
	return l, nil
}

// Limits of what is kept of a program's output; more is thrown away.
const (
	maxStdout = 64 << 20
	maxStderr = 64 << 10
)

// explainer makes a Fault of what a failed git has written.
type explainer func(t Target, stdout, stderr string) *Fault

// run runs git against the repository of t and returns its standard output.
func (c CLI) run(ctx context.Context, t Target, explain explainer, args []string) ([]byte, error) {
	s, err := newSession(c, t)
	if err != nil {
		return nil, asFault(t, err)
	}
	defer s.close()

	cmd := exec.CommandContext(ctx, c.git, args...)
	cmd.Env = s.env
	cmd.Dir = s.dir
	cmd.ExtraFiles = s.files
	stdout, stderr := &bounded{max: maxStdout}, &bounded{max: maxStderr}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = 5 * time.Second // for a grandchild that keeps a pipe open
	ownGroup(cmd)

	err = cmd.Run()
	switch {
	case err == nil && stdout.cut:
		return nil, fault(t, Other, fmt.Sprintf("the answer is longer than %d MiB", maxStdout>>20))
	case err == nil:
		return stdout.Bytes(), nil
	case ctx.Err() != nil:
		return nil, contextFault(ctx, t)
	}
	if _, exited := errors.AsType[*exec.ExitError](err); !exited && stderr.Len() == 0 {
		return nil, asFault(t, err)
	}
	f := explain(t, stdout.String(), stderr.String())
	if f.Kind == HostKey {
		return nil, hostKeyFault(ctx, t, s.knownHosts)
	}
	if f.Kind == Busy && t.Address.IsHTTP() {
		f.After = tracedRetryAfter(s.trace(), time.Now())
	}
	return nil, f
}

// contextFault words the end of ctx: a deadline is the server's silence, a
// cancellation is somebody's wish.
func contextFault(ctx context.Context, t Target) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault(t, Timeout, "the deadline of the call has passed")
	}
	return ctx.Err()
}

// environment is what git needs of the plugin's own environment.
func environment() []string {
	var env []string
	for _, name := range []string{
		"PATH", "TMPDIR",
		"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
		"SSL_CERT_FILE", "SSL_CERT_DIR",
	} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=")
}

// bounded keeps the first max bytes that are written to it.
type bounded struct {
	bytes.Buffer
	max int
	cut bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.max - b.Len()
	if room < len(p) {
		b.cut = true
		b.Buffer.Write(p[:max(room, 0)])
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

// ReadFrom would bypass the limit.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// Maintain packs the loose objects of the repository at dir, if there are
// many. Nobody else may use it meanwhile.
func (c CLI) Maintain(ctx context.Context, t Target, dir string) error {
	_, err := c.run(ctx, t, explainFetch, []string{
		"--git-dir", dir,
		"-c", "gc.auto=2000", "-c", "gc.autoPackLimit=40", "-c", "gc.autoDetach=false", "-c", "gc.pruneExpire=1.day",
		"gc", "--auto", "--quiet",
	})
	return err
}
