package programs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const modFile = `module example.com/programs

go 1.26.0

require (
	go.etcd.io/etcd/server/v3 v3.6.16 // indirect
	k8s.io/kubernetes v1.36.3
	sigs.k8s.io/kwok v0.8.0
)

replace k8s.io/api => k8s.io/api v0.36.3 // staging
`

func source(t *testing.T, mod, sum string) *Source {
	t.Helper()
	s, err := NewSource([]byte(mod), []byte(sum))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKey(t *testing.T) {
	key := source(t, modFile, "sum").Key()
	if want := "kubernetes-v1.36.3_etcd-v3.6.16_kwok-v0.8.0_"; !strings.HasPrefix(key, want) {
		t.Errorf("key %q does not begin with %q", key, want)
	}
	if strings.ContainsAny(key, `/\: `) {
		t.Errorf("key %q is not fit to be a file's name", key)
	}
	for _, test := range []struct {
		name, mod, sum string
		same           bool
	}{
		{"a comment", strings.Replace(modFile, "// staging", "// of the same release", 1), "sum", true},
		{"an empty line", modFile + "\n\n", "sum", true},
		{"a replacement", strings.Replace(modFile, "v0.36.3 //", "v0.36.4 //", 1), "sum", false},
		{"a version", strings.Replace(modFile, "v0.8.0", "v0.8.1", 1), "sum", false},
		{"a sum", modFile, "sum2", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := source(t, test.mod, test.sum).Key(); (got == key) != test.same {
				t.Errorf("key %q beside %q", got, key)
			}
		})
	}
}

func TestSourceWithoutAProgram(t *testing.T) {
	_, err := NewSource([]byte(strings.Replace(modFile, "sigs.k8s.io/kwok", "example.com/kwok", 1)), nil)
	if err == nil || !strings.Contains(err.Error(), "sigs.k8s.io/kwok") {
		t.Errorf("NewSource = %v, want an error that names the module", err)
	}
}

// The module of devcluster itself has to be fit to build from.
func TestThePins(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	s := source(t, string(mod), "")
	for _, p := range all {
		if !bytes.Contains(mod, []byte("\t"+p.pkg+"\n")) {
			t.Errorf("go.mod has no tool line for %s: `go mod tidy` would drop what it needs", p.pkg)
		}
	}
	staging := "v0" + strings.TrimPrefix(s.kubernetes, "v1")
	for _, line := range strip(mod) {
		if from, to, ok := strings.Cut(line, " => "); ok && to != from+" "+staging {
			t.Errorf("%q: want version %s, as Kubernetes is %s", line, staging, s.kubernetes)
		}
	}
}

func TestLDFlags(t *testing.T) {
	flags := ldflags("v1.36.3")
	for _, want := range []string{
		"-X k8s.io/component-base/version.gitVersion=v1.36.3 ",
		"-X k8s.io/component-base/version.gitMajor=1 ",
		"-X k8s.io/component-base/version.gitMinor=36 ",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q is not in %q", want, flags)
		}
	}
}

func TestSetPath(t *testing.T) {
	s, cache := source(t, modFile, ""), t.TempDir()
	if _, ok := Open(s, cache); ok {
		t.Fatal("there is a set in an empty directory")
	}
	bin := filepath.Join(cache, s.Key(), "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "etcd"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	set, ok := Open(s, cache)
	if !ok {
		t.Fatal("the set is not found")
	}
	if got, err := set.Path("etcd"); err != nil || got != filepath.Join(bin, "etcd") {
		t.Errorf("Path(etcd) = %q, %v", got, err)
	}
	if _, err := set.Path("kwok"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Path of a program that somebody removed = %v", err)
	}
	if _, err := set.Path("../etcd"); err == nil {
		t.Error("Path accepts what is no program")
	}
}

func TestEnsureDoesNotBuildTwice(t *testing.T) {
	s, cache := source(t, modFile, ""), t.TempDir()
	if err := os.MkdirAll(filepath.Join(cache, s.Key()), 0o755); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	set, err := Ensure(t.Context(), s, cache, NewProgress(&out))
	if err != nil || set.Key != s.Key() || out.Len() > 0 {
		t.Errorf("Ensure = %+v, %v; it said %q", set, err, out.String())
	}
}

func TestABuildThatFailsLeavesNoSet(t *testing.T) {
	// No sums: the go command refuses, without the network.
	t.Setenv("GOPROXY", "off")
	s, cache := source(t, modFile, ""), t.TempDir()
	var out bytes.Buffer
	_, err := Ensure(t.Context(), s, cache, NewProgress(&out))
	if err == nil || !strings.Contains(err.Error(), "etcd: go build") {
		t.Errorf("Ensure = %v, want the error of the go command", err)
	}
	if _, ok := Open(s, cache); ok {
		t.Error("there is a set")
	}
	if !strings.Contains(out.String(), "[1/6] etcd") || !strings.Contains(out.String(), "failed") {
		t.Errorf("progress: %q", out.String())
	}
}

func TestProgressOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := &Progress{out: &out, terminal: true}
	step := p.Step(2, 6, "kwok")
	step.Detail(strings.Repeat("x", 100) + "/end")
	step.start = time.Now().Add(-75 * time.Second)
	step.Done(nil)
	if got := out.String(); !strings.HasPrefix(got, "\r") || !strings.Contains(got, "[2/6] kwok") ||
		!strings.Contains(got, "1m15s") || !strings.HasSuffix(got, "done\n") {
		t.Errorf("progress: %q", got)
	}
}

func TestLineWriter(t *testing.T) {
	var lines []string
	w := &lineWriter{line: func(s string) { lines = append(lines, s) }}
	for range tailLines {
		if _, err := w.Write([]byte("fill\n")); err != nil {
			t.Fatal(err)
		}
	}
	lines = nil
	for _, part := range []string{"a", "b\nc\r\n", "", "d"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("Write(%q) = %d, %v", part, n, err)
		}
	}
	if got := strings.Join(lines, ","); got != "ab,c" {
		t.Errorf("lines: %s", got)
	}
	if len(w.tail) != tailLines || w.tail[tailLines-1] != "c" {
		t.Errorf("tail: %q", w.tail)
	}
}
