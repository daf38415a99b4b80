package engine

import (
	"cmp"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Options configures an Engine. Only ConfigPaths is required.
type Options struct {
	ConfigPaths []string          // files or directories of HCL
	Variables   map[string]string // values for variables of the configuration
	Env         func(name string) (string, bool)

	DataDir    string            // overrides the configuration's data_dir
	PluginDirs []string          // searched for plugins, before the configuration's
	DevPlugins map[string]string // plugin name to binary, unchecked
	LockFile   string            // default: plugins.lock.hcl beside the first of ConfigPaths

	Version string        // of this program
	Workers int           // jobs at once; default 8, and 4 for each CPU if that is more
	Grace   time.Duration // for running applies to end at shutdown; default 25 s
	Logger  *slog.Logger

	// LogLevel is the level of Logger, for the engine to set to the
	// configuration's log_level, at the start and with each reload. nil: it is
	// not the configuration's to say.
	LogLevel *slog.LevelVar

	// newHost starts the plugin host. Tests set it to run plugins in process.
	newHost func(hostOptions) (pluginHost, error)
}

func (o Options) withDefaults() (Options, error) {
	if len(o.ConfigPaths) == 0 {
		return o, errors.New("engine: no configuration given")
	}
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.LockFile == "" {
		o.LockFile = filepath.Join(configDir(o.ConfigPaths[0]), "plugins.lock.hcl")
	}
	if o.newHost == nil {
		o.newHost = startHost
	}
	o.Workers = cmp.Or(o.Workers, max(8, 4*runtime.NumCPU()))
	o.Grace = cmp.Or(o.Grace, 25*time.Second)
	return o, nil
}

// configDir returns the directory that path is, or is in.
func configDir(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return filepath.Dir(path)
}

// ErrLocked says that another process has the data directory.
var ErrLocked = errors.New("data_dir is in use")
