package config

import (
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Load reads the files and directories in paths, in order, as one
// configuration. Of a directory it reads the *.hcl files, sorted by name, and
// not those of directories inside it.
//
// It returns everything that could be decoded together with every problem
// found; the Config is never nil, and incomplete if the list has errors.
func Load(paths []string, o Options) (*Config, diag.List) {
	l := newLoader(o)
	inputs, ok := readInputs(paths, &l.report, l.cfg.read)
	for _, in := range inputs {
		l.cfg.Files[in.name] = in.src
	}
	if !ok {
		return l.cfg, l.finish()
	}
	return l.cfg, l.finish()
}

// loader is the state of one Load.
type loader struct {
	report
	options Options
	cfg     *Config
}

func newLoader(o Options) *loader {
	if o.Env == nil {
		o.Env = func(string) (string, bool) { return "", false }
	}
	return &loader{
		options: o,
		cfg:     &Config{Files: map[string][]byte{}, read: map[string]struct{}{}},
	}
}
