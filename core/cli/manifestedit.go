package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// manifestEdit is what the commands that edit a file share.
type manifestEdit struct {
	edit   edit.Edit
	dryRun bool
}

const editHelp = `
The file is replaced as a whole and keeps its mode, and its name is printed if
it has changed; "-" reads standard input and writes the result to standard
output. With --dry-run nothing is written, the difference is printed, and the
exit code is 2 if there is one.`

func newManifestSetImage(a *app) *cobra.Command {
	var m manifestEdit
	cmd := &cobra.Command{
		Use:   "set-image --workload ID --container NAME --image REF FILE|-",
		Short: "Change the image of a container, and no other byte",
		Long: `Change the image of a container in a file, and no other byte: comments, quotes,
indentation and line endings stay. It also changes images in the values of Helm
releases, each part in the field that it stands in. What cannot be changed
alone, since an alias has it in another place too, is refused.
` + editHelp,
		Example: `  sluice manifest set-image --workload shop:deployment/web --container app --image nginx:1.28 web.yaml
  kubectl get deployment web -o yaml | sluice manifest set-image --workload default:deployment/web --container app --image nginx:1.28 -`,
		Args:              needs("FILE|-", 1, 1),
		ValidArgsFunction: completeManifests,
		RunE:              func(_ *cobra.Command, args []string) error { return a.editManifest(args[0], m) },
	}
	m.bind(cmd, a)
	f := cmd.Flags()
	f.StringVar(&m.edit.Container, "container", "", "name of the container, or of the image in a Helm release's values")
	f.StringVar(&m.edit.Image, "image", "", "the new image, name[:tag][@digest]")
	f.StringVar(&m.edit.From, "from", "", "fail if the container has another image than this")
	for _, name := range []string{"container", "image"} {
		_ = cmd.MarkFlagRequired(name)
	}
	_ = cmd.RegisterFlagCompletionFunc("container", completeFound(a, func(w edit.Workload) (names []string) {
		for _, c := range w.Containers {
			if m.edit.Workload == "" || m.edit.Workload == w.ID {
				names = append(names, c.Name)
			}
		}
		return names
	}))
	_ = cmd.RegisterFlagCompletionFunc("image", cobra.NoFileCompletions)
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.NoFileCompletions)
	return cmd
}

func newManifestAnnotate(a *app) *cobra.Command {
	var m manifestEdit
	cmd := &cobra.Command{
		Use:   "annotate --workload ID KEY=VALUE... KEY-... FILE|-",
		Short: "Set and remove annotations of an object, and change no other byte",
		Long: `Set (KEY=VALUE) and remove (KEY-) annotations of an object in a file, and change
no other byte. The object's own annotations are meant, not those of its pods.
Removing the last one removes the map.
` + editHelp,
		Example:           `  sluice manifest annotate --workload shop:deployment/web sluice.dev/automated=true sluice.dev/locked- web.yaml`,
		Args:              needs("KEY=VALUE or KEY-, and FILE|-,", 2, -1),
		ValidArgsFunction: completeManifests,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			last := len(args) - 1
			if m.edit.Set, m.edit.Remove, err = annotations(args[:last]); err != nil {
				return err
			}
			return a.editManifest(args[last], m)
		},
	}
	m.bind(cmd, a)
	return cmd
}

func (m *manifestEdit) bind(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	f.StringVar(&m.edit.Workload, "workload", "", "namespace:kind/name; without a namespace it is --namespace, else \"default\"")
	f.BoolVar(&m.dryRun, "dry-run", false, "only print what would change")
	_ = cmd.MarkFlagRequired("workload")
	_ = cmd.RegisterFlagCompletionFunc("workload", completeFound(a, func(w edit.Workload) []string { return []string{w.ID} }))
}

// annotationKey is what Kubernetes takes for a key.
var annotationKey = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)

// annotations reads KEY=VALUE and KEY-.
func annotations(args []string) (set map[string]string, remove []string, err error) {
	set = map[string]string{}
	for _, arg := range args {
		key, value, isSet := strings.Cut(arg, "=")
		if !isSet {
			var isRemoval bool
			if key, isRemoval = strings.CutSuffix(arg, "-"); !isRemoval {
				return nil, nil, fmt.Errorf("%q: want KEY=VALUE to set an annotation or KEY- to remove it", arg)
			}
			remove = append(remove, key)
		}
		_, twice := set[key]
		switch {
		case !annotationKey.MatchString(key):
			return nil, nil, fmt.Errorf("%q is no key of an annotation", key)
		case twice, isSet && slices.Contains(remove, key):
			return nil, nil, fmt.Errorf("annotation %s is named twice", key)
		case isSet:
			set[key] = value
		}
	}
	return set, remove, nil
}

// editManifest makes the edit in a file, or from standard input to standard
// output.
func (a *app) editManifest(file string, m manifestEdit) error {
	if !strings.Contains(m.edit.Workload, "/") {
		return withHint(fmt.Errorf("--workload %q: want namespace:kind/name", m.edit.Workload), "for example shop:deployment/web")
	}
	data, name, err := a.readManifest(file)
	if err != nil {
		return err
	}
	result, errs := edit.Apply(data, edit.Options{Namespace: a.namespace}, []edit.Edit{m.edit})
	if err := errs[0]; err != nil {
		if refused, ok := errors.AsType[*edit.RefusedError](err); ok {
			refused.File = name
			return err
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	changed := !bytes.Equal(data, result)
	switch {
	case m.dryRun:
		return a.showDifference(name, data, result)
	case file == "-":
		_, err = a.Out.Write(result)
		return err
	case changed:
		err = replaceManifest(file, result)
	}
	if err != nil {
		return err
	}
	return a.viewChanged(file, changed)
}

// replaceManifest writes a file, which stays behind the links that lead to it.
func replaceManifest(file string, data []byte) error {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return err
	}
	return replaceFile(real, data)
}

// viewChanged prints the name of a file that has changed.
func (a *app) viewChanged(file string, changed bool) error {
	files := []string{}
	if changed {
		files = append(files, file)
	}
	return a.view(map[string][]string{"changed": files}, func(w io.Writer) error {
		for _, f := range files {
			if _, err := fmt.Fprintln(w, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// showDifference prints a unified diff and tells by the exit code whether there
// is one.
func (a *app) showDifference(name string, old, result []byte) error {
	if bytes.Equal(old, result) {
		return nil
	}
	if _, err := a.Out.Write(diff.Diff(name, old, name, result)); err != nil {
		return err
	}
	return exitCode(ExitChanges)
}

// completeFound completes from the workloads of the file that is on the command
// line already.
func completeFound(a *app, names func(edit.Workload) []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) (list []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		data, err := os.ReadFile(args[len(args)-1])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, w := range edit.Scan(data, edit.Options{Namespace: a.namespace}).Workloads {
			list = append(list, names(w)...)
		}
		slices.Sort(list)
		return slices.Compact(list), cobra.ShellCompDirectiveNoFileComp
	}
}
