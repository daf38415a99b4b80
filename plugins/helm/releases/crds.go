package releases

import (
	"bytes"
	"time"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/kube"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// definitionTimeout is how long the API server may take to know a definition.
const definitionTimeout = time.Minute

// definitions are those of a file that are to be sent.
func (o *operation) definitions(crd chart.CRD, policy helm.CRDs) (kube.ResourceList, error) {
	list, err := o.kube.Build(bytes.NewReader(crd.File.Data), false)
	if err != nil || policy == helm.CRDsReplace {
		return list, err
	}
	var missing kube.ResourceList
	for _, info := range list {
		_, err := resource.NewHelper(info.Client, info.Mapping).Get(info.Namespace, info.Name)
		switch {
		case apierrors.IsNotFound(err):
			missing = append(missing, info)
		case err != nil:
			return nil, err
		}
	}
	return missing, nil
}
