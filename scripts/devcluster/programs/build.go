package programs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/filelock"
)

const stagesFile = "stages.yaml"

// stages lists kwok's stage files, below its module's kustomize/stage. The
// kustomization files beside them must stay out: kwok, given one, finds no stage.
var stages = []string{
	"node/fast/node-initialize.yaml",
	"node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
	"pod/fast/pod-ready.yaml",
	"pod/fast/pod-complete.yaml",
	"pod/fast/pod-delete.yaml",
}

// interruptGrace is how long a cancelled go command has to end by itself.
const interruptGrace = 5 * time.Second

// Ensure returns the programs of source from the cache directory, and builds
// them first when they are not there, which takes minutes and needs the go
// command and a module proxy. Progress goes to report.
//
// Any number of processes may call it at once: one builds, the others wait for
// it. A build that is interrupted leaves what it finished to the next one.
func Ensure(ctx context.Context, source *Source, cache string, report *Progress) (Set, error) {
	if set, ok := Open(source, cache); ok {
		return set, nil
	}
	lock, err := filelock.Acquire(ctx, filepath.Join(cache, source.key+".lock"), func() {
		report.Note("waiting for another devcluster that builds the programs")
	})
	if err != nil {
		return Set{}, err
	}
	defer lock.Release()
	if set, ok := Open(source, cache); ok {
		return set, nil
	}
	set, err := build(ctx, source, cache, report)
	if err != nil {
		return Set{}, fmt.Errorf("build the programs of the control plane: %w", err)
	}
	return set, nil
}

// build makes the set in a directory beside its place and renames it at the end.
func build(ctx context.Context, source *Source, cache string, report *Progress) (Set, error) {
	b := &builder{source: source, dir: filepath.Join(cache, source.key+".building")}
	if err := b.prepare(); err != nil {
		return Set{}, err
	}
	for i, p := range all {
		step := report.Step(i+1, len(all), p.name)
		err := b.build(ctx, p, step)
		step.Done(err)
		if err != nil {
			return Set{}, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if err := b.writeStages(ctx); err != nil {
		return Set{}, fmt.Errorf("kwok's stages: %w", err)
	}
	set, _ := Open(source, cache)
	return set, os.Rename(b.dir, set.dir)
}

type builder struct {
	source *Source
	dir    string
}

// prepare writes the module that the go command runs in, and clears away what
// an interrupted build was about to write.
func (b *builder) prepare() error {
	abandoned, err := filepath.Glob(filepath.Join(b.dir, "tmp-*"))
	for _, dir := range abandoned {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("install Go (https://go.dev/dl), the programs are built from source: %w", err)
	}
	return errors.Join(
		os.MkdirAll(filepath.Join(b.dir, "bin"), 0o755),
		os.WriteFile(filepath.Join(b.dir, "go.mod"), b.source.modFile, 0o644),
		os.WriteFile(filepath.Join(b.dir, "go.sum"), b.source.sumFile, 0o644),
	)
}

// build makes one program, unless an interrupted build has already.
func (b *builder) build(ctx context.Context, p program, step *Step) error {
	target := filepath.Join(b.dir, "bin", p.name)
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	// The name is fresh: the go command of a killed devcluster may still write to another.
	temp, err := os.MkdirTemp(b.dir, "tmp-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }() // What is left there does no harm.
	output := filepath.Join(temp, p.name)
	// -v names each package as it is compiled, which is the progress shown.
	_, err = b.goCommand(ctx, step, "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false",
		"-ldflags", ldflags(b.source.kubernetes), "-o", output, p.pkg)
	if err != nil {
		return err
	}
	return os.Rename(output, target)
}

// ldflags sets the version that the API server answers to /version, which
// clients parse, and leaves symbols out.
func ldflags(version string) string {
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			"-X "+pkg+".gitVersion="+version, "-X "+pkg+".gitMajor="+major,
			"-X "+pkg+".gitMinor="+minor, "-X "+pkg+".gitTreeState=clean")
	}
	return strings.Join(flags, " ")
}

// goCommand runs the go command in the module of the programs and returns its
// stdout. Lines of its stderr go to step and, in part, into the error.
func (b *builder) goCommand(ctx context.Context, step *Step, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = b.dir
	// The module is what counts, not the workspace or flags of where devcluster was called.
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0", "GOOS=", "GOARCH=")
	// A group of its own, so that cancelling reaches the compilers as well.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = interruptGrace
	var stdout bytes.Buffer
	stderr := &lineWriter{line: step.Detail}
	cmd.Stdout, cmd.Stderr = &stdout, stderr
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("go %s: %w\n%s", args[0], err, strings.Join(stderr.tail, "\n"))
	}
	return stdout.String(), nil
}

// writeStages joins kwok's stages into the one file that kwok reads, each a
// document of its own. They come from kwok's module, which is downloaded by now.
func (b *builder) writeStages(ctx context.Context) error {
	dir, err := b.goCommand(ctx, nil, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", kwokModule)
	if err != nil {
		return err
	}
	var joined bytes.Buffer
	for _, stage := range stages {
		content, err := os.ReadFile(filepath.Join(strings.TrimSpace(dir), "kustomize", "stage", filepath.FromSlash(stage)))
		if err != nil {
			return err
		}
		fmt.Fprintf(&joined, "---\n# %s\n%s\n", stage, bytes.TrimSpace(content))
	}
	return os.WriteFile(filepath.Join(b.dir, stagesFile), joined.Bytes(), 0o644)
}
