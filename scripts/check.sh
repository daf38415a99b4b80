#!/usr/bin/env bash
# The fast inner loop: vet and test the modules that need no cluster.
set -euo pipefail
cd "$(dirname "$0")/.."
for dir in . sdk plugins/git; do
  echo "== $dir" >&2
  (cd "$dir" && GOWORK=off go vet ./... && GOWORK=off go test ./...)
done
