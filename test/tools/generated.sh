#!/usr/bin/env bash
# Fails when 'go generate' changes a file, be the working tree clean or not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

state() {
	git status --porcelain
	git diff HEAD
	git ls-files --others --exclude-standard -z | xargs -0 --no-run-if-empty sha256sum
}

before=$(state)
go generate ./...
after=$(state)
if [ "$before" != "$after" ]; then
	echo "generated code is not up to date; run 'make generate' and commit:" >&2
	diff <(printf '%s\n' "$before") <(printf '%s\n' "$after") >&2 || true
	exit 1
fi
