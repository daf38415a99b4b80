package pluginhost

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// Offer is what a plugin offers for one kind and type.
type Offer struct {
	Plugin  string // its name
	Version string
	client.KindDescription
}

// Lookup finds the plugin that offers kind/typ: first among the declared
// plugins and dev overrides, then sluice-plugin-TYPE in Dirs, then every other
// sluice-plugin-* there. It starts no process, unless a binary has to be asked
// for its description, which is remembered. Where none offers it the error is
// ErrNotFound.
func (h *Host) Lookup(kind, typ string) (Offer, error) {
	found, err := h.find(h.ctx, kind, typ)
	if err != nil {
		return Offer{}, err
	}
	offer, _ := found.description.offer(kind, typ) // find has seen it
	return Offer{Plugin: found.name, Version: found.description.Version, KindDescription: offer}, nil
}

// candidate is a binary that may hold a plugin.
type candidate struct {
	name        string
	path        string
	env         map[string]string
	idleStop    time.Duration
	origin      string // where the path comes from, for errors
	dev         bool
	description description
}

func (h *Host) find(ctx context.Context, kind, typ string) (*candidate, error) {
	s := search{host: h, kind: kind, typ: typ}
	for _, tier := range []func() []*candidate{h.declared, func() []*candidate { return h.named(typ) }, h.others} {
		found, err := s.among(ctx, tier())
		if found != nil && len(s.failures) > 0 {
			h.log.Warn("plugins that cannot be used were passed over", "for", kind+"/"+typ, "using", found.name, "errs", s.failures)
		}
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, s.notFound()
}

// search is one lookup and what it came by.
type search struct {
	host      *Host
	kind, typ string
	seen      map[string]bool // names
	read      []*candidate    // those that could be described
	failures  []string
}

// among returns the one candidate that offers what is searched for. A
// candidate that was named for it and cannot be described is an error.
func (s *search) among(ctx context.Context, all []*candidate) (*candidate, error) {
	var offering []*candidate
	for _, c := range all {
		if s.seen[c.name] {
			continue
		}
		if s.seen == nil {
			s.seen = map[string]bool{}
		}
		s.seen[c.name] = true
		d, err := s.host.describe(ctx, c)
		if err != nil {
			if c.name == typeName(s.typ) {
				return nil, fmt.Errorf("%s/%s: %w", s.kind, s.typ, err)
			}
			s.failures = append(s.failures, err.Error())
			continue
		}
		c.description = d
		s.read = append(s.read, c)
		if _, ok := d.offer(s.kind, s.typ); ok {
			offering = append(offering, c)
		}
	}
	switch len(offering) {
	case 0:
		return nil, nil
	case 1:
		return offering[0], nil
	}
	return nil, fmt.Errorf("%s/%s is offered by %s (%s) and by %s (%s): declare one of them with plugin %q { path = ... }, or remove the other",
		s.kind, s.typ, offering[0].name, offering[0].path, offering[1].name, offering[1].path, offering[0].name)
}

// declared returns the dev overrides and plugin blocks, sorted by name.
func (h *Host) declared() []*candidate {
	byName := map[string]*candidate{}
	for _, d := range h.o.Plugins {
		c := &candidate{name: d.Name, path: d.Path, env: d.Env, idleStop: d.IdleStop, origin: fmt.Sprintf("plugin %q block", d.Name)}
		if c.path == "" {
			c.path = h.inDirs(d.Name)
		}
		byName[d.Name] = c
	}
	for name, path := range h.o.Dev {
		c := &candidate{name: name, path: path, origin: "--dev-plugin", dev: true}
		if d, ok := byName[name]; ok {
			c.env, c.idleStop = d.env, d.idleStop
		}
		byName[name] = c
	}
	return sortedByName(byName)
}

// named returns the binary that is called like the type.
func (h *Host) named(typ string) []*candidate {
	name := typeName(typ)
	if path := h.inDirs(name); path != "" && isPluginName(name) {
		return []*candidate{{name: name, path: path, origin: "found by name"}}
	}
	return nil
}

// others returns every plugin binary in Dirs; the first directory wins.
func (h *Host) others() []*candidate {
	byName := map[string]*candidate{}
	for _, dir := range h.o.Dirs {
		paths, _ := filepath.Glob(filepath.Join(globEscape(dir), handshake.BinaryPrefix+"*")) // the pattern is well-formed
		for _, path := range paths {
			name := strings.TrimPrefix(filepath.Base(path), handshake.BinaryPrefix)
			if byName[name] == nil && isPluginName(name) && isExecutable(path) {
				byName[name] = &candidate{name: name, path: path, origin: "found in " + dir}
			}
		}
	}
	return sortedByName(byName)
}

// inDirs returns the path of the plugin's binary, empty if there is none.
func (h *Host) inDirs(name string) string {
	for _, dir := range h.o.Dirs {
		path := filepath.Join(dir, handshake.BinaryPrefix+name)
		if fileExists(path) {
			return path
		}
	}
	return ""
}

func (s *search) notFound() error {
	var b strings.Builder
	fmt.Fprintf(&b, "no plugin offers %s/%s; looked for %s%s in %s", s.kind, s.typ, handshake.BinaryPrefix, typeName(s.typ), listOr(s.host.o.Dirs, "no directory"))
	if names := slices.Sorted(maps.Keys(s.seen)); len(names) > 0 {
		fmt.Fprintf(&b, ", and asked the plugins %s", strings.Join(names, ", "))
	}
	if hint := s.suggest(); hint != "" {
		b.WriteString("; " + hint)
	} else {
		fmt.Fprintf(&b, "; install it there, or name its binary: plugin %q { path = ... }", typeName(s.typ))
	}
	for _, f := range s.failures {
		b.WriteString("; not usable: " + f)
	}
	return &notFoundError{b.String()}
}

// suggest names the nearest thing that some plugin offers.
func (s *search) suggest() string {
	var offered []string
	for _, c := range s.read {
		for _, k := range c.description.Kinds {
			if k.Type == s.typ {
				return fmt.Sprintf("plugin %s offers %s/%s", c.name, k.Kind, k.Type)
			}
			if k.Kind == s.kind {
				offered = append(offered, k.Type)
			}
		}
	}
	best := diag.Nearest(s.typ, offered)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// typeName is the plugin name that a type suggests: docker_config is offered
// by sluice-plugin-docker-config, if it exists.
func typeName(typ string) string { return strings.ReplaceAll(typ, "_", "-") }

func isPluginName(name string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	return name != "" && len(name) <= 64 && strings.Trim(name, letters) == ""
}

func sortedByName(byName map[string]*candidate) []*candidate {
	list := make([]*candidate, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, byName[name])
	}
	return list
}

func listOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	return strings.Join(list, ", ")
}

func globEscape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
