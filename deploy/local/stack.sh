# shellcheck shell=bash disable=SC2034 # the tables are for those who source this
# The programs of the system as processes of this machine: start, watch, stop. Sourced after lib.sh.

RUN_DIR=$STATE/run
LOGS=$STATE/logs
# In the order in which they start; they stop the other way round.
PROGRAMS=(portal-sandbox tenant-service agent-portal-service outbound-message-service)

declare -A PROGRAM_PORTS=(
  [portal-sandbox]=3090
  [tenant-service]='3007 3006'
  [agent-portal-service]='3015 3014'
  [outbound-message-service]=3008
)

program_pid_file() { echo "$RUN_DIR/$1.pid"; }
program_running() { pid_alive "$(program_pid_file "$1")" "$1"; }

# require_free_ports PORT...: names every taken port and who has it.
require_free_ports() {
  local port taken=0
  for port in "$@"; do
    if port_taken "$port"; then
      warn "port $port is taken by $(port_owner "$port")"
      taken=1
    fi
  done
  [ "$taken" = 0 ] || die "stop those programs, then run this again"
}

# program_start NAME BINARY [VARIABLE=VALUE...]: the settings are exported, not arguments of a command,
# which everybody could list.
program_start() {
  local name=$1 binary=$2
  shift 2
  mkdir -p "$RUN_DIR" "$LOGS"
  [ ! -s "$LOGS/$name.log" ] || mv "$LOGS/$name.log" "$LOGS/$name.log.1"
  # setsid: Ctrl-C reaches this script only, which then stops the programs in order.
  # shellcheck disable=SC2163 # the arguments are whole assignments
  (cd "$STATE" && export "$@" && exec setsid "$binary" >"$LOGS/$name.log" 2>&1 </dev/null) &
  echo $! >"$(program_pid_file "$name")"
  # Until the program has replaced the shell, it would look as if it had ended.
  wait_until 2 program_running "$name" || true
}

# program_wait_ready NAME URL SECONDS
program_wait_ready() {
  local name=$1 url=$2 limit=$3 deadline
  deadline=$(($(date +%s) + limit))
  until curl -fsS -m 3 -o /dev/null "$url" 2>/dev/null; do
    if ! program_running "$name"; then
      tail -n 3 "$LOGS/$name.log" >&2
      die "$name ended; its log is $LOGS/$name.log"
    fi
    if [ "$(date +%s)" -ge "$deadline" ]; then
      curl -s -m 3 "$url" >&2 || true
      die "$name is not ready after $limit s; its log is $LOGS/$name.log"
    fi
    sleep 0.2
  done
  say "$name is ready"
}

# The services are given a little more than their own time for finishing requests.
program_stop() { stop_pid "$(program_pid_file "$1")" "$1" 40; }
