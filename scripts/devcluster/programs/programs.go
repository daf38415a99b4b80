// Package programs provides the programs of a control plane: it builds them
// from Go modules, once for each set of versions, into a directory of the
// user's cache.
//
// The versions are those of a go.mod and a go.sum, so that everybody builds
// from the same source down to the last dependency.
package programs

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Module paths whose versions make the readable part of a key.
const (
	kubernetesModule = "k8s.io/kubernetes"
	etcdModule       = "go.etcd.io/etcd/server/v3"
	kwokModule       = "sigs.k8s.io/kwok"
)

// recipe is part of the key: raise it when the way of building changes such
// that programs built before must not be used any more.
const recipe = "1"

// program is one program and the package of its main function.
type program struct {
	name, pkg string
}

// all lists the programs in the order of building.
var all = []program{
	{"etcd", etcdModule},
	{"kube-apiserver", kubernetesModule + "/cmd/kube-apiserver"},
	{"kube-controller-manager", kubernetesModule + "/cmd/kube-controller-manager"},
	{"kube-scheduler", kubernetesModule + "/cmd/kube-scheduler"},
	{"kwok", kwokModule + "/cmd/kwok"},
	{"kubectl", kubernetesModule + "/cmd/kubectl"},
}

// Names returns the names of the programs.
func Names() []string {
	names := make([]string, 0, len(all))
	for _, p := range all {
		names = append(names, p.name)
	}
	return names
}

// Source is what the programs are built from.
type Source struct {
	modFile, sumFile []byte
	kubernetes       string // the version, as v1.36.3
	key              string
}

// NewSource reads the versions from the contents of a go.mod and of its go.sum.
func NewSource(modFile, sumFile []byte) (*Source, error) {
	statements := strip(modFile)
	versions := make([]string, 0, 3)
	for _, module := range []string{kubernetesModule, etcdModule, kwokModule} {
		version, ok := required(statements, module)
		if !ok {
			return nil, fmt.Errorf("go.mod of the programs: it does not require %s", module)
		}
		versions = append(versions, version)
	}
	sum := sha256.New()
	for _, part := range []string{recipe, runtime.GOOS, runtime.GOARCH, strings.Join(statements, "\n"), string(sumFile)} {
		_, _ = fmt.Fprintf(sum, "%d %s\n", len(part), part) // A hash never fails.
	}
	key := fmt.Sprintf("kubernetes-%s_etcd-%s_kwok-%s_%s",
		versions[0], versions[1], versions[2], hex.EncodeToString(sum.Sum(nil))[:10])
	return &Source{modFile: modFile, sumFile: sumFile, kubernetes: versions[0], key: key}, nil
}

// Key names this set of versions. It is fit to be a file's name and changes
// with anything that changes the programs, but not with a comment in go.mod.
func (s *Source) Key() string { return s.key }

// strip returns the lines of a go.mod without comments and white space around.
func strip(modFile []byte) []string {
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(modFile))
	for scanner.Scan() {
		line, _, _ := strings.Cut(scanner.Text(), "//")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// required returns the version at which the lines of a go.mod require module.
func required(lines []string, module string) (version string, ok bool) {
	for _, line := range lines {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) == 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1], true
		}
	}
	return "", false
}

// Set is a directory with all programs of one key, built and complete.
type Set struct {
	Key string
	dir string
}

// Open returns the set of source in the cache directory; ok says whether it was
// built there.
func Open(source *Source, cache string) (set Set, ok bool) {
	set = Set{Key: source.key, dir: filepath.Join(cache, source.key)}
	// The directory gets its name when the last program is in it.
	info, err := os.Stat(set.dir)
	return set, err == nil && info.IsDir()
}

// Path returns where the program with this name is.
func (s Set) Path(name string) (string, error) {
	if !slices.Contains(Names(), name) {
		return "", fmt.Errorf("no program %q: there are %s", name, strings.Join(Names(), ", "))
	}
	path := filepath.Join(s.dir, "bin", name)
	if _, err := os.Stat(path); err != nil {
		return "", errors.Join(err, fmt.Errorf("remove %s to have the programs built again", s.dir))
	}
	return path, nil
}

// Stages returns the file with kwok's stages: how its fake nodes and pods come to life.
func (s Set) Stages() string { return filepath.Join(s.dir, stagesFile) }
