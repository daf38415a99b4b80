package cli

import (
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func newManifestImages(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "images FILE|-",
		Short: "Print the workloads of a file and the images that they run",
		Long: `Print the workloads of a file, or of standard input, and the images that they
run: those of containers and init containers, and those in the values of Helm
releases. Objects that name no namespace are in --namespace, else in "default".

-o json prints [{"workload","containers":[{"name","image","init"}]}]. If a
document cannot be read, the others are printed all the same, and the exit code
is then 1.`,
		Args:              needs("FILE|-", 1, 1),
		ValidArgsFunction: completeManifests,
		RunE:              func(_ *cobra.Command, args []string) error { return a.manifestImages(args[0]) },
	}
}

func (a *app) manifestImages(file string) error {
	data, name, err := a.readManifest(file)
	if err != nil {
		return err
	}
	found := edit.Scan(data, edit.Options{Namespace: a.namespace})
	a.reportFound(name, data, found.Problems)
	workloads := found.Workloads
	if workloads == nil {
		workloads = []edit.Workload{}
	}
	err = a.view(workloads, func(w io.Writer) error {
		return table(w, "WORKLOAD\tCONTAINER\tIMAGE", func(row func(...any)) {
			for _, wl := range workloads {
				for _, c := range wl.Containers {
					row(wl.ID, c.Name, c.Image)
				}
				if len(wl.Containers) == 0 {
					row(wl.ID, "", "")
				}
			}
		})
	})
	if err == nil && found.Problems.HasErrors() {
		return exitCode(ExitError)
	}
	return err
}

// readManifest reads a file, or standard input if it is called -, and returns
// the name to show.
func (a *app) readManifest(file string) (data []byte, name string, err error) {
	if file == "-" {
		data, err = io.ReadAll(a.In)
		return data, stdin, err
	}
	data, err = os.ReadFile(file)
	return data, file, err
}

// reportFound prints what is wrong with a file.
func (a *app) reportFound(name string, data []byte, problems diag.List) {
	shown := make(diag.List, 0, len(problems))
	for _, d := range problems {
		at := *d.Subject
		at.File = name
		d.Subject = &at
		shown = append(shown, d)
	}
	config.Render(a.Err, shown, map[string][]byte{name: data}, a.colour(a.Err))
}

// completeManifests completes the names of manifests.
func completeManifests(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
}
