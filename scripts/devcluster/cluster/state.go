package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/process"
)

// stateFile is the file in a cluster's directory that makes it a cluster: it is
// written after all the others when the cluster is made.
const stateFile = "cluster.json"

// state is what is known about a cluster between two commands.
type state struct {
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	Programs string    `json:"programs"` // the key of the set it was started from last
	Ports    ports     `json:"ports"`
	Nodes    int       `json:"nodes"`
	// Processes holds the process of each component that was started and not
	// stopped by a command; it may have ended since.
	Processes map[string]process.Identity `json:"processes"`
}

// readState reads the state of the cluster in dir. The error is fs.ErrNotExist
// when there is none.
func readState(dir string) (*state, error) {
	path := filepath.Join(dir, stateFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Processes == nil {
		s.Processes = map[string]process.Identity{}
	}
	return &s, nil
}

// write stores the state such that a reader, also after a crash, sees the old
// or the new one, never a part.
func (s *state) write(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeAtomic(filepath.Join(dir, stateFile), append(data, '\n'))
}

// writeAtomic replaces the file at path. Only the user may read it: kubeconfigs
// and the state are credentials or lead to them.
func writeAtomic(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return err
	}
	_, err = temp.Write(data)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // The error that counts is err.
	}
	return err
}

// names returns the names of the clusters below root.
func names(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		_, err := os.Stat(filepath.Join(root, entry.Name(), stateFile))
		if entry.IsDir() && ValidateName(entry.Name()) == nil && err == nil {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
