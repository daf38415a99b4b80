#!/usr/bin/env bash
# Compares sluice with kubectl apply --server-side on one cluster in one run,
# then prints the benchmarks of a plugin's start.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster="bench-$$"
trap 'status=$?; bin/devcluster down "$cluster" || true; exit $status' EXIT
bin/devcluster up "$cluster"
(cd examples && GOWORK=off go run ./bench -bin "$PWD/../bin" \
  -kubeconfig "$("$PWD/../bin/devcluster" kubeconfig "$cluster")" \
  -audit "$("$PWD/../bin/devcluster" audit "$cluster")" "$@")
echo
SLUICE_TEST_BIN=$PWD/bin SLUICE_TEST_KUBECONFIG=$(bin/devcluster kubeconfig "$cluster") KUBECONFIG=$(bin/devcluster kubeconfig "$cluster") \
  GOWORK=off go test -run '^$' -bench "Start|Call" -benchtime 50x ./core/pluginhost
