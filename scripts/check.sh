#!/usr/bin/env bash
# The fast inner loop: vet and tests; those that need a cluster skip.
set -euo pipefail
cd "$(dirname "$0")/.."
for dir in . sdk plugins/*; do
  echo "== $dir" >&2
  (cd "$dir" && GOWORK=off go vet ./... && GOWORK=off go test ./...)
done
