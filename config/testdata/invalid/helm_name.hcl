applier "kubernetes" "prod" {}
applier "kubernetes" "stage" {}
helm "helm" "stage" { applier = applier.kubernetes.prod }
release "x" {
  applier = applier.kubernetes.stage
  chart { repository = "oci://registry.example.com/x" }
}
