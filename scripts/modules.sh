#!/usr/bin/env bash
# Runs a command in every module of the repository, each by itself
# (GOWORK=off), because the workspace hides a missing requirement. All of them
# have their turn, also after a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=()
for mod in $(git ls-files --cached --others --exclude-standard '*go.mod' | sort); do
  dir=$(dirname "$mod")
  echo "== $dir: $*" >&2
  (cd "$dir" && GOWORK=off "$@") || failed+=("$dir")
done
if ((${#failed[@]})); then
  echo "failed in ${failed[*]}" >&2
  exit 1
fi
