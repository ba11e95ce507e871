# shellcheck shell=bash
# Installs what is missing on Debian 12, from Debian's packages only. Sourced after lib.sh.
# Nothing is done, and no right is needed, when everything is present.

# The newest that Rust 1.95 compiles, for where no ready-made program is to be had.
NEXTEST_VERSION=0.9.143

# shellcheck source=deploy/checks/tools.sh
. "$REPO/deploy/checks/tools.sh"

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
  # diesel links the PostgreSQL client library.
  have pkg-config || echo pkg-config
  # The HTTP clients read the system's certificates.
  [ -e /etc/ssl/certs/ca-certificates.crt ] || echo ca-certificates
  [ -e /usr/include/postgresql/libpq-fe.h ] || echo libpq-dev
}

# The browser test drives a real browser.
missing_browser() {
  have chromium || echo chromium
  have chromedriver || echo chromium-driver
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
  apt_install "${packages[@]}"
}

# apt_install PACKAGE...: does nothing when none is given.
apt_install() {
  local -a packages=("$@")
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
  # The ready-made program takes seconds; compiling it, some minutes.
  say "installing cargo-nextest"
  if tools_install "$(grep -o '^.*cargo-nextest==.*' "$REPO/deploy/checks/requirements.txt")"; then
    cargo nextest --version >/dev/null 2>&1 && return 0
  fi
  cargo install --quiet --locked cargo-nextest --version "$NEXTEST_VERSION"
}

require_rust() {
  [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] && PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  have cargo || die "Rust is missing: install the stable toolchain, then run this again"
}

# What `make run` needs, and what `make test` needs.
install_local() {
  require_rust
  install_servers
}

install_browser() {
  local -a packages
  mapfile -t packages < <(missing_browser)
  apt_install "${packages[@]}"
}

install_all() {
  install_local
  install_browser
  install_nextest
}
