# Only what HelmReleases of the cluster say.

helm "helm" "cluster" { namespaces = ["demo"] }
