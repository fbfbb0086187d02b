#!/usr/bin/env bash
# Runs a checker at a pinned version: checker.sh PACKAGE@VERSION [ARGUMENT...]. What was downloaded once is looked for
# first, so that it runs without a network too: 'go run' alone would ask for the newest version's deprecation notice.
set -euo pipefail
GOPROXY="file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)" exec go run "$@"
