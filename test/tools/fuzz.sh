#!/usr/bin/env bash
# Runs every fuzz target of the module for the time given, one after the other. All run, also when one fails; what it
# found is then in the testdata folder of its package, to be committed with the fix.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
readonly each=${1:?usage: fuzz.sh DURATION}

mapfile -t targets < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]*' | sort)
[ "${#targets[@]}" -gt 0 ] || { echo "there is no fuzz target" >&2; exit 1; }

failed=()
for target in "${targets[@]}"; do
	package=./$(dirname "${target%%:*}")
	name=${target##*func }
	printf '== %s %s\n' "$package" "$name"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$each" "$package" || failed+=("$package $name")
done
if [ "${#failed[@]}" -gt 0 ]; then
	printf 'failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
