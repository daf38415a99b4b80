#!/usr/bin/env bash
# Runs a command in every module of the repository, each by itself
# (GOWORK=off), because the workspace hides a missing requirement.
set -euo pipefail
cd "$(dirname "$0")/.."
for mod in $(git ls-files --cached --others --exclude-standard '*go.mod' | sort); do
  dir=$(dirname "$mod")
  echo "== $dir: $*" >&2
  (cd "$dir" && GOWORK=off "$@")
done
