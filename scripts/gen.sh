#!/usr/bin/env bash
# Regenerates what is generated: protobuf code and the command reference.
set -euo pipefail
cd "$(dirname "$0")/.."
(cd scripts/protogen && GOWORK=off go run . ../../sdk)
