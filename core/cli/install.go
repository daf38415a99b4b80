package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/install"
	"github.com/sluice-gitops/sluice/core/release/resource"
)

// installFlags are the flags of install.
type installFlags struct {
	definitions string
	image       string
	storage     string
}

func newInstall(a *app) *cobra.Command {
	var f installFlags
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Print the manifests that Sluice runs with in a cluster",
		Long: `Print the manifests that Sluice runs with in a cluster, as YAML:

  sluice install --crds | kubectl apply --server-side -f -
  sluice install --image registry.example.com/sluice:1 | kubectl apply --server-side -f -

--crds prints only the definition of HelmRelease helm.fluxcd.io/v1, which the
daemon follows wherever it runs, if a helm block says so. It may be applied over
the one of the Helm operator of Flux v1: no resource becomes invalid.

--crds=all prints those of HelmRelease flux.weave.works/v1beta1 and of
FluxHelmRelease, too. Where both HelmReleases are defined, "kubectl get
helmrelease" means the old one: say hr, or helmreleases.helm.fluxcd.io.

Without --crds, the definition comes along with: a Namespace (-n, default sluice),
a ServiceAccount with its rights, the configuration (-c), a volume, and a
Deployment of one pod. A configuration that holds secrets, or reads files with
file(), goes into a Secret, else into a ConfigMap; its files have to be in one
directory.

The volume keeps what is in no cluster: suspensions, such as those by sluice helm
rollback, and which releases are to be uninstalled since their blocks are gone.
With --storage none this is lost with the pod, and an upgrade that somebody has
rolled back by hand may be made again.

The rights are those that the configuration needs in the pod's own cluster:
everything in the namespaces that its appliers are limited to; everything, where
they have no limit; nothing, where every applier has a kubeconfig of its own.

The image is yours to build: it holds sluice, the plugins beside it, and git, and
names its user by number. Nothing is applied.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.install(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.definitions, "crds", "", "only the definitions of the custom resources: v1, the one of HelmRelease helm.fluxcd.io/v1, or all")
	cmd.Flags().Lookup("crds").NoOptDefVal = "v1"
	cmd.Flags().StringVar(&f.image, "image", "", "image of the pod")
	cmd.Flags().StringVar(&f.storage, "storage", "1Gi", "size of the volume for the daemon's state, or none")
	return cmd
}

func (a *app) install(ctx context.Context, f installFlags) error {
	switch {
	case a.output.machine() && a.output != outputYAML:
		return errors.New("sluice install prints YAML only")
	case f.definitions != "" && f.image != "":
		return errors.New("--crds prints the definitions alone: leave out the other flags")
	case f.definitions == "v1", f.definitions == "all":
		_, err := a.Out.Write(resource.CRDs(f.definitions == "all"))
		return err
	case f.definitions != "":
		return fmt.Errorf("--crds=%s: there is only v1 and all", f.definitions)
	case f.image == "":
		return withHint(errors.New("--image is missing"), "name the image of the pod, or use --crds for the definitions alone")
	}
	return a.withEngine(ctx, func(e *engine.Engine) error {
		o, err := install.Of(e.Config())
		if err != nil {
			return err
		}
		o.Namespace, o.Image = a.namespace, f.image
		if f.storage != "none" {
			o.Storage = f.storage
		}
		if o.Namespace == "" {
			o.Namespace = "sluice"
		}
		manifests, err := install.Manifests(o)
		if err != nil {
			return fmt.Errorf("manifests: %w", err)
		}
		_, err = a.Out.Write(slices.Concat(manifests, []byte("---\n"), resource.CRDs(false)))
		return err
	})
}
