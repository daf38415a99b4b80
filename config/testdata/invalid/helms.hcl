applier "kubernetes" "prod" { context = "prod" }
applier "kubernetes" "stage" { kubeconfig = 3 == 3 ? ["x"] : [] }
applier "kubernetes" "none" {}
applier "nomad" "other" {}
helm "helm" "a" {
  applier = applier.kubernetes.prod
  storge  = "secret"
}
helm "helm" "b" {
  applier = applier.kubernetes.prod
  storage = "sql"
  charts  = applier.kubernetes.prod
}
helm "helm" "stage" { applier = applier.kubernetes.stage }
helm "helm" "none" { applier = helm.helm.a }
helm "helm" "missing" {}
helm "hlem" "c" {
  applier         = applier.kubernetes.stag
  resources       = "maybe"
  local_urls      = ["10.0.0.0/8"]
  cross_namespaces = true
  charts_path     = "../x"
  default_ref     = "a b"
}
release "x" {
  applier = applier.nomad.other
  chart { repository = "oci://registry.example.com/x" }
}
release "y" {
  applier    = helm.helm.a
  depends_on = [helm.helm.a, "x", "sync.z"]
  chart { repository = "oci://registry.example.com/x" }
}
