# shellcheck shell=bash
# Installs what is missing on Debian 12, from Debian's packages only. Sourced after lib.sh.
# Nothing is done, and no right is needed, when everything is present.

NEXTEST_VERSION=0.9.143

missing_packages() {
  [ -x /usr/lib/postgresql/15/bin/postgres ] || echo postgresql-15
  have psql || echo postgresql-client-15
  have redis-server || echo redis-server
  [ -x "$(rabbit_sbin || true)/rabbitmq-server" ] || echo rabbitmq-server
  have nginx || echo nginx-light
  have curl || echo curl
  have jq || echo jq
  have openssl || echo openssl
  have ss || echo iproute2
  have setsid || echo util-linux
  have cc || echo gcc
  have cc || echo libc6-dev
  have make || echo make
  # aws-lc is C and built with cmake; diesel links the PostgreSQL client library.
  have cmake || echo cmake
  have pkg-config || echo pkg-config
  [ -e /usr/include/postgresql/libpq-fe.h ] || echo libpq-dev
}

# Debian's packages start their servers on the usual ports unless this file refuses it.
POLICY=/usr/sbin/policy-rc.d
POLICY_IS_OURS=

refuse_service_starts() {
  [ ! -e "$POLICY" ] || return 0
  printf '#!/bin/sh\nexit 101\n' >"$POLICY"
  chmod 755 "$POLICY"
  POLICY_IS_OURS=yes
}

allow_service_starts() {
  [ -z "$POLICY_IS_OURS" ] || rm -f "$POLICY"
  POLICY_IS_OURS=
}

install_servers() {
  local -a packages
  mapfile -t packages < <(missing_packages)
  [ "${#packages[@]}" -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] || ! have apt-get; then
    die "these Debian packages are missing: ${packages[*]}. Install them, or run this as root on Debian 12"
  fi
  say "installing ${packages[*]}"
  mkdir -p "$STATE/logs"
  # A subshell, so that the policy file goes away on every way out.
  (
    trap allow_service_starts EXIT
    refuse_service_starts
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >"$STATE/logs/apt.log" 2>&1 &&
      apt-get install -q -y --no-install-recommends "${packages[@]}" >>"$STATE/logs/apt.log" 2>&1
  ) || die "apt-get failed, see $STATE/logs/apt.log"
}

install_nextest() {
  cargo nextest --version >/dev/null 2>&1 && return 0
  # A current cargo-nextest; --locked is the set of versions its authors tested.
  say "installing cargo-nextest $NEXTEST_VERSION (some minutes)"
  cargo install --quiet --locked cargo-nextest --version "$NEXTEST_VERSION"
}

require_rust() {
  [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] && PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  have cargo || die "Rust is missing: install the stable toolchain, then run this again"
}

install_all() {
  require_rust
  install_servers
  install_nextest
}
