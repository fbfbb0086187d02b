#!/usr/bin/env bash
# Installs what the tests run against, where it is missing: brokers, their clients, a C compiler for the race detector,
# and Apache Kafka in the user's cache. Quick when all is there. Fails, and says what to do, when something cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

say() { printf 'tools: %s\n' "$*"; }
die() { printf 'tools: %s\n' "$*" >&2; exit 1; }

# The daemons live in sbin, which is not in the path of every user.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# program  Debian package that has it
readonly wanted="
kcat           kcat
mosquitto      mosquitto
mosquitto_pub  mosquitto-clients
mosquitto_sub  mosquitto-clients
redis-server   redis-server
nats-server    nats-server
redis-server   redis-server
java           default-jre-headless
mvn            maven
git            git
cc             gcc libc6-dev
"

missing() {
	local program packages
	while read -r program packages; do
		[ -z "$program" ] || command -v "$program" >/dev/null || printf '%s\n' $packages
	done <<<"$wanted" | sort -u
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "must be root to run: $*"
	fi
}

# Debian starts a daemon when it installs it, on the port that 'sluice dev' and a user's own broker want. A policy
# forbids that for the length of the installation, and what would start at the next boot is switched off.
install_packages() {
	local policy=/usr/sbin/policy-rc.d ours=no status=0
	command -v apt-get >/dev/null || die "not a Debian system; install these yourself: $*"
	if [ ! -e "$policy" ]; then
		ours=yes
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
	fi
	say "apt-get install $*"
	{ as_root apt-get update -q -o Acquire::Retries=3 &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
			-o Acquire::Retries=3 "$@"; } </dev/null || status=$?
	[ "$ours" = no ] || as_root rm -f "$policy"
	[ "$status" = 0 ] || die "apt-get could not install: $*"
	if [ -d /run/systemd/system ]; then
		local package
		for package in mosquitto nats-server redis-server; do
			case " $* " in *" $package "*) as_root systemctl disable --now --quiet "$package" || true ;; esac
		done
	fi
}

command -v go >/dev/null || die "Go is missing; install the version that go.mod names"

mapfile -t packages < <(missing)
if [ "${#packages[@]}" -gt 0 ]; then
	install_packages "${packages[@]}"
	mapfile -t packages < <(missing)
	[ "${#packages[@]}" = 0 ] || die "still missing after installation: ${packages[*]}"
fi
for program in kcat mosquitto mosquitto_pub nats-server java mvn; do
	say "$program: $(command -v "$program")"
done

# The major version: "17" of 17.0.15, 1 of 1.8.
java_major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
[ "${java_major:-0}" -ge 17 ] || die "Kafka needs Java 17 or later; $(command -v java) is version ${java_major:-unknown}"

go run ./test/tools/fetchkafka | sed 's/^/tools: /'
