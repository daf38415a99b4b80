#!/usr/bin/env bash
# Every test of the project: lint, unit tests of each module with the race
# detector, and the end-to-end tests on a real control plane. What is missing
# on a Debian machine (an SSH server to clone from) is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n=== %s (%s)\n' "$1" "$(date +%T)"; }

# finish takes the cluster down and says last what failed: each test with the
# first lines of its message, packages, and panics.
finish() {
  local status=$?
  bin/devcluster down "$cluster" || true
  if ((status)) && [[ -s $log ]]; then
    step "failed"
    awk '/^ *--- FAIL: /   { print; left = 5; next }
         /^(panic:|FAIL\t|failed in |[^ ]+\.go:[0-9]+:[0-9]+: )/
         /^ / && left-- > 0 { print substr($0, 1, 300); next }
                            { left = 0 }' "$log"
  fi
  rm -f "$log"
  exit "$status"
}

step "tools"
scripts/deps.sh

step "build"
make --no-print-directory build

step "lint"
make --no-print-directory lint

step "control plane"
cluster="test-$$"
log=$(mktemp)
trap finish EXIT
bin/devcluster up "$cluster"
SLUICE_TEST_KUBECONFIG=$(bin/devcluster kubeconfig "$cluster")
SLUICE_TEST_AUDIT=$(bin/devcluster audit "$cluster")
SLUICE_TEST_BIN=$PWD/bin
export SLUICE_TEST_KUBECONFIG SLUICE_TEST_AUDIT SLUICE_TEST_BIN

step "tests"
# One module at a time, few packages at once: the control plane shares the
# machine, and its own timeouts should not be what is tested.
race=(-race)
command -v cc >/dev/null || { race=(); echo "no C compiler: without the race detector"; }
CGO_ENABLED=${#race[@]} scripts/modules.sh go test "${race[@]}" -p 2 -timeout 30m ./... 2>&1 | tee "$log"

step "done"
