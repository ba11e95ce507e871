# shellcheck shell=bash
# One set of PostgreSQL, Redis and RabbitMQ in one folder. Sourced after lib.sh.
# The ports in use are kept in HOME/ports.env, so that a second start finds what runs.

# shellcheck source=deploy/local/postgres.sh
. "$LOCAL/postgres.sh"
# shellcheck source=deploy/local/redis.sh
. "$LOCAL/redis.sh"
# shellcheck source=deploy/local/rabbitmq.sh
. "$LOCAL/rabbitmq.sh"

servers_running() { pg_running "$1" && redis_running "$1" && rabbit_running "$1"; }

# choose_ports HOME BASE: ports from the environment, else near BASE, each free. The defaults are
# below the range that the kernel hands to outgoing connections, and none is a server's usual port.
choose_ports() {
  local home=$1 base=$2
  if pg_running "$home"; then
    PG_PORT=$(kept_port "$home" PG_PORT)
  else
    PG_PORT=$(free_port "${PG_PORT:-$((base + 32))}")
  fi
  if redis_running "$home"; then
    REDIS_PORT=$(kept_port "$home" REDIS_PORT)
  else
    REDIS_PORT=$(free_port "${REDIS_PORT:-$((base + 79))}")
  fi
  if rabbit_running "$home"; then
    AMQP_PORT=$(kept_port "$home" AMQP_PORT)
    AMQP_DIST_PORT=$(kept_port "$home" AMQP_DIST_PORT)
    EPMD_PORT=$(kept_port "$home" EPMD_PORT)
  else
    AMQP_PORT=$(free_port "${AMQP_PORT:-$((base + 72))}")
    AMQP_DIST_PORT=$(free_port "${AMQP_DIST_PORT:-$((AMQP_PORT + 1))}")
    EPMD_PORT=$(free_port "${EPMD_PORT:-$((base + 69))}")
  fi
  printf '%s=%s\n' PG_PORT "$PG_PORT" REDIS_PORT "$REDIS_PORT" AMQP_PORT "$AMQP_PORT" \
    AMQP_DIST_PORT "$AMQP_DIST_PORT" EPMD_PORT "$EPMD_PORT" >"$home/ports.env"
}

kept_port() { sed -n "s/^$2=//p" "$1/ports.env"; }

# servers_start HOME PERSIST RABBIT_DEFINITIONS [POSTGRES_OPTION=VALUE...]
# In parallel: the wall time is RabbitMQ's.
servers_start() {
  local home=$1 persist=$2 definitions=$3 failed=0 job
  local -a jobs=()
  shift 3
  pg_start "$home" "$PG_PORT" "$@" &
  jobs+=($!)
  redis_start "$home" "$REDIS_PORT" "$persist" &
  jobs+=($!)
  rabbit_start "$home" "$AMQP_PORT" "$AMQP_DIST_PORT" "$EPMD_PORT" "$definitions" &
  jobs+=($!)
  for job in "${jobs[@]}"; do wait "$job" || failed=1; done
  [ "$failed" = 0 ]
}

servers_stop() {
  local home=$1 epmd=''
  [ ! -f "$home/ports.env" ] || epmd=$(kept_port "$home" EPMD_PORT)
  rabbit_stop "$home" "$epmd"
  redis_stop "$home"
  pg_stop "$home"
}
