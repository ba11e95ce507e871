# shellcheck shell=bash
# A private PostgreSQL on loopback. Sourced after lib.sh.

PG_BIN=${PG_BIN:-/usr/lib/postgresql/15/bin}

pg_running() { pid_alive "$1/pg/postmaster.pid" postgres; }

pg_ready() { pg_isready -q -h 127.0.0.1 -p "$1"; }

# pg_start HOME PORT [OPTION=VALUE...]
pg_start() {
  local home=$1 port=$2 option options
  shift 2
  if pg_running "$home"; then return 0; fi
  # A Unix socket is not used: its path would be limited to 107 bytes, and loopback is enough.
  options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories="
  for option in "$@"; do options+=" -c $option"; done
  if [ "$(id -u)" = 0 ]; then
    install -d -o postgres -g postgres -m 700 "$home/pg"
  else
    install -d -m 700 "$home/pg"
  fi
  if [ ! -s "$home/pg/PG_VERSION" ]; then
    # C.UTF-8 is always there; other locales often are not, and initdb then fails.
    as_postgres "$PG_BIN/initdb" -D "$home/pg" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
      >"$home/initdb.log" 2>&1 || die "initdb failed, see $home/initdb.log"
  fi
  as_postgres "$PG_BIN/pg_ctl" -D "$home/pg" -l "$home/pg/server.log" -w -t 90 -o "$options" start \
    >"$home/pg_ctl.log" 2>&1 || die "PostgreSQL did not start, see $home/pg/server.log"
}

pg_stop() {
  pg_running "$1" || return 0
  as_postgres "$PG_BIN/pg_ctl" -D "$1/pg" -m fast -w -t 60 stop >/dev/null 2>&1 ||
    stop_pid "$1/pg/postmaster.pid" postgres 10
}
