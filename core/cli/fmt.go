package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/config"
)

func newFmt(a *app) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "fmt [FILE|DIR|-]...",
		Short: "Format configuration files",
		Long: `Format configuration files in place and print the names of those that changed.
Without arguments it formats what --config names; "-" formats standard input
to standard output. With --check nothing is written, and the exit code is 2 if
a file is not formatted.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = a.configPaths
			}
			return a.format(args, check)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "only report the files that are not formatted")
	return cmd
}

func (a *app) format(args []string, check bool) error {
	changed, failed := []string{}, false
	for _, arg := range args {
		if arg == "-" {
			return a.formatStdin()
		}
		files, err := hclFiles(arg)
		if err != nil {
			return err
		}
		for _, file := range files {
			different, err := a.formatFile(file, check)
			if err != nil {
				return err
			}
			if different == nil {
				failed = true
			} else if *different {
				changed = append(changed, file)
			}
		}
	}
	err := a.view(map[string][]string{"changed": changed}, func(w io.Writer) error {
		for _, file := range changed {
			_, _ = fmt.Fprintln(w, file)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case failed:
		return exitCode(ExitError)
	case check && len(changed) > 0:
		return exitCode(ExitChanges)
	}
	return nil
}

// formatFile reports whether the file was (or would be) changed; nil means
// that it does not parse, which has been told.
func (a *app) formatFile(file string, check bool) (*bool, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out, diags := config.Format(src)
	if diags.HasErrors() {
		for i := range diags {
			if diags[i].Subject != nil {
				diags[i].Subject.File = file
			}
		}
		config.Render(a.Err, diags, map[string][]byte{file: src}, a.colour(a.Err))
		return nil, nil
	}
	different := !bytes.Equal(src, out)
	if different && !check {
		err = replaceFile(file, out)
	}
	return &different, err
}

// stdin is the name of standard input in diagnostics.
const stdin = "<stdin>"

func (a *app) formatStdin() error {
	src, err := io.ReadAll(a.In)
	if err != nil {
		return err
	}
	out, diags := config.Format(src)
	if diags.HasErrors() {
		for i := range diags {
			if diags[i].Subject != nil {
				diags[i].Subject.File = stdin
			}
		}
		config.Render(a.Err, diags, map[string][]byte{stdin: src}, a.colour(a.Err))
		return exitCode(ExitError)
	}
	_, err = a.Out.Write(out)
	return err
}

// hclFiles lists the configuration files that path stands for.
func hclFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	files, err := filepath.Glob(filepath.Join(path, "*.hcl"))
	return slices.DeleteFunc(files, func(file string) bool { // as the language reads a directory
		name := filepath.Base(file)
		return strings.HasPrefix(name, ".") || name == "plugins.lock.hcl"
	}), err
}

// replaceFile writes beside the file and renames, so that a crash or a full
// disk never leaves half a configuration.
func replaceFile(file string, data []byte) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".fmt-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), info.Mode().Perm())
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	return err
}
