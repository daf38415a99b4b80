image_kind "rollout" {
  group      = "argoproj.io"
  kind       = "Rollout"
  containers = ["spec.template.spec.containers"]
}
image_kind "again" {
  group  = "argoproj.io"
  kind   = "Rollout"
  images = { main = "spec.image" }
}
image_kind "built-in" {
  group      = "apps"
  kind       = "Deployment"
  containers = ["spec.template.spec.containers"]
}
image_kind "empty" { kind = "Widget" }
image_kind "missing" { containers = ["spec.containers"] }
image_kind "versioned" {
  group      = "argoproj.io/v1alpha1"
  kind       = "rollout"
  containers = ["spec.template.spec.containers[*]", "$.spec.containers", ".spec.containers", "spec..containers", "spec.containers.", "", "{.spec.containers}"]
}
image_kind "of-a-version" {
  group           = "v1"
  kind            = "Workflow.argoproj.io"
  init_containers = ["status.containers", "spec.template.spec.initContainers"]
  images          = { "main image" = "spec.image", init = "metadata.annotations.image", wrong = "spec image" }
}
image_kind "no-group" {
  group  = "Argo_Proj"
  kind   = "Task"
  images = ["spec.image"]
}
