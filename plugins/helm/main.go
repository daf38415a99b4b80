// The helm plugin finds charts and manages Helm releases.
package main

import (
	"io"
	"log"
	"log/slog"

	"helm.sh/helm/v4/pkg/kube"
	"k8s.io/klog/v2"

	"github.com/sluice-gitops/sluice/sdk"
)

func main() {
	quiet()
	sdk.Main(plugin())
}

// quiet sets what Helm keeps in global variables. Its libraries log through
// the default loggers, some of them values; what is worth telling comes
// back as events and errors. Fields are owned in the name of the helm command,
// so that both can change them.
func quiet() {
	log.SetOutput(io.Discard)
	slog.SetDefault(slog.New(slog.DiscardHandler))
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	kube.ManagedFieldsManager = "helm"
}
