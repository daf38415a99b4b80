package install

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-gitops/sluice/config"
)

// Of returns what a valid configuration tells of the Options: its files, where
// it listens, and the rights that it needs. The files are read anew.
func Of(c *config.Config) (Options, error) {
	rights, err := rightsOf(c.Appliers)
	if err != nil {
		return Options{}, err
	}
	o := Options{Config: map[string]string{}, Rights: rights}
	if s := c.Settings; s.API.Listen != "unix://"+filepath.Join(s.DataDir, "api.sock") {
		o.Listen = s.API.Listen
	}
	dir := ""
	for _, path := range c.Paths() {
		text, in, err := read(path)
		if err != nil {
			return Options{}, fmt.Errorf("the configuration: %w", err)
		}
		if in == "" {
			continue
		}
		if dir == "" {
			dir = in
		}
		if in != dir {
			return Options{}, fmt.Errorf("%s is not in %s, where other files of the configuration are: a pod gets one directory", path, dir)
		}
		o.Config[filepath.Base(path)] = string(text)
		// Files has no other files than those of configuration, and the text of
		// these with the secrets masked.
		o.Secret = o.Secret || !bytes.Equal(text, c.Files[path])
	}
	return o, nil
}

// read returns a file and its directory; of a directory, nothing.
func read(path string) (text []byte, dir string, err error) {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() {
		return nil, "", err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	text, err = os.ReadFile(path)
	return text, filepath.Dir(abs), err
}

// rightsOf are what the appliers of the pod's own cluster need.
func rightsOf(appliers []config.Applier) (Rights, error) {
	var r Rights
	for _, a := range appliers {
		if a.Type != "kubernetes" {
			continue
		}
		var target struct {
			Kubeconfig string   `json:"kubeconfig"`
			Context    string   `json:"context"`
			InCluster  bool     `json:"in_cluster"`
			Namespaces []string `json:"namespaces"`
		}
		if err := json.Unmarshal(a.Plugin.JSON, &target); err != nil {
			return Rights{}, fmt.Errorf("%s: %w", a.Address, err)
		}
		if !target.InCluster && (target.Kubeconfig != "" || target.Context != "") {
			continue // of another cluster
		}
		r.Cluster = r.Cluster || len(target.Namespaces) == 0
		r.Namespaces = append(r.Namespaces, target.Namespaces...)
	}
	slices.Sort(r.Namespaces)
	r.Namespaces = slices.Compact(r.Namespaces)
	return r, nil
}
