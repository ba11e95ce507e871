# shellcheck shell=bash
# Shared by every script here: where things are, how to speak, ports, processes, waiting.
# Sourced, never run.

set -euo pipefail
umask 022

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
LOCAL=$REPO/deploy/local
# The one ignored data folder: databases, secrets, logs, pid files.
STATE=${PORTAL_STATE:-$REPO/.local}
export REPO LOCAL STATE

STARTED_AT=$(date +%s)

# Progress lines carry the seconds since the script began, so that a slow step is seen at once.
say() { printf '%4ss  %s\n' "$(($(date +%s) - STARTED_AT))" "$*"; }
warn() { printf '%4ss  ! %s\n' "$(($(date +%s) - STARTED_AT))" "$*" >&2; }
die() {
  warn "$*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Debian keeps servers in sbin, which a normal user's PATH does not have.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

port_taken() { ss -Hltn "sport = :$1" 2>/dev/null | grep -q .; }

# Who listens on a port, as far as this user may see it.
port_owner() {
  local owner
  owner=$(ss -Hltnp "sport = :$1" 2>/dev/null | grep -o '"[^"]*",pid=[0-9]*' | head -n 1 |
    sed 's/"\(.*\)",pid=/\1, pid /' || true)
  echo "${owner:-a process of another user}"
}

# free_port PREFERRED: that port, or the next free one above it.
free_port() {
  local port=$1 last=$(($1 + 200))
  while port_taken "$port"; do
    port=$((port + 1))
    [ "$port" -le "$last" ] || die "no free port between $1 and $last"
  done
  echo "$port"
}

# pid_alive FILE NAME: the process in the pid file lives and is the program we mean. The name guards
# against a number that the system gave to someone else since.
pid_alive() {
  local pid comm stat
  [ -s "$1" ] || return 1
  read -r pid _ <"$1" || [ -n "$pid" ] || return 1
  kill -0 "$pid" 2>/dev/null || return 1
  # One that has ended keeps its number until its parent looks.
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
  [[ $stat != *") Z "* ]] || return 1
  comm=$(cat "/proc/$pid/comm" 2>/dev/null) || return 1
  # The kernel keeps 15 characters of a name.
  [ "$comm" = "${2:0:15}" ]
}

# stop_pid FILE NAME SECONDS: ask, wait, insist. Says nothing when it was not running.
stop_pid() {
  local file=$1 name=$2 limit=$3 pid deadline
  if ! pid_alive "$file" "$name"; then
    rm -f "$file"
    return 0
  fi
  read -r pid _ <"$file" || true
  kill -TERM "$pid" 2>/dev/null || true
  deadline=$(($(date +%s) + limit))
  while pid_alive "$file" "$name"; do
    if [ "$(date +%s)" -ge "$deadline" ]; then
      warn "$name did not stop within $limit s; it is killed"
      kill -KILL "$pid" 2>/dev/null || true
      sleep 0.2
      break
    fi
    sleep 0.1
  done
  rm -f "$file"
}

# wait_until SECONDS COMMAND...: polls a cheap check.
wait_until() {
  local deadline=$(($(date +%s) + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(date +%s)" -lt "$deadline" ] || return 1
    sleep 0.2
  done
}

tcp_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# as_postgres COMMAND...: PostgreSQL refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then
    (cd / && exec runuser -u postgres -- "$@")
  else
    "$@"
  fi
}

# The user postgres must be able to walk to its data: every parent needs the x bit for others.
traversable() {
  local dir
  dir=$(readlink -f "$1")
  while :; do
    [ $((0$(stat -c %a "$dir") & 1)) = 1 ] || return 1
    [ "$dir" != / ] || return 0
    dir=$(dirname "$dir")
  done
}

temp_root() {
  local dir=${TMPDIR:-/tmp}
  if [ "$(id -u)" = 0 ] && ! traversable "$dir"; then dir=/tmp; fi
  echo "$dir"
}

# server_home NAME: prints the folder for one set of servers, made and private to us. It is
# .local/NAME, unless root works in a place that the user postgres cannot enter (a checkout under
# /root): then it is in the system's temporary folder, linked from .local.
server_home() {
  local name=$1 dir
  mkdir -p "$STATE"
  dir=$STATE/$name
  if [ -e "$dir" ] || [ "$(id -u)" != 0 ] || traversable "$STATE"; then
    if [ -L "$dir" ] && [ ! -e "$dir" ]; then
      rm -f "$dir" # the temporary folder was emptied
    else
      mkdir -p "$dir"
      readlink -f "$dir"
      return
    fi
  fi
  if traversable "$STATE"; then
    mkdir -p "$dir"
    readlink -f "$dir"
    return
  fi
  dir=$(temp_root)/agent-portal-$(printf '%s' "$STATE/$name" | sha256sum | cut -c1-16)
  mkdir -m 711 "$dir" 2>/dev/null || true
  # Anybody may make a folder there: take only a real one that is ours.
  if [ -L "$dir" ] || [ ! -d "$dir" ] || [ "$(stat -c %u "$dir")" != "$(id -u)" ]; then
    die "$dir exists and does not belong to this user; remove it or set PORTAL_STATE"
  fi
  ln -sfn "$dir" "$STATE/$name"
  echo "$dir"
}
