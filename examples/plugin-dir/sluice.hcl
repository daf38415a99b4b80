# A directory on this machine, applied like a repository.
source "dir" "local" {
  path = "manifests"
}

sync "local" {
  source = source.dir.local
}
