#!/usr/bin/env bash
# The whole system on this machine: servers, migrations, sandbox, services, gateway, demo data.
# Running it again is safe: what runs is left alone, what is missing is started.
# DETACH=1 returns when everything is ready; otherwise Ctrl-C stops what this call started.

# shellcheck source=deploy/local/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=deploy/local/servers.sh
. "$LOCAL/servers.sh"
# shellcheck source=deploy/local/install.sh
. "$LOCAL/install.sh"
# shellcheck source=deploy/local/stack.sh
. "$LOCAL/stack.sh"
# shellcheck source=deploy/local/gateway.sh
. "$LOCAL/gateway.sh"
# shellcheck source=deploy/local/secrets.sh
. "$LOCAL/secrets.sh"
# shellcheck source=deploy/local/settings.sh
. "$LOCAL/settings.sh"
# shellcheck source=deploy/local/signin.sh
. "$LOCAL/signin.sh"
# shellcheck source=deploy/local/demo.sh
. "$LOCAL/demo.sh"

# What this call started, in order: only that is stopped at its end.
STARTED=()
LEAVE_RUNNING=

stop_started() {
  local status=$? index
  trap - EXIT
  # A second Ctrl-C must not leave half of it running.
  trap '' INT TERM HUP
  if [ -z "$LEAVE_RUNNING" ] && [ "${#STARTED[@]}" -gt 0 ]; then
    say "stopping"
    for ((index = ${#STARTED[@]} - 1; index >= 0; index--)); do
      stop_part "${STARTED[index]}"
    done
    say "stopped"
  fi
  exit "$status"
}

stop_part() {
  case $1 in
    servers) servers_stop "$HOME_SERVERS" ;;
    gateway) gateway_stop "$HOME_GATEWAY" ;;
    *) program_stop "$1" ;;
  esac
}

check_ports() {
  local program port
  local -a wanted=()
  for program in $(wanted_programs); do
    program_running "$program" && continue
    for port in ${PROGRAM_PORTS[$program]}; do wanted+=("$port"); done
  done
  gateway_running "$HOME_GATEWAY" || wanted+=("$GATEWAY_PORT")
  require_free_ports "${wanted[@]}"
}

build() {
  say "building (the first time takes some minutes)"
  cargo build --locked --bin tenant-service --bin agent-portal-service --bin outbound-message-service \
    --bin portalctl --bin portal-sandbox
  BIN_DIR=$(cargo metadata --no-deps --format-version 1 | jq -r .target_directory)/debug
}

start_servers() {
  if servers_running "$HOME_SERVERS"; then
    choose_ports "$HOME_SERVERS" 21300
    return
  fi
  say "starting PostgreSQL, Redis and RabbitMQ"
  choose_ports "$HOME_SERVERS" 21300
  STARTED+=(servers)
  REDIS_USERS=$(redis_users)
  export REDIS_USERS
  servers_start "$HOME_SERVERS" yes "$(rabbit_definitions)" max_connections=300 ||
    die "the servers did not start"
  say "servers are up on ports $PG_PORT, $REDIS_PORT and $AMQP_PORT"
}

prepare_database() {
  local admin=postgres://postgres@127.0.0.1:$PG_PORT
  if [ "$(psql -AtX "$admin/postgres" -c "SELECT 1 FROM pg_database WHERE datname = '$DATABASE'")" != 1 ]; then
    psql -q -X -v ON_ERROR_STOP=1 "$admin/postgres" -c "CREATE DATABASE $DATABASE"
  fi
  PGOPTIONS='-c client_min_messages=warning' psql -q -X -v ON_ERROR_STOP=1 "$admin/$DATABASE" \
    -f "$REPO/deploy/postgres/roles.sql" >/dev/null
  DATABASE_URL=$(database_url agent_portal_owner) "$BIN_DIR/portalctl" db migrate 2>&1 | while read -r line; do say "$line"; done
}

start_programs() {
  local program
  local -a settings
  for program in $(wanted_programs); do
    if program_running "$program"; then
      if [ ! "$BIN_DIR/$program" -nt "$(program_pid_file "$program")" ]; then
        say "$program already runs"
        continue
      fi
      say "$program was built anew: it is restarted"
      program_stop "$program"
    fi
    mapfile -t settings < <("settings_of_${program//-/_}")
    STARTED+=("$program")
    program_start "$program" "$BIN_DIR/$program" "${settings[@]}"
  done
  for program in $(wanted_programs); do
    program_wait_ready "$program" "$(ready_url "$program")" 90
  done
}

start_gateway() {
  if gateway_running "$HOME_GATEWAY"; then
    say "the gateway already runs"
    return
  fi
  STARTED+=(gateway)
  gateway_start "$HOME_GATEWAY" "$GATEWAY_PORT" "$LOGS/gateway.log"
  say "the gateway is ready"
}

# Says when a program ends by itself, until Ctrl-C.
watch_programs() {
  local program
  local -A told=()
  while :; do
    for program in $(wanted_programs); do
      if program_running "$program"; then
        told[$program]=
      elif [ -z "${told[$program]:-}" ]; then
        warn "$program has ended (log: $LOGS/$program.log); \`make run DETACH=1\` in another terminal starts it again"
        told[$program]=yes
      fi
    done
    sleep 1
  done
}

trap stop_started EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

mkdir -p "$RUN_DIR" "$LOGS"
cd "$REPO"
load_dotenv
install_local
HOME_SERVERS=$(server_home servers)
HOME_GATEWAY=$(server_home gateway)
check_ports
make_secrets
build
start_servers
prepare_database
start_programs
start_gateway
create_demo
print_summary
if [ -n "${DETACH:-}" ]; then
  LEAVE_RUNNING=yes
elif [ "${#STARTED[@]}" -gt 0 ]; then
  echo
  echo "Ctrl-C stops it."
  watch_programs
fi
