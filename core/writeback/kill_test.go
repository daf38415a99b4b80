package writeback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// These make the test binary a daemon that has a queue in the directory that
// childEnv names. It kills itself with SIGKILL at the step dieEnv, and submits
// the changes of a file of names with submitEnv, printing each when it is durable.
const (
	childEnv  = "SLUICE_TEST_QUEUE"
	dieEnv    = "SLUICE_TEST_QUEUE_DIE"
	submitEnv = "SLUICE_TEST_QUEUE_SUBMIT"
)

// steps are where a child may die, in their order.
var steps = []string{"submitted", "head", "edit", "committed", "pushed", "done", "all done"}

func child(dir string) (err error) {
	ctx := context.Background()
	die := func(step string) error {
		fmt.Println("#" + step)
		if os.Getenv(dieEnv) == step {
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}
	store, err := state.Open(filepath.Join(dir, "state"), state.Options{LockTimeout: time.Minute})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	repo, err := newClone(ctx, filepath.Join(dir, "remote.git"), filepath.Join(dir, fmt.Sprint("clone", os.Getpid())))
	if err != nil {
		return err
	}
	repo.step = die
	told := 0
	q, err := writeback.New(writeback.Options{
		Open: func(string, string) (writeback.Repository, error) { return repo, nil },
		Edit: editAndDie(die), Store: store, Quiet: time.Millisecond,
		Done: func(ended []writeback.Ended) {
			for _, e := range ended {
				o := e.Outcome
				note(dir, fmt.Sprintf("%s %s %v %s\n", o.ID, o.Revision.ID, o.Unchanged, o.Err))
				if told++; told == 1 {
					_ = die("done")
				}
				if told == 3 {
					_ = die("all done")
				}
			}
		},
	})
	if err != nil {
		return err
	}
	ids, err := submitAll(q)
	if err := errors.Join(err, die("submitted")); err != nil {
		return err
	}
	q.Start()
	for _, c := range q.Pending("") {
		ids = append(ids, c.ID)
	}
	for _, id := range ids {
		if _, err := q.Wait(ctx, id); err != nil && !errors.Is(err, writeback.ErrUnknown) {
			return err
		}
	}
	return q.Close(ctx)
}

func submitAll(q *writeback.Queue) (ids []string, err error) {
	for _, name := range strings.Fields(os.Getenv(submitEnv)) {
		c := bump(name, "1", "2")
		if err := q.Submit(c); err != nil {
			return nil, err
		}
		ids = append(ids, c.ID)
		fmt.Println(name)
	}
	return ids, nil
}

// note appends to the list of what Done was called with.
func note(dir, line string) {
	f, err := os.OpenFile(filepath.Join(dir, "done"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(line)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		panic(err)
	}
}

// daemon runs a child until it ends or, if killed is not nil, is killed.
func daemon(t *testing.T, dir, die, submit string) (killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, dieEnv+"="+die, submitEnv+"="+submit)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return true
	}
	if err != nil {
		t.Fatalf("the daemon: %v\n%s", err, &stderr)
	}
	return false
}

// TestKilledBetweenSteps kills the daemon between every two steps of a commit.
// The next one ends it: one commit, and every change told, with the revision
// that holds it.
func TestKilledBetweenSteps(t *testing.T) {
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			files, _ := many(3)
			r := newRemote(t, files)
			dir := filepath.Dir(r.dir)
			if !daemon(t, dir, step, "app000 app001 app002") {
				t.Fatalf("nobody died at %q", step)
			}
			if daemon(t, dir, "", "") {
				t.Fatal("the second daemon was killed")
			}
			if n := r.commits(); n != 1 {
				t.Errorf("%d commits:\n%s", n, r.git("log", "--stat", "main"))
			}
			data, err := os.ReadFile(filepath.Join(dir, "done"))
			if err != nil {
				t.Fatal(err)
			}
			told := map[string]int{}
			for line := range strings.Lines(string(data)) {
				var id, rev string
				var unchanged bool
				if n, _ := fmt.Sscan(line, &id, &rev, &unchanged); n != 3 || unchanged || rev != r.git("rev-parse", "main") {
					t.Errorf("%q is no success of %s", line, r.git("rev-parse", "main"))
				}
				told[id]++
			}
			for i := range 3 {
				name := fmt.Sprintf("app%03d", i)
				twice := step == "done" && i == 0 || step == "all done" // killed before it was noted
				if n := told[name+"-2"]; n != 1 && (!twice || n != 2) {
					t.Errorf("%s was told %d times", name, n)
				}
				if !strings.Contains(r.read(name+".yaml"), "quay.io/"+name+":2'") {
					t.Errorf("%s has not its new image", name)
				}
			}
		})
	}
}

// TestKilledAtRandom kills a daemon again and again while changes come in:
// every change that was acknowledged is in exactly one commit.
func TestKilledAtRandom(t *testing.T) {
	const rounds, each = 10, 6
	files, _ := many(rounds * each)
	r := newRemote(t, files)
	dir := filepath.Dir(r.dir)
	var acknowledged []string
	for round := range rounds { // the later ones while there is work from before
		var names []string
		for i := range each {
			names = append(names, fmt.Sprintf("app%03d", round*each+i))
		}
		acknowledged = append(acknowledged, killedDaemon(t, dir, names, 2+round)...)
	}
	if len(acknowledged) < rounds {
		t.Errorf("only %d changes were acknowledged", len(acknowledged))
	}
	if daemon(t, dir, "", "") {
		t.Fatal("the last daemon was killed")
	}
	for _, name := range acknowledged {
		if n := strings.Count(r.git("log", "--format=%H", "main", "--", name+".yaml")+"\n", "\n"); n != 2 {
			t.Errorf("%s is in %d commits, want the first and one more", name, n)
		}
	}
}

// killedDaemon runs a daemon that submits changes and works at them, and kills
// it when it has printed that many lines: changes that are durable, and steps.
func killedDaemon(t *testing.T, dir string, names []string, after int) (acknowledged []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir, submitEnv+"="+strings.Join(names, " "))
	reached := make(chan struct{})
	out := &lines{want: after, reached: reached}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-reached:
	case <-time.After(time.Minute):
		t.Error("the daemon acknowledges nothing")
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed, or through already
	out.mu.Lock()
	defer out.mu.Unlock()
	text := out.buf.String()
	for line := range strings.Lines(text) {
		if name, whole := strings.CutSuffix(line, "\n"); whole && !strings.HasPrefix(name, "#") {
			acknowledged = append(acknowledged, name)
		}
	}
	return acknowledged
}

// lines closes reached when it has got a number of lines.
type lines struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	want    int
	reached chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.want -= bytes.Count(p, []byte("\n")); l.want <= 0 && l.reached != nil {
		close(l.reached)
		l.reached = nil
	}
	return l.buf.Write(p)
}
