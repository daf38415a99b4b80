package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/plugins/docker/internal/authfile"
	"github.com/sluice-gitops/sluice/plugins/docker/internal/pattern"
	"github.com/sluice-gitops/sluice/plugins/docker/internal/program"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// fileProvider answers from files. It reads them at each question: that costs
// less than to notice every way in which a file can be replaced, the links of a
// mounted Secret among them.
type fileProvider struct {
	config FileConfig
	log    hclog.Logger

	mu   sync.Mutex
	told map[string]string // what was left out of each file, and logged
}

var _ registry.Provider = (*fileProvider)(nil)

func openFile(_ context.Context, c FileConfig, env sdk.Env) (*fileProvider, error) {
	return &fileProvider{config: c, log: env.Log, told: map[string]string{}}, nil
}

// Credential implements registry.Provider. The first file with a credential
// answers; one that cannot be read does not hide those after it.
func (p *fileProvider) Credential(ctx context.Context, req registry.Request) (registry.Credential, error) {
	var errs []error
	var why []string
	for _, path := range p.paths() {
		file, err := authfile.Read(path)
		if errors.Is(err, fs.ErrNotExist) && p.config.Path == "" {
			why = append(why, path+" does not exist")
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p.tell(path, file)
		found, byRepository, err := p.ask(ctx, file, req)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		if found.IsZero() {
			why = append(why, path+" has nothing for "+req.Host+"/"+req.Repository)
			continue
		}
		scope := registry.ScopeRegistry
		if byRepository {
			scope = registry.ScopeRepository
		}
		return grant(found, scope, time.Time{}), nil
	}
	if len(errs) > 0 {
		return registry.Credential{}, errors.Join(errs...)
	}
	return registry.Credential{}, fmt.Errorf("%s: %w", strings.Join(why, "; "), registry.ErrAnonymous)
}

// paths are the files to read, in order: those of docker, then of podman.
func (p *fileProvider) paths() []string {
	if p.config.Path != "" {
		return []string{p.config.Path}
	}
	home, _ := os.UserHomeDir() // without one, there are no files in it
	var paths []string
	add := func(dir string, name ...string) {
		if dir != "" {
			paths = append(paths, filepath.Join(append([]string{dir}, name...)...))
		}
	}
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker", "config.json")
	}
	if file := os.Getenv("REGISTRY_AUTH_FILE"); file != "" {
		add(file)
		return paths
	}
	add(os.Getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	add(home, ".config", "containers", "auth.json")
	return paths
}

// ask finds the credential in one file: from the helper that docker would ask,
// else from what the file holds.
func (p *fileProvider) ask(ctx context.Context, file authfile.File, req registry.Request) (found authfile.Credential, byRepository bool, err error) {
	if name := file.Helper(req.Host); name != "" && p.config.Helpers {
		found, err = p.askHelper(ctx, name, req.Host)
		if err != nil || !found.IsZero() {
			return found, false, err
		}
	}
	found, err = file.Lookup(req.Host, req.Repository)
	return found, file.ByRepository(req.Host), err
}

// helperName is what may follow docker-credential-: a file may not name a
// program elsewhere.
var helperName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

func (p *fileProvider) askHelper(ctx context.Context, name, host string) (authfile.Credential, error) {
	if !helperName.MatchString(name) {
		return authfile.Credential{}, fmt.Errorf("%.80q is not the name of a credential helper", name)
	}
	env, hide := environment(p.config.Inherit, p.config.Env)
	spec := program.Spec{
		Command: []string{"docker-credential-" + name}, Env: env, Hide: hide, Timeout: p.config.Timeout,
	}
	for _, server := range spellings(host) {
		found, err := spec.Get(ctx, server)
		if err != nil || !found.IsZero() {
			return found, err
		}
	}
	return authfile.Credential{}, nil
}

// spellings are the names under which a registry may have been logged in to.
func spellings(host string) []string {
	if pattern.Host(host) == pattern.DockerHub {
		return []string{server(host), "index.docker.io", "docker.io"}
	}
	return []string{host, "https://" + host}
}

// tell logs what is left out of a file, once.
func (p *fileProvider) tell(path string, file authfile.File) {
	problems := strings.Join(file.Skipped(), "; ")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.told[path] == problems {
		return
	}
	p.told[path] = problems
	if problems != "" {
		p.log.Warn("the file has entries that are no good", "path", path, "problems", problems)
	}
}
