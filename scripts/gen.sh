#!/usr/bin/env bash
# Regenerates what is generated: the protobuf code.
set -euo pipefail
cd "$(dirname "$0")/.."
(cd scripts/protogen && GOWORK=off go run . ../../sdk)
