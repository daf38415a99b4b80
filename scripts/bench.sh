#!/usr/bin/env bash
# Compares sluice with kubectl apply --server-side on one cluster in one run and
# measures the way of an image from its push to the cluster, then prints the
# benchmarks of the editor, of a plugin's start and of image scans.
set -euo pipefail
cd "$(dirname "$0")/.."
cluster="bench-$$"
trap 'status=$?; bin/devcluster down "$cluster" || true; exit $status' EXIT
bin/devcluster up "$cluster"
(cd examples && GOWORK=off go run ./bench -bin "$PWD/../bin" \
  -kubeconfig "$("$PWD/../bin/devcluster" kubeconfig "$cluster")" \
  -audit "$("$PWD/../bin/devcluster" audit "$cluster")" "$@")
echo
# Lines that an update changes in real repositories, and what edits cost.
GOWORK=off go test -run '^$' -bench 'ChangedLines|SetImage|Apply500' -timeout 30m ./core/manifest/edit
echo
SLUICE_TEST_BIN=$PWD/bin SLUICE_TEST_KUBECONFIG=$(bin/devcluster kubeconfig "$cluster") KUBECONFIG=$(bin/devcluster kubeconfig "$cluster") \
  GOWORK=off go test -run '^$' -bench "Start|Call" -benchtime 50x ./core/pluginhost
echo
# What scans cost: 50 repositories of 1,000 multi-arch tags, each kind of policy,
# with and without a registry that lists times; and against one that allows 5
# requests a second. Some eight minutes; -scan.repositories and -scan.tags make
# it smaller.
SLUICE_TEST_BIN=$PWD/bin GOWORK=off go test -run '^$' -bench 'Scan|Throttled' -benchtime 1x -timeout 30m ./core/images
