helm "helm3" "prod" {}
release "x" {
  chart { repository = "oci://registry.example.com/x" }
}
